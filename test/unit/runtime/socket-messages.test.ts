/** Messages that are read into memory used again: none may change while it waits for a slow receiver, and none is kept for ever. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import type { MessagePipe } from '../../../src/core/platform.ts';
import { createHttpListener } from '../../../src/runtime/node/http.ts';
import { readSlabs } from '../../../src/runtime/node/read-slabs.ts';
import { createWebSocketDialler } from '../../../src/runtime/node/websocket.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { OPCODE, rawUpgrade } from './raw-websocket.ts';
import { PipeRecorder } from './recorder.ts';

const KIB = 1024;
const dial = createWebSocketDialler();

/** Of a period that no size here is a multiple of. */
function numbered(length: number, seed: number): Buffer {
  return Buffer.alloc(
    length,
    Uint8Array.from({ length: 251 }, (_, i) => (i * 31 + seed) & 255),
  );
}

/** A server that passes on what its first guest sends to its second. */
async function withRelay(run: (relay: { url: string; port: number; guests: PipeRecorder[] }) => Promise<void>) {
  const guests: PipeRecorder[] = [];
  const pipes: MessagePipe[] = [];
  const listener = await createHttpListener()({
    ...{ host: '127.0.0.1', port: 0, fetch: () => new Response('') },
    onWebSocket: (pipe) => {
      pipes.push(pipe);
      const guest = new PipeRecorder(pipe);
      guests.push(guest);
      if (guests.length === 1) guest.onEach = (message) => guests[1]?.pipe.send(message);
    },
  });
  try {
    await run({ url: `ws://${listener.address}`, port: listener.port, guests });
  } finally {
    for (const pipe of pipes) pipe.terminate();
    await listener.close();
  }
}

describe('Messages of a socket', () => {
  for (const [name, sizes] of [
    ['full records', [66_076]],
    ['small messages', [300, 20, 1_000]],
    ['messages of any size', [3, 66_076, 128 * KIB, 500, 30_000, 0, 200 * KIB, 65_536]],
  ] as [string, number[]][]) {
    it(`stay as they are while they wait for a slow receiver: ${name}`, async () => {
      await withRelay(async ({ url, port, guests }) => {
        const sender = new PipeRecorder(await dial(url));
        const { socket, reader } = await rawUpgrade(port);
        socket.pause();
        let bytes = 0;
        let count = 0;
        // More than the kernel holds for one that does not read.
        for (; bytes < 24 * KIB * KIB && count < 20_000; count++) {
          const size = sizes[count % sizes.length] as number;
          bytes += size;
          sender.pipe.send(numbered(size, count));
          if (count % 50 === 0) await sender.until(({ pipe }) => pipe.outstandingBytes === 0);
        }
        await guests[0]?.until(({ messages }) => messages.length === count);
        socket.resume();
        while (reader.frames.length < count) await once(socket, 'data');
        for (const [at, { opcode, payload }] of reader.frames.entries()) {
          const size = sizes[at % sizes.length] as number;
          assert.ok(opcode === OPCODE.binary && payload.equals(numbered(size, at)), `message ${at} was altered`);
        }
        sender.pipe.terminate();
        socket.destroy();
        await guests[0]?.untilClosed();
        await guests[1]?.untilClosed();
        assert.ok(readSlabs.hasSpare);
      });
    });
  }

  it('are not outstanding once the kernel has them', { skip: lacking('own-reads') }, async () => {
    await withRelay(async ({ url, guests }) => {
      const { pipe } = new PipeRecorder(await dial(url));
      for (let i = 0; i < 3; i++) {
        pipe.send(numbered(20_000, i));
        assert.equal(pipe.outstandingBytes, 0);
      }
      await guests[0]?.until(({ messages }) => messages.length === 3);
      pipe.terminate();
    });
  });

  it('are let go of with a receiver that never reads', { skip: lacking('own-reads') }, async () => {
    await withRelay(async ({ url, port, guests }) => {
      const sender = new PipeRecorder(await dial(url));
      const { socket } = await rawUpgrade(port);
      socket.pause();
      for (let i = 0; i < 300; i++) sender.pipe.send(numbered(66_076, i));
      await guests[0]?.until(({ messages }) => messages.length === 300);
      assert.ok((guests[1]?.pipe.outstandingBytes ?? 0) > 0);
      assert.equal(readSlabs.hasSpare, false);
      guests[1]?.pipe.terminate();
      sender.pipe.terminate();
      await guests[0]?.untilClosed();
      await guests[1]?.untilClosed();
      assert.ok(readSlabs.hasSpare);
      socket.destroy();
    });
  });
});
