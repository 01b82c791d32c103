import { equal, ok } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { createMeshOn } from '../../src/index.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import type { LoadResult } from '../support/load.ts';
import { EventLog } from '../support/local-mesh.ts';
import { TestMesh } from '../support/mesh.ts';
import { HUB_ADDRESS, NatLab } from '../support/netns.ts';
import { ADMIN_TOKEN, HUB_WORKER, ObjectHub } from '../support/object-hub.ts';
import { runSkein, startHelper } from '../support/process.ts';
import { Workerd } from '../support/workerd.ts';

const noWorkerd = lacking('workerd');
const noLab = noWorkerd || lacking('network namespaces');
const HUB_PORT = 7000;
const MIB = 1024 * 1024;
const CALLS = 10_000;

/** What long streams repeat: no two of its parts look alike. */
const PATTERN = Uint8Array.from({ length: 64 * 1024 }, (_, at) => (at ^ (at >> 8)) & 0xff);
const MOST_BYTES = MIB;
const PATTERNS = new Uint8Array(MOST_BYTES + PATTERN.length).map((_, at) => PATTERN[at % PATTERN.length] as number);

const bytesFrom = (at: number, length: number): Uint8Array =>
  PATTERNS.subarray(at % PATTERN.length, (at % PATTERN.length) + length);

/** A request whose body and answer go on for as long as the test likes. */
class LongStream {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #sent = 0;
  #received = 0;

  constructor(writer: WritableStreamDefaultWriter<Uint8Array>, reader: ReadableStreamDefaultReader<Uint8Array>) {
    this.#writer = writer;
    this.#reader = reader;
  }

  static async open(fetch: typeof globalThis.fetch, url: string): Promise<LongStream> {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const reply = await fetch(url, { method: 'POST', body: readable, duplex: 'half' } as RequestInit);
    equal(reply.status, 200);
    return new LongStream(writable.getWriter(), reply.body!.getReader());
  }

  /** Sends the next `length` bytes and checks that they come back. */
  async echo(length: number): Promise<void> {
    const until = this.#sent + length;
    const writing = this.#write(until);
    while (this.#received < until) {
      const { value } = await this.#reader.read();
      ok(value !== undefined, 'the stream has ended');
      const expected = bytesFrom(this.#received, value.length);
      ok(Buffer.compare(value, expected) === 0, `other bytes from ${this.#received} on`);
      this.#received += value.length;
    }
    await writing;
  }

  async #write(until: number): Promise<void> {
    while (this.#sent < until) {
      const chunk = bytesFrom(this.#sent, Math.min(PATTERN.length, until - this.#sent)).slice();
      this.#sent += chunk.length;
      await this.#writer.write(chunk);
    }
  }
}

/** An echo for bodies, and for the rest a word with the caller's identity. */
const serve = (request: Request): Response =>
  new Response(request.body ?? `hello ${request.headers.get('x-skein-client-id')}`);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

describe('A hub in a Durable Object', () => {
  it('is used as any other: join tokens, resources, calls with a proven identity', { skip: noWorkerd }, async (t) => {
    const hub = await ObjectHub.start(t);
    const api = await hub.join('api');
    const web = await hub.join('web');
    await api.mesh.serve('api', serve);
    const reply = await web.mesh.fetch('http://api.mesh/');
    equal(await reply.text(), 'hello spiffe://skein.mesh/ns/default/sa/web');
    ok((await hub.command('get', 'policies')).out.includes('allow-same-namespace'));
    await hub.command('delete', 'AuthorizationPolicy/allow-same-namespace');
    await api.log.waitFor('policies-changed', 2);
    equal((await web.mesh.fetch('http://api.mesh/')).status, 403);
    ok((await hub.command('services')).out.includes('api'));
  });

  it('carries 10,000 requests and bodies both ways', { skip: noWorkerd }, async (t) => {
    const hub = await ObjectHub.start(t);
    const api = await hub.join('api');
    const web = await hub.join('web');
    await api.mesh.serve('api', serve);
    const call = async (): Promise<void> => {
      const reply = await web.mesh.fetch('http://api.mesh/');
      equal(reply.status, 200);
      await reply.text();
    };
    await call();
    let left = CALLS;
    const callsMs = await timed(() =>
      Promise.all(
        Array.from({ length: 32 }, async () => {
          while (left-- > 0) await call();
        }),
      ),
    );
    const before = await hub.metric('skein_hub_relayed_records_total');
    const stream = await LongStream.open(web.mesh.fetch, 'http://api.mesh/');
    const size = 32 * MIB;
    const streamMs = await timed(() => stream.echo(size));
    const records = (await hub.metric('skein_hub_relayed_records_total')) - before;
    printFigures('workerd-hub', {
      requests: CALLS,
      errors: 0,
      requestsPerSecond: Math.round((CALLS / callsMs) * 1000),
      echoedMiBPerSecond: Math.round((size / MIB / streamMs) * 1000),
      relayedRecordsPerSecond: Math.round((records / streamMs) * 1000),
    });
  });

  it('sleeps while nobody calls, and wakes with all members and every stream', { skip: noWorkerd }, async (t) => {
    const hub = await ObjectHub.start(t);
    const api = await hub.join('api');
    const web = await hub.join('web');
    await api.mesh.serve('api', serve);
    const stream = await LongStream.open(web.mesh.fetch, 'http://api.mesh/');
    await stream.echo(MIB);
    await hub.waitFor('hub-rests', 1);
    // The runtime ends its memory after ten seconds, in which its host has answered for it twice at most.
    await api.signs.waitFor(4);
    equal(hub.count('hub-wakes'), 0);
    const firstMs = await timed(() => stream.echo(1));
    equal(hub.count('hub-wakes'), 1);
    await stream.echo(MIB);
    const againMs = await timed(() => stream.echo(1));
    // Records were passed on; nobody had to say again who they are.
    equal(web.log.of('hub-renewed').length, 0);

    await hub.waitFor('hub-rests', 2);
    await api.signs.waitFor(4);
    // A newcomer is told to both, and finds both.
    const late = await hub.join('late');
    equal(hub.count('hub-wakes'), 2);
    equal(await (await late.mesh.fetch('http://api.mesh/')).text(), 'hello spiffe://skein.mesh/ns/default/sa/late');
    await late.mesh.serve('late', serve);
    equal(await (await web.mesh.fetch('http://late.mesh/')).text(), 'hello spiffe://skein.mesh/ns/default/sa/web');
    await stream.echo(MIB);
    for (const { log } of [api, web]) {
      equal(log.of('hub-lost').length, 0);
      equal(log.of('session-closed').length, 0);
    }
    printFigures('workerd-hub-sleep', { starts: await hub.starts(), wakeMs: round(firstMs), awakeMs: round(againMs) });
  });

  it('comes back with its storage: members by the identity they have kept', { skip: noWorkerd }, async (t) => {
    const hub = await ObjectHub.start(t);
    const api = await hub.join('api');
    const web = await hub.join('web');
    await api.mesh.serve('api', serve);
    await (await web.mesh.fetch('http://api.mesh/')).text();
    await hub.restart();
    await api.log.waitFor('hub-connected', 2);
    await web.log.waitFor('hub-connected', 2);
    equal(await (await web.mesh.fetch('http://api.mesh/')).text(), 'hello spiffe://skein.mesh/ns/default/sa/web');
    ok((await hub.command('get', 'policies')).out.includes('allow-same-namespace'));
  });

  it('refuses what is no message of ours, and whom it does not know', { skip: noWorkerd }, async (t) => {
    const hub = await ObjectHub.start(t);
    const ours = ['skein.v1'];
    equal(await endOf(hub.url, (socket) => socket.send('hello'), ours), 'close 1003');
    equal(await endOf(hub.url, (socket) => socket.send(new Uint8Array(256 * 1024 + 1)), ours), 'close 1009');
    // Nobody has proven anything: more than a handshake is not read.
    equal(await endOf(hub.url, (socket) => socket.send(new Uint8Array(80 * 1024)), ours), 'close 1000');
    equal(await endOf(`${hub.url}/elsewhere`, () => undefined, ours), 'status 404');
    equal(await endOf(hub.url, () => undefined, []), 'status 400');
    equal(await endOf(hub.url, () => undefined, ours, { origin: 'https://evil.example' }), 'status 403');
    const denied = await fetch(`${hub.worker.url}/v1/status`, { headers: { authorization: 'Bearer guessed' } });
    equal(denied.status, 401);
    const { mesh } = await hub.join('api');
    ok(mesh.id.endsWith('/sa/api'), 'and goes on with its work');
  });

  it('refuses the member that would be too much, and says why', { skip: noWorkerd }, async (t) => {
    const hub = await ObjectHub.start(t, 'test/support/workers/small-hub.ts');
    const first = await hub.join('api');
    await hub.join('web');
    const log = new EventLog();
    const token = await hub.token('third');
    const third = createMeshOn(nodePlatform(), { hub: hub.url, token, log, direct: false });
    await log.waitFor('hub-unreachable', 2);
    const error = String(log.of('hub-unreachable')[0]?.fields.error);
    ok(error.includes('full'), error);
    await hub.worker.program.waitForLog(({ text }) => text.includes('hub-full'));
    // Its token was not used up, and there is room.
    await first.mesh.close();
    const mesh = await third;
    t.after(() => mesh.close());
    equal(mesh.id, 'spiffe://skein.mesh/ns/default/sa/third');
  });

  it('says what is missing while it has no admin token', { skip: noWorkerd }, async (t) => {
    const worker = await Workerd.start({ ...HUB_WORKER, vars: {} });
    t.after(() => worker.close());
    const reply = await fetch(worker.url);
    equal(reply.status, 503);
    const { code, details } = (await reply.json()) as { code: string; details: { remedy: string } };
    equal(code, 'SKEIN_CONFIG');
    ok(details.remedy.includes('SKEIN_ADMIN_TOKEN'));
  });

  it('joins two sites that accept nothing from outside', { skip: noLab }, async (t) => {
    const lab = new NatLab([HUB_PORT]);
    t.after(() => lab.close());
    const within = lab.within('hub');
    const worker = await Workerd.start({ ...HUB_WORKER, listen: `${HUB_ADDRESS}:${HUB_PORT}`, within });
    t.after(() => worker.close());
    const mesh = TestMesh.withoutHub();
    t.after(() => mesh.close());
    const hub = `ws://${HUB_ADDRESS}:${HUB_PORT}`;
    const token = async (service: string): Promise<string> => {
      const env = { SKEIN_ADMIN_TOKEN: ADMIN_TOKEN };
      const { program } = await runSkein(['token', 'create', '--service', service, '--hub', hub], { within, env });
      return program.stdout.trim();
    };
    const origin = await mesh.startOrigin('b', lab.within('site-b'));
    await mesh.startSidecar({
      ...{ name: 'sidecar b', hub, within: lab.within('site-b'), token: await token('there') },
      expose: [`there=${origin.http}`],
    });
    const near = await mesh.startSidecar({
      ...{ name: 'sidecar a', hub, within: lab.within('site-a'), token: await token('here') },
    });
    const load = { kind: 'http', through: near.http, host: 'there.mesh', count: 500, concurrency: 16 };
    const client = startHelper('client', [JSON.stringify(load)], { within: lab.within('site-a') });
    equal((await client.waitForExit(120_000)).code, 0);
    const { failures, ...result } = JSON.parse(client.stdout) as LoadResult;
    printFigures('workerd-hub-nat', { ...result });
    equal(failures, 0);
  });
});

/** How a WebSocket ends that says this; or with which status it does not come about. */
function endOf(url: string, say: (socket: WebSocket) => void, protocols: string[], headers = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols, { headers });
    socket.on('open', () => say(socket));
    socket.on('unexpected-response', (_, { statusCode }) => resolve(`status ${statusCode}`));
    socket.on('close', (code) => resolve(`close ${code}`));
    socket.on('error', () => undefined);
  });
}

const round = (ms: number): number => Math.round(ms * 10) / 10;
