/**
 * What one end says is what the other reads, through both sidecars, whichever version of HTTP either speaks: bodies of both
 * framings, trailers, 1xx, HEAD, 204, 304, Expect. Every byte is compared by readers that are not those of the product.
 */

import { deepEqual, equal } from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Answer,
  type App,
  endToEnd,
  type Framing,
  h1Caller,
  h2Caller,
  type Request,
  type Response,
  startH1App,
  startH2App,
  toRequest,
  toResponse,
  type Version,
} from '../../support/framing.ts';
import { LocalMesh } from '../../support/local-mesh.ts';
import { ANY_PORT, startSidecar } from '../../support/local-sidecars.ts';

interface Exchange {
  readonly name: string;
  readonly request: Partial<Request>;
  readonly response: Partial<Response>;
  /** Where they differ from what was sent. */
  readonly read?: Partial<Request>;
  readonly answer?: Partial<Response>;
  readonly clients?: readonly Version[];
  readonly apps?: readonly Version[];
}

const LARGE = Array.from({ length: 5_000 }, (_, i) => `${i}\n`).join('');
const BYTES = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));

const EXCHANGES: readonly Exchange[] = [
  { name: 'GET without a body', request: {}, response: { framing: 'length', body: 'hello' } },
  {
    name: 'an empty body that says so',
    request: { method: 'POST', framing: 'length' },
    response: { framing: 'length' },
  },
  {
    name: 'a body of known length',
    request: { method: 'POST', framing: 'length', body: 'hello world' },
    response: { framing: 'length', body: 'x' },
  },
  {
    name: 'a body of unknown length',
    request: { method: 'POST', framing: 'chunked', body: 'hello world' },
    response: { framing: 'chunked', body: 'back' },
  },
  {
    name: 'every byte there is, known length',
    request: { method: 'PUT', framing: 'length', body: BYTES },
    response: { framing: 'length', body: BYTES },
  },
  {
    name: 'every byte there is, unknown length',
    request: { method: 'PUT', framing: 'chunked', body: BYTES },
    response: { framing: 'chunked', body: BYTES },
  },
  {
    name: 'a body that looks like framing',
    request: { method: 'POST', framing: 'chunked', body: '0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: one.mesh\r\n\r\n' },
    response: { framing: 'chunked', body: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n' },
  },
  {
    name: 'a large body of known length',
    request: { method: 'POST', framing: 'length', body: LARGE },
    response: { framing: 'length', body: LARGE },
  },
  {
    name: 'a large body of unknown length',
    request: { method: 'POST', framing: 'chunked', body: LARGE },
    response: { framing: 'chunked', body: LARGE },
  },
  {
    name: 'trailers both ways',
    request: { method: 'POST', framing: 'chunked', body: 'sum', trailers: ['x-sum', '1', 'x-sum', '2', 'x-empty', ''] },
    response: { framing: 'chunked', body: 'sum', trailers: ['x-back', 'b', 'grpc-status', '0'] },
  },
  {
    name: 'trailers that say who asks',
    request: {
      method: 'POST',
      framing: 'chunked',
      body: 'a',
      trailers: ['x-skein-client-id', 'spiffe://evil/', 'x-kept', '1'],
    },
    read: { trailers: ['x-kept', '1'] },
    response: { framing: 'chunked', body: 'a', trailers: ['x-skein-client-id', 'spiffe://evil/', 'x-kept', '1'] },
    answer: { trailers: ['x-kept', '1'] },
  },
  {
    name: 'DELETE with a body',
    request: { method: 'DELETE', framing: 'length', body: 'why' },
    response: { status: 202, framing: 'length' },
  },
  {
    name: 'a method of its own',
    request: { method: 'PURGE', path: '/cache' },
    response: { framing: 'length', body: 'ok' },
  },
  { name: 'OPTIONS *', request: { method: 'OPTIONS', path: '*' }, response: { framing: 'length' } },
  {
    name: 'a path with every oddity',
    request: { path: "/a%2Fb//c/../d;x=1/%00?q=a%20b&r='()*,;:@!$&r=/?" },
    response: { framing: 'length' },
  },
  {
    name: 'fields in order, doubled, empty, and beyond ASCII',
    request: {
      fields: ['x-b', '2', 'x-a', '1', 'x-b', '1', 'x-empty', '', 'x-latin', '\xe9\xff', 'x-list', 'a,  b\tc'],
    },
    response: {
      fields: [
        'set-cookie',
        'a=1',
        'x-b',
        '',
        'set-cookie',
        'b=2; Path=/',
        'x-latin',
        '\xe9\xff',
        'vary',
        'a',
        'vary',
        'b',
      ],
      framing: 'length',
      body: 'x',
    },
  },
  {
    name: 'names in capitals',
    clients: ['h1'],
    request: { fields: ['X-Some', 'Value'] },
    read: { fields: ['x-some', 'Value'] },
    response: { framing: 'length' },
  },
  {
    name: 'cookies in crumbs',
    clients: ['h2'],
    request: { fields: ['cookie', 'a=1', 'x-a', '1', 'cookie', 'b=2'] },
    read: { fields: ['cookie', 'a=1; b=2', 'x-a', '1'] },
    response: { framing: 'length' },
  },
  {
    name: 'fields of one connection',
    clients: ['h1'],
    request: {
      fields: [
        'connection',
        'x-hop',
        'x-hop',
        '1',
        'keep-alive',
        '5',
        'proxy-connection',
        'close',
        'proxy-authorization',
        'Basic eDp5',
        'x-end',
        '1',
      ],
    },
    read: { fields: ['x-end', '1'] },
    response: { framing: 'length' },
  },
  {
    name: 'fields of one connection in the answer',
    apps: ['h1'],
    request: {},
    response: {
      fields: ['connection', 'x-hop', 'x-hop', '1', 'keep-alive', 'timeout=5', 'x-end', '1'],
      framing: 'length',
      body: 'x',
    },
    answer: { fields: ['x-end', '1'] },
  },
  {
    name: 'an offer of h2c',
    clients: ['h1'],
    request: {
      fields: ['connection', 'upgrade, http2-settings', 'upgrade', 'h2c', 'http2-settings', 'AAMAAABkAAQAAP__'],
    },
    read: { fields: [] },
    response: { framing: 'length', body: 'x' },
  },
  {
    name: 'early hints, twice',
    request: {},
    response: {
      informational: [
        { status: 103, fields: ['link', '</a.css>; rel=preload'] },
        { status: 103, fields: ['link', '</b.css>; rel=preload', 'link', '</c.css>'] },
      ],
      framing: 'length',
      body: 'x',
    },
  },
  {
    name: 'a body that waits for the 100',
    request: { method: 'PUT', fields: ['expect', '100-continue'], framing: 'length', body: 'body' },
    response: { framing: 'length', body: 'got it' },
    answer: { informational: [{ status: 100, fields: [] }] },
  },
  {
    name: 'a body that is not wanted',
    request: { method: 'PUT', path: '/refused', fields: ['expect', '100-continue'], framing: 'length', body: 'body' },
    read: { body: '' },
    response: { status: 417, framing: 'length', body: 'no' },
  },
  {
    name: 'HEAD, with the length of what is not sent',
    request: { method: 'HEAD' },
    response: { fields: ['etag', '"1"'], framing: 'length', body: 'not sent' },
    answer: { body: '' },
  },
  { name: 'HEAD, of unknown length', request: { method: 'HEAD' }, response: { fields: ['etag', '"1"'] } },
  {
    name: '204',
    request: { method: 'PUT', framing: 'length', body: 'x' },
    response: { status: 204, fields: ['x-a', '1'] },
  },
  {
    name: '304, with the length of what is not sent',
    request: {},
    response: { status: 304, fields: ['etag', '"1"', 'content-length', '5'] },
    answer: { fields: ['etag', '"1"'], framing: 'length' },
  },
  { name: '304', request: {}, response: { status: 304, fields: ['etag', '"1"'] } },
  {
    name: 'an answer that ends with its connection',
    apps: ['h1'],
    request: {},
    response: { framing: 'bare', body: 'until the end' },
  },
  {
    name: 'an answer that ends with its stream',
    apps: ['h2'],
    request: {},
    response: { framing: 'bare', body: 'until the end' },
  },
  { name: 'an empty answer of unknown length', request: {}, response: { framing: 'chunked' } },
  {
    name: 'a failure with a body',
    request: { method: 'POST', framing: 'chunked', body: 'x' },
    response: { status: 503, fields: ['retry-after', '7'], framing: 'length', body: 'later' },
  },
];

/** Chunks are how HTTP/1.1 says what HTTP/2 says by the end of a stream. */
function framingAt(version: Version, framing: Framing, isEmpty: boolean): Framing {
  if (framing !== 'chunked' && framing !== 'bare') return framing;
  if (version === 'h1') return 'chunked';
  return isEmpty ? 'none' : 'bare';
}

describe('Two hops', () => {
  const cleanups: (() => unknown)[] = [];
  const t = { after: (run: () => unknown) => void cleanups.unshift(run) };
  const apps = {} as Record<Version, App>;
  let proxy = '';
  let current: Exchange;

  before(async () => {
    const mesh = await LocalMesh.start(t);
    const respond = (): Response => toResponse(current.response);
    apps.h1 = await startH1App(t, respond);
    apps.h2 = await startH2App(t, respond);
    await startSidecar(t, mesh, {
      services: ['h1', 'h2'],
      expose: [
        { service: 'h1', target: `http://${apps.h1.address}` },
        { service: 'h2', target: `h2c://${apps.h2.address}` },
      ],
    });
    proxy = (await startSidecar(t, mesh, { services: ['web'], listen: { http: ANY_PORT } })).proxy;
  });
  after(async () => {
    for (const run of cleanups) await run();
  });

  for (const client of ['h1', 'h2'] as const) {
    for (const app of ['h1', 'h2'] as const) {
      for (const exchange of EXCHANGES) {
        const { name, clients = [client], apps: at = [app] } = exchange;
        if (!clients.includes(client) || !at.includes(app)) continue;
        it(`${client} to ${app}: ${name}`, async () => {
          current = exchange;
          const request = toRequest(exchange.request);
          const authority = `${app}.mesh`;
          const before = apps[app].seen.length;
          const call = client === 'h1' ? h1Caller(t, proxy) : h2Caller(t, proxy);
          const answer = await call(authority, request);
          equal(answer.error, undefined);
          equal(apps[app].seen.length, before + 1, 'asked once');
          checkRead(exchange, app, authority);
          checkAnswer(exchange, client, answer);
        });
      }
    }
  }

  function checkRead(exchange: Exchange, app: Version, authority: string): void {
    const read = apps[app].seen.at(-1);
    const expected = { ...toRequest(exchange.request), ...exchange.read };
    const { method, path, body } = expected;
    deepEqual({ method: read?.method, path: read?.path, authority: read?.authority }, { method, path, authority });
    equal(read?.body, body);
    deepEqual(endToEnd(read?.fields ?? []), expected.fields);
    deepEqual(read?.trailers, expected.trailers);
    equal(read?.framing, framingAt(app, expected.framing, body === '' && expected.trailers.length === 0));
    const ids = (read?.fields ?? []).filter((_, i, all) => i % 2 === 1 && all[i - 1] === 'x-skein-client-id');
    deepEqual(ids, ['spiffe://skein.mesh/ns/default/sa/web']);
    const hop = (read?.fields ?? []).filter((_, i, all) => i % 2 === 1 && all[i - 1] === 'connection');
    deepEqual(hop, app === 'h1' ? ['te'] : []);
  }

  function checkAnswer(exchange: Exchange, client: Version, answer: Answer): void {
    const expected = { ...toResponse(exchange.response), ...exchange.answer };
    const { status, body, informational, trailers } = expected;
    deepEqual({ status: answer.status, informational: answer.informational }, { status, informational });
    equal(answer.body, body);
    deepEqual(endToEnd(answer.fields), expected.fields);
    deepEqual(answer.trailers, trailers);
    const isBodiless = exchange.request.method === 'HEAD' || status === 204 || status === 304;
    const framing = framingAt(client, expected.framing, body === '' && trailers.length === 0);
    equal(answer.framing, isBodiless && framing !== 'length' ? 'none' : framing);
  }
});
