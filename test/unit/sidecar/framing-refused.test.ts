/**
 * What two readers could take for different things goes through no sidecar, whichever version of HTTP either end speaks:
 * requests before anybody is asked, answers before anybody is told that they are whole.
 */

import { deepEqual, equal, match } from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { encodeFrame, H2_FRAME } from '../../../src/http/h2-frame.ts';
import { REFUSED_BODIES, REFUSED_HEADS } from '../../conformance/http1/corpus.ts';
import {
  type Answer,
  type App,
  askH2,
  h1Caller,
  h2Caller,
  readAnswer,
  type SeenRequest,
  startH1App,
  startH2App,
  toRequest,
  toResponse,
  type Version,
  valuesOf,
} from '../../support/framing.ts';
import { malformedH2 } from '../../support/h2-malformed.ts';
import type { H2Peer } from '../../support/h2-peer.ts';
import { LocalMesh } from '../../support/local-mesh.ts';
import { ANY_PORT, Conversation, startSidecar, startTcpApp } from '../../support/local-sidecars.ts';

const VERSIONS = ['h1', 'h2'] as const;
/** A port of a sidecar speaks HTTP/2 with whoever begins as that does. */
const HEADS = REFUSED_HEADS.filter(({ text }) => !text.startsWith('PRI * HTTP/2.0'));

interface BadAnswer {
  readonly name: string;
  /** Is the head bad? Else the answer may have begun when that is seen. */
  readonly isHead: boolean;
}

/** What an application of HTTP/1.1 may not answer (RFC 9112 §6.3, §11.1). */
const H1_ANSWERS: readonly (BadAnswer & { readonly text: string })[] = [
  ...[
    ['both lengths', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello'],
    ['a list of lengths', 'Content-Length: 5, 6\r\n\r\nhello'],
    ['a length with a sign', 'Content-Length: +5\r\n\r\nhello'],
    ['a coding that is not chunked', 'Transfer-Encoding: gzip\r\n\r\nhello'],
    ['chunked, and then something', 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
    ['a folded field', 'X-A: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
    ['a space before a colon', 'X-A : a\r\nContent-Length: 0\r\n\r\n'],
    ['a bare LF', 'X-A: a\nContent-Length: 0\r\n\r\n'],
    ['a bare CR', 'X-A: a\rb\r\nContent-Length: 0\r\n\r\n'],
    ['a NUL', 'X-A: a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['an empty name', ': a\r\nContent-Length: 0\r\n\r\n'],
    ['too many fields', `${'X-A: a\r\n'.repeat(200)}\r\n`],
    ['a head without an end', 'X-A: a\r\n'],
  ].map(([name = '', text = '']) => ({ name, isHead: true, text: `HTTP/1.1 200 OK\r\n${text}` })),
  ...[
    ['another protocol', 'ICY 200 OK\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a status without a class', 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n'],
    [
      '101 that nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
    ],
    ['nothing', ''],
  ].map(([name = '', text = '']) => ({ name, isHead: true, text })),
  ...[
    ['less than its length', 'Content-Length: 10\r\n\r\nhello'],
    ['chunks without an end', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['a chunk size that is none', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n'],
    ['a chunk longer than its size', 'Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF behind a chunk size', 'Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n'],
    ['a trailer that is none', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX A: b\r\n\r\n'],
  ].map(([name = '', text = '']) => ({ name, isHead: false, text: `HTTP/1.1 200 OK\r\n${text}` })),
];

const endingWith =
  (trailers: readonly string[]) =>
  (peer: H2Peer, id: number): void => {
    peer.sendData(id, 'hello', false);
    peer.sendFields(id, trailers, true);
  };

/** What one of HTTP/2 may not (RFC 9113 §8.1.1, §8.3.2). */
const H2_ANSWERS: readonly (BadAnswer & { say(peer: H2Peer, id: number): void })[] = [
  ...(
    [
      ['no status', []],
      ['two statuses', [':status', '200', ':status', '204']],
      ['a status that is no number', [':status', '2xx']],
      ['status 101', [':status', '101']],
      ['a status behind a field', ['x-a', '1', ':status', '200']],
      ['a pseudo-field of requests', [':status', '200', ':path', '/']],
      ['a name in capitals', [':status', '200', 'X-A', '1']],
      ['a line break in a value', [':status', '200', 'x-a', 'b\r\nset-cookie: c=d']],
      ['a NUL in a value', [':status', '200', 'x-a', '\0']],
      ['connection', [':status', '200', 'connection', 'close']],
      ['transfer-encoding', [':status', '200', 'transfer-encoding', 'chunked']],
      ['a length that is no number', [':status', '200', 'content-length', '+1']],
      ['134 fields', [':status', '200', ...Array.from({ length: 134 }, (_, i) => [`a${i}`, 'b']).flat()]],
    ] as const
  ).map(([name, fields]) => ({
    name,
    isHead: true,
    say: (peer: H2Peer, id: number) => peer.sendFields(id, fields, true),
  })),
  ...(
    [
      ['a block that is no HPACK', encodeFrame(H2_FRAME.headers, 5, 1, Uint8Array.of(0x80))],
      ['a frame larger than allowed', encodeFrame(H2_FRAME.data, 0, 1, new Uint8Array(16_385))],
      ['PUSH_PROMISE', encodeFrame(H2_FRAME.pushPromise, 4, 1, Uint8Array.of(0, 0, 0, 2))],
      ['HEADERS of a stream that nobody opened', encodeFrame(H2_FRAME.headers, 5, 99, Uint8Array.of(0x88))],
      ['words of HTTP/1.1', encodeUtf8('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')],
    ] as const
  ).map(([name, bytes]) => ({ name, isHead: true, say: (peer: H2Peer) => peer.send(bytes) })),
  ...(
    [
      ['less than its length', '10', (peer: H2Peer, id: number) => peer.sendData(id, 'hello', true)],
      ['more than its length', '2', (peer: H2Peer, id: number) => peer.sendData(id, 'hello', true)],
      ['trailers with a status', '5', endingWith([':status', '200'])],
      ['trailers with a line break', '5', endingWith(['x-a', 'b\nc'])],
    ] as const
  ).map(([name, length, rest]) => ({
    name,
    isHead: false,
    say(peer: H2Peer, id: number) {
      peer.sendFields(id, [':status', '200', 'content-length', length], false);
      rest(peer, id);
    },
  })),
];

describe('No sidecar lets through', () => {
  const cleanups: (() => unknown)[] = [];
  const t = { after: (run: () => unknown) => void cleanups.unshift(run) };
  const apps = {} as Record<Version, App>;
  let raw: { address: string };
  let onRaw: Parameters<typeof startTcpApp>[1] = () => undefined;
  let proxy = '';
  let h1Answer = '';
  let h2Answer: ((peer: H2Peer, id: number) => void) | undefined;

  before(async () => {
    const mesh = await LocalMesh.start(t);
    const plain = toResponse({ framing: 'length', body: 'plain' });
    const isBad = ({ path }: SeenRequest): boolean => path === '/bad';
    apps.h1 = await startH1App(t, (request) => (isBad(request) ? h1Answer : plain));
    apps.h2 = await startH2App(t, (request) => (isBad(request) && h2Answer !== undefined ? h2Answer : plain));
    raw = await startTcpApp(t, (socket) => onRaw(socket));
    // Connections are counted: on a slow machine those that only ask whether an application is well would count, too.
    const health = { intervalMs: 3_600_000 };
    await startSidecar(t, mesh, {
      services: ['h1', 'h2', 'raw'],
      expose: [
        { service: 'h1', target: `http://${apps.h1.address}`, health },
        { service: 'h2', target: `h2c://${apps.h2.address}`, health },
        { service: 'raw', target: `http://${raw.address}`, health },
      ],
    });
    proxy = (await startSidecar(t, mesh, { services: ['web'], listen: { http: ANY_PORT } })).proxy;
  });
  after(async () => {
    for (const run of cleanups) await run();
  });

  const caller = (version: Version) => (version === 'h1' ? h1Caller(t, proxy) : h2Caller(t, proxy));

  async function sayRaw(text: string): Promise<string> {
    const client = new Conversation(t, proxy);
    client.say(text).end();
    await client.until(({ hasEnded, closed }) => hasEnded || closed !== undefined);
    return client.text;
  }

  /** What an application has seen until all that may be under way has come. */
  async function settle(app: Version): Promise<{ begun: number; whole: number; connections: number }> {
    equal((await caller('h1')(`${app}.mesh`, toRequest({}))).body, 'plain');
    const { begun, seen, connections } = apps[app];
    return { begun, whole: seen.length, connections };
  }

  for (const app of VERSIONS) {
    it(`h1 to ${app}: any of ${HEADS.length} heads that are ambiguous`, async () => {
      for (const { name, text, status } of HEADS) {
        const before = { ...apps[app], seen: apps[app].seen.length };
        const answer = await sayRaw(text.replaceAll('api.mesh', `${app}.mesh`));
        match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), name);
        equal(answer.split('HTTP/1.1 ').length, 2, `${name}: one answer`);
        const { begun, connections, seen } = apps[app];
        deepEqual(
          { begun, connections, seen: seen.length },
          { begun: before.begun, connections: before.connections, seen: before.seen },
          name,
        );
      }
    });

    it(`h1 to ${app}: any of ${REFUSED_BODIES.length} bodies that are ambiguous, as a whole`, async () => {
      for (const { name, text, status } of REFUSED_BODIES) {
        const before = await settle(app);
        const answer = await sayRaw(text.replaceAll('api.mesh', `${app}.mesh`));
        if (status === 0) equal(answer, '', name);
        else match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), name);
        const after = await settle(app);
        equal(after.whole, before.whole + 1, `${name}: only what was asked behind it is whole`);
      }
    });

    it(`h2 to ${app}: requests that are malformed`, async () => {
      for (const { name, code, bytes } of malformedH2(`${app}.mesh`)) {
        if (name === 'more than its window') continue; // the application here takes all
        const before = await settle(app);
        const answer = await askH2(t, proxy, (peer) => peer.send(bytes));
        deepEqual([answer.status, answer.error], [0, `reset with ${code}`], name);
        equal((await settle(app)).whole, before.whole + 1, name);
      }
    });
  }

  for (const client of VERSIONS) {
    for (const bad of H1_ANSWERS) {
      it(`h1 to ${client}: an answer with ${bad.name}`, async () => {
        h1Answer = bad.text;
        checkRefused(
          bad,
          await caller(client)('h1.mesh', toRequest({ method: 'POST', path: '/bad', framing: 'length' })),
        );
      });
    }
    for (const bad of H2_ANSWERS) {
      it(`h2 to ${client}: an answer with ${bad.name}`, async () => {
        h2Answer = (peer, id) => bad.say(peer, id);
        checkRefused(
          bad,
          await caller(client)('h2.mesh', toRequest({ method: 'POST', path: '/bad', framing: 'length' })),
        );
        equal((await settle('h2')).whole > 0, true, 'and the next one is answered');
      });
    }

    it(`h1 to ${client}: a second answer that nobody has asked for`, async () => {
      h1Answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
      for (let n = 0; n < 5; n++) {
        equal((await caller(client)('h1.mesh', toRequest({ path: '/bad' }))).body, 'ok');
        equal((await caller(client)('h1.mesh', toRequest({}))).body, 'plain');
      }
    });
  }

  it('h1 to h2: an upgrade, which HTTP/2 does not have', async () => {
    const { begun } = apps.h2;
    const client = new Conversation(t, proxy);
    client.say('GET /chat HTTP/1.1\r\nHost: h2.mesh\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    await client.until(({ text }) => text.includes('\r\n\r\n'));
    match(client.text, /^HTTP\/1\.1 501 [\s\S]*\r\nx-skein-processed: no\r\n/);
    equal(apps.h2.begun, begun);
  });

  it('but h1 to h1: an upgrade that both want, with every byte that comes early', async () => {
    let heard = '';
    onRaw = (socket) => {
      socket.setEncoding('latin1');
      socket.on('end', () => socket.end('bye'));
      socket.on('data', (chunk) => {
        const isFirst = !heard.includes('\r\n\r\n');
        heard += String(chunk);
        if (isFirst && heard.includes('\r\n\r\n')) {
          socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: some/1\r\n\r\nfirst\0', 'latin1');
        }
      });
    };
    const client = new Conversation(t, proxy);
    client.say(
      'GET /chat HTTP/1.1\r\nHost: raw.mesh\r\nConnection: upgrade\r\nUpgrade: some/1\r\n\r\nGET /early HTTP/1.1\r\n\r\n\xff',
    );
    await client.until(({ text }) => text.includes('first\0'));
    client.say('\0\r\nlater').end();
    const text = await client.untilEnd();
    match(text, /^HTTP\/1\.1 101 .*\r\n/);
    match(text, /\r\nupgrade: some\/1\r\n/);
    equal(text.slice(text.indexOf('\r\n\r\n') + 4), 'first\0bye');
    equal(heard.slice(heard.indexOf('\r\n\r\n') + 4), 'GET /early HTTP/1.1\r\n\r\n\xff\0\r\nlater');
  });

  it('nor h1 to h1: what follows an upgrade that was refused, as anything but the next request', async () => {
    const before = apps.h1.seen.length;
    const client = new Conversation(t, proxy);
    client.say(
      'GET /one HTTP/1.1\r\nHost: h1.mesh\r\nConnection: upgrade\r\nUpgrade: some/1\r\n\r\n' +
        'GET /two HTTP/1.1\r\nHost: h1.mesh\r\nConnection: close\r\n\r\n',
    );
    const [first = '', second = ''] = (await client.untilEnd()).split(/(?=HTTP\/1\.1 )/);
    equal(readAnswer(first, 'GET', false).body, 'plain');
    equal(readAnswer(second, 'GET', false).body, 'plain');
    deepEqual(
      apps.h1.seen.slice(before).map(({ path }) => path),
      ['/one', '/two'],
    );
  });
});

/** The caller is told whose fault it is; or the answer, which may have begun, is broken off where it is not whole. */
function checkRefused({ name, isHead }: BadAnswer, answer: Answer): void {
  if (!isHead && answer.error !== undefined) return;
  equal(answer.error, undefined, name);
  const said = ['x-skein-reason', 'x-skein-processed'].map((field) => valuesOf(answer.fields, field));
  const code = name === 'nothing' ? 'stream-reset' : 'app-protocol';
  deepEqual([answer.status, ...said], [502, [code], ['maybe']], name);
}
