/** Strangers on accepted WebSockets: what one can make this end read, and how soon one that was refused is gone. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import type { MessagePipe } from '../../../src/core/platform.ts';
import { createHttpListener } from '../../../src/runtime/node/http.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { frame, OPCODE, rawUpgrade } from './raw-websocket.ts';
import { PipeRecorder } from './recorder.ts';

const KIB = 1024;
const LIMIT = 72 * KIB;

interface Guest {
  readonly server: PipeRecorder;
  readonly trust: () => void;
}

async function withStranger(
  run: (raw: Awaited<ReturnType<typeof rawUpgrade>>, accepted: Promise<Guest>) => Promise<void>,
): Promise<void> {
  let accept: (guest: Guest) => void;
  const accepted = new Promise<Guest>((resolve) => {
    accept = resolve;
  });
  const pipes: MessagePipe[] = [];
  const listener = await createHttpListener()({
    ...{ host: '127.0.0.1', port: 0, fetch: () => new Response('') },
    onWebSocket: (pipe) => {
      pipes.push(pipe);
      const trust = pipe.distrust?.(LIMIT);
      assert.ok(trust !== undefined);
      accept({ server: new PipeRecorder(pipe), trust });
    },
  });
  const raw = await rawUpgrade(listener.port);
  try {
    await run(raw, accepted);
  } finally {
    raw.socket.destroy();
    for (const pipe of pipes) pipe.terminate();
    await listener.close();
  }
}

describe('A stranger on a WebSocket', () => {
  for (const [name, frames] of [
    [
      'one message that does not end',
      [frame({ opcode: OPCODE.binary, length: 200 * KIB, payload: new Uint8Array(LIMIT) })],
    ],
    [
      'fragments of one message',
      Array.from({ length: 10 }, (_, i) =>
        frame({
          opcode: i === 0 ? OPCODE.binary : OPCODE.continuation,
          final: false,
          payload: new Uint8Array(8 * KIB),
        }),
      ),
    ],
    [
      'many whole messages',
      Array.from({ length: 80 }, () => frame({ opcode: OPCODE.binary, payload: new Uint8Array(KIB) })),
    ],
  ] as const) {
    it(`is dropped when it brings more than its limit: ${name}`, {
      skip: name !== 'many whole messages' && lacking('websocket-stranger-limit'),
    }, async () => {
      await withStranger(async ({ socket }, accepted) => {
        const { server } = await accepted;
        for (const bytes of frames) socket.write(bytes);
        assert.equal((await server.untilClosed()).code, 1006);
        const bytes = server.messages.reduce((sum, { length }) => sum + length, 0);
        assert.ok(bytes <= LIMIT, `${bytes} bytes were handed on`);
      });
    });
  }

  it('may say as much as its limit, and whatever it likes once it is trusted', async () => {
    await withStranger(async ({ socket }, accepted) => {
      const { server, trust } = await accepted;
      socket.write(frame({ opcode: OPCODE.binary, payload: new Uint8Array(64 * KIB) }));
      await server.until(({ messages }) => messages.length === 1);
      trust();
      for (let i = 0; i < 4; i++) socket.write(frame({ opcode: OPCODE.binary, payload: new Uint8Array(64 * KIB) }));
      await server.until(({ messages }) => messages.length === 5);
    });
  });

  it('that does not take leave is gone half a second after it was refused', async () => {
    await withStranger(async ({ socket }, accepted) => {
      const { server } = await accepted;
      const started = performance.now();
      server.pipe.close(1008, 'identity');
      await once(socket, 'close');
      const elapsedMs = performance.now() - started;
      // One that is trusted has 5 s, so this tells the two apart on a slow machine as well.
      assert.ok(elapsedMs >= 400 && elapsedMs < 4_000, `${elapsedMs} ms`);
      assert.equal((await server.untilClosed()).code, 1006);
    });
  });
});
