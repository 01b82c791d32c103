/** Sockets for direct paths: a chosen local port, a WebSocket over whatever connection came about, and a door that says no to the rest. */

import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { SkeinError } from '../../../src/core/errors.ts';
import type { Doorkeeper, Listener, RawConnection } from '../../../src/core/platform.ts';
import { nodeDirectSockets as sockets } from '../../../src/runtime/node/direct-sockets.ts';
import { PipeRecorder } from './recorder.ts';

type Cleanup = { after(run: () => unknown): void };

/** A listener whose connections come one by one. */
class Doorstep {
  readonly listener: Listener;
  readonly #waiting: ((connection: RawConnection) => void)[] = [];
  readonly #come: RawConnection[] = [];

  private constructor(listener: Listener) {
    this.listener = listener;
  }

  static async open(t: Cleanup): Promise<Doorstep> {
    const listener = await sockets.listen({ host: '127.0.0.1', port: 0 }, (connection) => self.#take(connection));
    const self = new Doorstep(listener);
    t.after(() => {
      for (const connection of self.#come) connection.close();
      return listener.close();
    });
    return self;
  }

  get port(): number {
    return this.listener.port;
  }

  next(): Promise<RawConnection> {
    return new Promise((resolve) => {
      const there = this.#come.shift();
      if (there === undefined) this.#waiting.push(resolve);
      else resolve(there);
    });
  }

  #take(connection: RawConnection): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#come.push(connection);
    else waiting(connection);
  }
}

const door = (parts: Partial<Doorkeeper> = {}): Doorkeeper => ({
  admit: () => true,
  answer: () => undefined,
  ...parts,
});

async function dial(port: number, localPort?: number): Promise<RawConnection> {
  return sockets.connect({ host: '127.0.0.1', port, localPort });
}

/** A port that nobody has now. */
async function freePort(t: Cleanup): Promise<number> {
  const { listener } = await Doorstep.open(t);
  await listener.close();
  return listener.port;
}

test('Connections to two places may have the same local port, and the other ends see it', async (t) => {
  const [first, second] = [await Doorstep.open(t), await Doorstep.open(t)];
  const port = await freePort(t);
  const dialled = [await dial(first.port, port), await dial(second.port, port)];
  t.after(() => {
    for (const connection of dialled) connection.close();
  });
  deepEqual(
    dialled.map(({ localPort }) => localPort),
    [port, port],
  );
  for (const place of [first, second]) equal((await place.next()).remoteAddress, `127.0.0.1:${port}`);
});

test('A dialled connection becomes a WebSocket for the ticket that it shows', async (t) => {
  const place = await Doorstep.open(t);
  const shown: string[] = [];
  const [client, pipe] = await Promise.all([
    dial(place.port).then((connection) => connection.upgrade('0a1b')),
    place.next().then((connection) => connection.accept(door({ admit: (ticket) => shown.push(ticket) > 0 }))),
  ]);
  deepEqual(shown, ['0a1b']);
  const [a, b] = [new PipeRecorder(client), new PipeRecorder(pipe)];
  b.onEach = (message) => pipe.send(message);
  client.send(new Uint8Array(100_000).fill(7));
  await a.until(({ messages }) => messages.length === 1);
  equal(a.messages[0]?.length, 100_000);
  client.close(1000, 'done');
  await b.until(({ closed }) => closed !== undefined);
  equal(b.closed?.code, 1000);
});

test('Both ends may take either role on one connection, whoever dialled it', async (t) => {
  const place = await Doorstep.open(t);
  const [server, client] = await Promise.all([
    dial(place.port).then((connection) => connection.accept(door())),
    place.next().then((connection) => connection.upgrade('00')),
  ]);
  const recorder = new PipeRecorder(client);
  new PipeRecorder(server);
  server.send(new Uint8Array([1, 2, 3]));
  await recorder.until(({ messages }) => messages.length === 1);
  server.terminate();
});

test('A ticket that is refused costs the connection', async (t) => {
  const place = await Doorstep.open(t);
  const results = await Promise.allSettled([
    dial(place.port).then((connection) => connection.upgrade('00')),
    place.next().then((connection) => connection.accept(door({ admit: () => false }))),
  ]);
  for (const result of results)
    equal(result.status === 'rejected' && (result.reason as SkeinError).code, 'SKEIN_PEER_UNREACHABLE');
});

test('Asks and answers where a connection is seen, keeps it, and answers nothing else', async (t) => {
  const place = await Doorstep.open(t);
  const client = await dial(place.port);
  t.after(() => client.close());
  const accepted = await place.next();
  const guest = accepted.accept(door({ answer: (path) => (path === '/where' ? accepted.remoteAddress : undefined) }));
  guest.catch(() => undefined);
  equal(await client.get('peer:1', '/where'), `127.0.0.1:${client.localPort}`);
  const other = await dial(place.port);
  void place.next().then((connection) => connection.accept(door()).catch(() => undefined));
  await rejects(other.get('peer:1', '/etc/passwd'), { code: 'SKEIN_PEER_UNREACHABLE' });
});

for (const [name, words] of [
  ['words that are no HTTP', 'hello, is anybody there?\r\n\r\n'],
  ['an upgrade without a ticket', upgrade('skein.v1')],
  ['an upgrade without the subprotocol', upgrade('skein.ticket.00')],
  [
    'a ticket beside no WebSocket',
    'GET / HTTP/1.1\r\nhost: a\r\nsec-websocket-protocol: skein.v1, skein.ticket.00\r\n\r\n',
  ],
  ['a POST', 'POST /where HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc'],
  ['a head of 8 KiB', `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(8192)}\r\n\r\n`],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
] as const) {
  test(`Hangs up on ${name}`, async (t) => {
    const place = await Doorstep.open(t);
    const stranger: Socket = connect(place.port, '127.0.0.1');
    t.after(() => stranger.destroy());
    stranger.on('error', () => undefined);
    let heard = '';
    stranger.on('data', (chunk) => {
      heard += chunk.toString('latin1');
    });
    const guest = (await place.next()).accept(door());
    stranger.write(words, 'latin1');
    const closed = once(stranger, 'close');
    await rejects(guest, { code: 'SKEIN_PEER_UNREACHABLE' });
    await closed;
    ok(!heard.includes(' 101 ') && !heard.includes(' 200 '), heard);
  });
}

test('A refused dial says so at once, and an abandoned one rejects with the reason', async (t) => {
  const port = await freePort(t);
  const refused = await dial(port).catch((error: SkeinError) => error);
  ok(refused instanceof Error);
  deepEqual([refused.code, refused.details.systemCode], ['SKEIN_PEER_UNREACHABLE', 'ECONNREFUSED']);
  match(refused.message, /127\.0\.0\.1/);
  const stop = new AbortController();
  const reason = new Error('enough');
  const pending = sockets.connect({ host: '127.0.0.1', port, signal: stop.signal });
  stop.abort(reason);
  await rejects(pending, reason);
  await rejects(sockets.connect({ host: '127.0.0.1', port, signal: stop.signal }), reason);
});

test('An answer that is too long, or no answer, is refused', async (t) => {
  for (const words of [
    `HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n${'x'.repeat(4000)}`,
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(9000)}`,
    'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\n',
    'SSH-2.0-OpenSSH\r\n\r\n',
  ]) {
    const server = (await import('node:net')).createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write(words, 'latin1'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const connection = await dial((server.address() as { port: number }).port);
    await rejects(connection.get('a', '/'), { code: 'SKEIN_PEER_UNREACHABLE' }, words.slice(0, 40));
    connection.close();
  }
});

test('What the host says of itself stays the same, and is no address of loopback', async () => {
  const [first, second] = [await sockets.hostKey(), await sockets.hostKey()];
  deepEqual(first, second);
  if (process.platform === 'linux') equal(first?.length, 32);
  notEqual(sockets.localAddresses().find(({ ip }) => ip.startsWith('127.') || ip === '::1')?.ip, '127.0.0.1');
  equal(typeof (await sockets.isSlowAfterCrossing()), 'boolean');
});

function upgrade(protocols: string): string {
  const fields = {
    host: 'peer.invalid',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol': protocols,
  };
  return `GET / HTTP/1.1\r\n${Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;
}
