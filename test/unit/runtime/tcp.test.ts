import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { afterEach, before, describe, it } from 'node:test';
import type { ByteStream } from '../../../src/core/byte-stream.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import type { Listener } from '../../../src/core/platform.ts';
import { createBunTcpConnector, createBunTcpListener } from '../../../src/runtime/bun/tcp.ts';
import { createTcpConnector, createTcpListener } from '../../../src/runtime/node/tcp.ts';
import { createNodeClock } from '../../../src/runtime/node-compat/clock.ts';
import { liveMemory } from '../../support/live-memory.ts';
import { StreamRecorder } from './recorder.ts';

const clock = createNodeClock();
/** On Bun there are two: sidecars have its own sockets, and workers that share a port those of `node:net`. */
const KINDS = [
  { of: 'node:net', listen: createTcpListener(clock), connect: createTcpConnector(clock) },
  ...('bun' in process.versions
    ? [{ of: 'Bun', listen: createBunTcpListener(clock), connect: createBunTcpConnector(clock) }]
    : []),
];
let { listen, connect } = KINDS[0] as (typeof KINDS)[number];
const KIB = 1024;
const MIB = 1024 * KIB;
const DONE = new SkeinError('SKEIN_CANCELLED', 'Cannot go on: test is over');

let cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

/** Our listener; `accept` gives the streams in the order of their coming. */
async function listening(): Promise<{ listener: Listener; accept(): Promise<ByteStream> }> {
  const streams: ByteStream[] = [];
  const waiting: ((stream: ByteStream) => void)[] = [];
  const listener = await listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    cleanups.push(() => stream.reset(DONE));
    const next = waiting.shift();
    if (next === undefined) streams.push(stream);
    else next(stream);
  });
  cleanups.push(() => listener.close());
  return {
    listener,
    accept: () => {
      const stream = streams.shift();
      return stream === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(stream);
    },
  };
}

function dial(port: number, onConnect?: () => void): ByteStream {
  const stream = connect({ host: '127.0.0.1', port }, onConnect);
  cleanups.push(() => stream.reset(DONE));
  return stream;
}

/** A server of the runtime's own, to look at the wire from outside. */
async function rawListening(onSocket: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    cleanups.push(() => socket.destroy());
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return { port: (server.address() as { port: number }).port, server };
}

async function rawDial(port: number): Promise<Socket> {
  const socket = netConnect({ host: '127.0.0.1', port, allowHalfOpen: true });
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** How often a long transfer is looked at. */
const SAMPLE_BYTES = 4 * MIB;

for (const kind of KINDS)
  describe(`TCP on ${kind.of}`, () => {
    before(() => {
      ({ listen, connect } = kind);
    });

    describe('TCP stream', () => {
      it('carries bytes both ways and says when it stands', async () => {
        const { listener, accept } = await listening();
        let connected = 0;
        const client = new StreamRecorder(dial(listener.port, () => connected++));
        client.stream.write(encodeUtf8('early '));
        const server = new StreamRecorder(await accept());
        client.stream.write(encodeUtf8('late'));
        await server.until(({ text }) => text === 'early late');
        server.stream.write(encodeUtf8('answer'));
        await client.until(({ text }) => text === 'answer');
        assert.equal(connected, 1);
        assert.match(listener.address, /^127\.0\.0\.1:\d+$/);
      });

      it('half-closes either way first, the other direction going on', async () => {
        const { listener, accept } = await listening();
        for (const first of ['client', 'server'] as const) {
          const dialled = new StreamRecorder(dial(listener.port));
          const accepted = new StreamRecorder(await accept());
          const [a, b] = first === 'client' ? [dialled, accepted] : [accepted, dialled];
          a.stream.write(encodeUtf8('question'));
          a.stream.end();
          a.stream.write(encodeUtf8(' ignored'));
          await b.until(({ ended }) => ended);
          assert.equal(b.text, 'question');
          b.stream.write(encodeUtf8('answer'));
          b.stream.end();
          await a.until(({ ended }) => ended);
          assert.equal(a.text, 'answer');
          assert.equal(a.error ?? b.error, undefined);
        }
      });

      it('ends an empty stream', async () => {
        const { listener, accept } = await listening();
        const client = new StreamRecorder(dial(listener.port));
        client.stream.end();
        const server = new StreamRecorder(await accept());
        await server.until(({ ended }) => ended);
        server.stream.end();
        await client.until(({ ended }) => ended);
        assert.equal(server.receivedBytes + client.receivedBytes, 0);
      });

      it('holds what arrives before attach, with the end', async () => {
        const { listener, accept } = await listening();
        const client = new StreamRecorder(dial(listener.port));
        client.stream.write(encodeUtf8('hello'));
        client.stream.end();
        const stream = await accept();
        await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
        const server = new StreamRecorder(stream);
        await server.until(({ ended }) => ended);
        assert.equal(server.text, 'hello');
      });

      it('hands the stream over to a later sink', async () => {
        const { listener, accept } = await listening();
        const client = new StreamRecorder(dial(listener.port));
        const first = new StreamRecorder(await accept());
        client.stream.write(encodeUtf8('one'));
        await first.until(({ text }) => text === 'one');
        const second = new StreamRecorder(first.stream);
        client.stream.write(encodeUtf8('two'));
        await second.until(({ text }) => text === 'two');
        assert.equal(first.text, 'one');
      });

      it('resets: the other end is told, nothing follows, bytes are dropped', async () => {
        const { listener, accept } = await listening();
        const client = new StreamRecorder(dial(listener.port));
        const server = new StreamRecorder(await accept());
        client.stream.write(encodeUtf8('x'));
        await server.until(({ text }) => text === 'x');
        client.stream.reset(DONE);
        client.stream.reset(DONE);
        client.stream.write(encodeUtf8('y'));
        client.stream.end();
        await server.until(({ error }) => error !== undefined);
        assert.equal(server.error?.code, 'SKEIN_STREAM_RESET');
        assert.equal(server.ended, false);
        assert.equal(server.late, 0);
        assert.equal(client.error, undefined);
      });

      it('sends RST, not FIN, on reset', async () => {
        const { listener, accept } = await listening();
        const socket = await rawDial(listener.port);
        let ended = false;
        socket.on('end', () => {
          ended = true;
        });
        socket.resume();
        const stream = await accept();
        stream.attach({ onData() {}, onEnd() {}, onDrain() {}, onReset() {} });
        stream.reset(DONE);
        const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
        assert.equal(error.code, 'ECONNRESET');
        assert.equal(ended, false);
      });

      it('tells of an RST from the other end', async () => {
        const { listener, accept } = await listening();
        const socket = await rawDial(listener.port);
        const server = new StreamRecorder(await accept());
        socket.resetAndDestroy();
        await server.until(({ error }) => error !== undefined);
        assert.equal(server.error?.code, 'SKEIN_STREAM_RESET');
        assert.equal(server.ended, false);
      });

      it('tells of an RST that comes instead of an end', async () => {
        const { listener, accept } = await listening();
        const socket = await rawDial(listener.port);
        socket.on('error', () => undefined);
        const server = new StreamRecorder(await accept());
        socket.once('end', () => socket.resetAndDestroy());
        socket.resume();
        server.stream.end();
        await server.until(({ error, ended }) => error !== undefined || ended);
        assert.equal(server.error?.code, 'SKEIN_STREAM_RESET');
        assert.equal(server.ended, false);
      });

      it('sends its end after all that was written, much of it before it stood', async () => {
        let received = 0;
        let ended = false;
        const { port } = await rawListening((socket) => {
          socket.on('data', (chunk: Buffer) => {
            received += chunk.length;
          });
          socket.on('end', () => {
            ended = true;
            socket.end();
          });
        });
        const client = new StreamRecorder(dial(port));
        for (let i = 0; i < 160; i++) client.stream.write(new Uint8Array(100 * KIB));
        client.stream.write(encodeUtf8('last'));
        client.stream.end();
        await client.until((recorder) => recorder.ended);
        assert.deepEqual(
          { received, ended, error: client.error },
          { received: 160 * 100 * KIB + 4, ended: true, error: undefined },
        );
      });

      it('says nothing of a dial that was given up', async () => {
        const accepted: Socket[] = [];
        const { port } = await rawListening((socket) => accepted.push(socket));
        let connected = 0;
        const given = new StreamRecorder(dial(port, () => connected++));
        given.stream.reset(DONE);
        const other = new StreamRecorder(dial(port));
        other.stream.write(encodeUtf8('x'));
        while (accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual([connected, given.error, given.ended], [0, undefined, false]);
      });

      it('tells of an RST that came before attach', async () => {
        let gone: () => void;
        const reset = new Promise<void>((resolve) => {
          gone = resolve;
        });
        const { port } = await rawListening((socket) => {
          socket.once('data', () => socket.resetAndDestroy());
          socket.once('close', () => gone());
        });
        const stream = dial(port);
        stream.write(encodeUtf8('x'));
        await reset;
        const client = new StreamRecorder(stream);
        await client.until(({ error }) => error !== undefined);
        assert.equal(client.error?.code, 'SKEIN_STREAM_RESET');
        assert.equal(client.ended, false);
      });

      it('says that nobody listens', async () => {
        const { listener } = await listening();
        await listener.close();
        const client = new StreamRecorder(dial(listener.port));
        client.stream.write(encodeUtf8('into the void'));
        await client.until(({ error }) => error !== undefined);
        assert.equal(client.error?.code, 'SKEIN_APP_UNREACHABLE');
        assert.equal(client.error?.message, `Cannot connect to 127.0.0.1:${listener.port}: connection refused`);
        assert.equal(client.error?.notProcessed, true);
        assert.equal(client.late, 0);
      });

      it('says that nobody listens to a sink that came later', async () => {
        const { listener } = await listening();
        await listener.close();
        const stream = dial(listener.port);
        const other = new StreamRecorder(dial(listener.port));
        await other.until(({ error }) => error !== undefined);
        const client = new StreamRecorder(stream);
        await client.until(({ error }) => error !== undefined);
        assert.equal(client.error?.code, 'SKEIN_APP_UNREACHABLE');
      });

      it('gives up a dial after its time', async () => {
        // 192.0.2.0/24 is for documentation: packets to it go nowhere, or the network says at once that it is unreachable.
        const stream = connect({ host: '192.0.2.1', port: 9, timeoutMs: 20 });
        const client = new StreamRecorder(stream);
        await client.until(({ error }) => error !== undefined);
        assert.equal(client.error?.code, 'SKEIN_APP_UNREACHABLE');
      });

      it('connects by name and by bracketed address', async () => {
        const { listener, accept } = await listening();
        for (const host of ['localhost', '127.0.0.1']) {
          const stream = connect({ host, port: listener.port });
          const client = new StreamRecorder(stream);
          const server = new StreamRecorder(await accept());
          client.stream.write(encodeUtf8(host));
          await server.until(({ text }) => text === host);
          client.stream.reset(DONE);
        }
      });

      it('pauses at 64 KiB without credit and goes on with it', async () => {
        const { listener, accept } = await listening();
        const client = new StreamRecorder(dial(listener.port));
        const server = new StreamRecorder(await accept(), { consumes: false });
        let offered = 0;
        while (offered < 32 * MIB && client.stream.write(new Uint8Array(16 * KIB))) {
          offered += 16 * KIB;
          await new Promise((resolve) => setImmediate(resolve));
        }
        assert.ok(offered < 32 * MIB, 'the writer was never asked to stop');
        // One read may overshoot by what the socket had at hand.
        assert.ok(
          server.receivedBytes >= 64 * KIB && server.receivedBytes <= 128 * KIB,
          `${server.receivedBytes} delivered`,
        );
        server.consumes = true;
        server.stream.consumed(server.receivedBytes);
        await client.until(({ drains }) => drains > 0);
        client.stream.end();
        await server.until(({ ended }) => ended);
        assert.equal(server.receivedBytes, offered + 16 * KIB);
      });

      it('asks the writer to stop at 64 KiB and tells it when there is room', async () => {
        const { listener, accept } = await listening();
        const client = new StreamRecorder(dial(listener.port));
        const server = new StreamRecorder(await accept());
        assert.equal(client.stream.write(new Uint8Array(60 * KIB)), true);
        assert.equal(client.stream.write(new Uint8Array(8 * KIB)), false);
        await client.until(({ drains }) => drains === 1);
        await server.until(({ receivedBytes }) => receivedBytes === 68 * KIB);
      });

      it('sends what is written in one tick in one segment', async () => {
        const chunks: number[] = [];
        const { port } = await rawListening((socket) =>
          socket.on('data', (chunk: Buffer) => chunks.push(chunk.length)),
        );
        const client = new StreamRecorder(
          dial(port, () => {
            for (let i = 0; i < 50; i++) client.stream.write(new Uint8Array(20));
          }),
        );
        while (chunks.length === 0) await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual(chunks, [1000]);
      });

      it('keeps single bytes for a reader that sleeps as bytes, not each as an object of its own', async () => {
        const { port } = await rawListening((socket) => socket.pause());
        const client = new StreamRecorder(dial(port));
        client.stream.write(new Uint8Array(32 * MIB)); // more than any kernel takes
        const [large, crumb] = [new Uint8Array(17 * KIB), new Uint8Array(1)];
        const before = liveMemory().heap;
        for (let tick = 0; tick < 60; tick++) {
          client.stream.write(large);
          for (let i = 0; i < 10_000; i++) client.stream.write(crumb);
          await new Promise((resolve) => setImmediate(resolve));
        }
        const grown = liveMemory().heap - before;
        assert.ok(grown < 40 * MIB, `${Math.round(grown / MIB)} MiB for 600,000 bytes`);
      });

      it('leaves what came as it was, of more connections than may have memory ahead', async () => {
        const { listener, accept } = await listening();
        const COUNT = 20;
        const pairs: { readonly from: ByteStream; readonly to: StreamRecorder }[] = [];
        for (let i = 0; i < COUNT; i++) {
          const from = dial(listener.port);
          pairs.push({ from, to: new StreamRecorder(await accept()) });
        }
        // Much, little and much again, of all at once; nothing of it is copied by the reader.
        const sizes = [512 * KIB, 100, 256 * KIB, 1, 128 * KIB];
        let total = 0;
        for (const [turn, bytes] of sizes.entries()) {
          total += bytes;
          for (const [i, { from }] of pairs.entries()) from.write(new Uint8Array(bytes).fill(i * sizes.length + turn));
          await Promise.all(pairs.map(({ to }) => to.until(({ receivedBytes }) => receivedBytes === total)));
        }
        for (const [i, { to }] of pairs.entries()) {
          let at = 0;
          for (const [turn, bytes] of sizes.entries()) {
            const part = to.bytes.subarray(at, at + bytes);
            assert.equal(
              part.findIndex((byte) => byte !== i * sizes.length + turn),
              -1,
              `connection ${i}, turn ${turn}`,
            );
            at += bytes;
          }
        }
      });

      it('moves 64 MiB through a slow reader in bounded memory', async () => {
        const total = 64 * MIB;
        const { listener, accept } = await listening();
        const client = new StreamRecorder(dial(listener.port));
        const server = new StreamRecorder(await accept(), { consumes: false });
        server.keeps = false;
        const chunk = new Uint8Array(64 * KIB).fill(7);
        const before = liveMemory();
        let peak = 0;
        let looks = 0;
        let mostOwed = 0;
        let consumed = 0;
        let written = 0;
        const read = (): void => {
          if (consumed >= looks * SAMPLE_BYTES) {
            looks++;
            peak = Math.max(peak, liveMemory().arrayBuffers);
          }
          const owed = server.receivedBytes - consumed;
          mostOwed = Math.max(mostOwed, owed);
          consumed += owed;
          if (owed > 0) server.stream.consumed(owed);
          if (!server.ended) setImmediate(read);
        };
        read();
        while (written < total) {
          written += chunk.length;
          if (!client.stream.write(chunk)) {
            const seen = client.drains;
            await client.until(({ drains }) => drains > seen);
          }
        }
        client.stream.end();
        await server.until(({ ended }) => ended);
        assert.equal(server.receivedBytes, total);
        const grown = peak - before.arrayBuffers;
        assert.ok(mostOwed <= 128 * KIB, `${mostOwed} bytes delivered without credit`);
        // Without back-pressure all 64 MiB would be alive.
        assert.ok(grown < 40 * MIB, `${Math.round(grown / MIB)} MiB of buffers at the peak`);
      });
    });

    describe('listenTcp', () => {
      it('says that the address is in use', async () => {
        const { listener } = await listening();
        await assert.rejects(
          listen({ host: '127.0.0.1', port: listener.port }, () => undefined),
          (error: unknown) => {
            assert.ok(error instanceof SkeinError);
            assert.equal(error.code, 'SKEIN_CONFIG');
            assert.equal(error.message, `Cannot listen on 127.0.0.1:${listener.port}: address in use`);
            return true;
          },
        );
      });

      it('keeps what is open when it closes, and frees the port', async () => {
        const { listener, accept } = await listening();
        const client = new StreamRecorder(dial(listener.port));
        const server = new StreamRecorder(await accept());
        await listener.close();
        await listener.close();
        client.stream.write(encodeUtf8('still here'));
        await server.until(({ text }) => text === 'still here');
        const again = await listen({ host: '127.0.0.1', port: listener.port }, () => undefined);
        await again.close();
      });
    });
  });
