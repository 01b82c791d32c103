/** `Intruder`: somebody who has heard what the peers say to each other, knows the id of their session, and has no key. */

import { type Bytes, fromHex } from '../../../src/core/bytes.ts';
import type { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { type Circuit, LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import type { TunnelOptions } from '../../../src/tunnel/options.ts';
import { refuseAttach } from '../../../src/tunnel/path-records.ts';
import { RECORD_HEADER_BYTES, RECORD_PATH, writeRecordHeader } from '../../../src/tunnel/record.ts';
import type { ModelProcess } from './process.ts';
import { Route } from './route.ts';
import type { ModelSide } from './side.ts';
import type { WireEnd } from './wire.ts';

const ATTACH = 1;
const MAC_BYTES = 16;
/** Flag TAKE_OVER, and a next expected sequence of 0. */
const BODY = [1, 0];
const CODE = 16;
/** First byte of a link message with a record. */
const DATA_OF_VERSION_1 = 0x12;

export class Intruder {
  readonly #clock: VirtualClock;
  readonly #process: ModelProcess;
  readonly #limits: TunnelOptions;
  readonly #routes: Route[] = [];

  constructor(clock: VirtualClock, process: ModelProcess, limits: TunnelOptions) {
    this.#clock = clock;
    this.#process = process;
    this.#limits = limits;
  }

  /** Opens a circuit to `side` and says there what the peer said once, or what it might say. */
  open(side: ModelSide, says: 'replay' | 'forgery', pick: number): void {
    const route = new Route({
      kind: 'direct',
      latencyMs: 1,
      bytesPerSecond: 1_000_000,
      name: 'stranger',
      clock: this.#clock,
      near: this.#process,
      far: side.process,
      hub: this.#process,
      limits: this.#limits,
    });
    this.#routes.push(route);
    const attach = forgeAttach(side.session?.id ?? '', pick);
    side.accept(route.circuits.far, { kind: 'direct', via: route.name }, true);
    const replay = side.heard[pick % side.heard.length];
    route.circuits.near.send(says === 'replay' && replay !== undefined ? replay.slice() : attach);
  }

  /** Puts what `side` has heard before, or a refusal that nobody has sent, among the messages of one of its circuits. */
  inject(side: ModelSide, socket: WireEnd, circuit: Circuit, pick: number): void {
    const { session } = side;
    const isRefusal = pick % 4 === 0;
    // Who has no way that carries believes whoever says that the peer has gone: there is nobody else to ask.
    if (session === undefined || (isRefusal && side.needsPath)) return;
    const heard = side.heard[pick % side.heard.length];
    const message = isRefusal ? refuseAttach(forgeAttach(session.id, pick), CODE) : heard?.slice();
    if (message === undefined) return;
    message[0] = DATA_OF_VERSION_1;
    new DataView(message.buffer, message.byteOffset).setUint32(1, circuit.id);
    side.expectNoChange('a copy', circuit, () => socket.inject(message));
  }

  close(): void {
    for (const route of this.#routes) route.close();
  }
}

function forgeAttach(sessionId: string, counter: number): Bytes {
  const id = fromHex(sessionId);
  const at = LINK_HEADER_BYTES + RECORD_HEADER_BYTES;
  const message = new Uint8Array(at + 1 + id.length + BODY.length + MAC_BYTES).fill(counter & 255);
  writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_PATH, 0, counter);
  message[at] = ATTACH;
  message.set(id, at + 1);
  message.set(BODY, at + 1 + id.length);
  return message;
}
