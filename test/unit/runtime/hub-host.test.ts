/** What a hub in a Durable Object finds of its WebSockets when its memory is made anew. */

import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import { HubHost, type RestingPipe } from '../../../src/runtime/workerd/hub-host.ts';
import type { ObjectContext, SleepingSocket } from '../../../src/runtime/workerd/object-types.ts';

const LIMITS = { restAfterMs: 60_000, alarmMs: 600_000, deadAfterMs: 20_000 };

/** As the runtime holds it: also one that this end has closed, until the other end answers that. */
class HeldSocket implements SleepingSocket {
  attachment: unknown;
  signMs = 0;
  readonly closes: number[] = [];

  constructor(attachment: unknown) {
    this.attachment = attachment;
  }

  send(): void {}

  close(code: number): void {
    this.closes.push(code);
  }

  serializeAttachment(value: unknown): void {
    this.attachment = value;
  }

  deserializeAttachment(): unknown {
    return this.attachment;
  }
}

/** A new memory of the object. @returns what the hub is given to go on with */
function wake(sockets: readonly HeldSocket[]): Promise<readonly RestingPipe[]> {
  Object.assign(globalThis, { WebSocketRequestResponsePair: class {} });
  const context: ObjectContext = {
    storage: { kv: new Map<string, unknown>() as never, setAlarm: async () => undefined },
    acceptWebSocket: () => undefined,
    getWebSockets: () => sockets,
    setWebSocketAutoResponse: () => undefined,
    getWebSocketAutoResponseTimestamp: (socket) => new Date((socket as HeldSocket).signMs),
    blockConcurrencyWhile: (work) => work(),
  };
  return new Promise((resolve) => {
    new HubHost({
      ...{ context, log: SILENT_LOGGER, limits: LIMITS, isHeartbeat: () => false },
      start: (_, resting) => {
        resolve(resting);
        // This is as far as the test goes: a hub that could not start would send all of them away.
        return new Promise(() => undefined);
      },
    });
  });
}

test('A WebSocket that was given up does not come back with what was left with it before', async () => {
  const state = new Uint8Array([1]);
  const nowMs = Date.now();
  const alive = new HeldSocket({ address: '', state, restedAtMs: nowMs });
  const dead = new HeldSocket({ address: '', state, restedAtMs: nowMs - 60_000 });
  deepEqual((await wake([alive, dead])).length, 1);
  deepEqual([alive.closes, dead.closes], [[], [1012]]);
  dead.signMs = nowMs;
  deepEqual((await wake([alive, dead])).length, 1);
});
