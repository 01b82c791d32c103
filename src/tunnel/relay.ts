/**
 * Joins two circuits blindly: records pass sealed, in order, none is dropped, and what waits here never exceeds the
 * credit that was granted. The relay reads nothing behind the link header.
 */

import type { Bytes } from '../core/bytes.ts';
import type { SkeinError } from '../core/errors.ts';
import { type Circuit, type CircuitEvents, LINK_HEADER_BYTES, toKept } from './circuit.ts';
import { toWireCode } from './codes.ts';

/** Counters of one pairing, both directions together; `waitingBytes` is what the relay holds now. */
export interface RelayStats {
  messages: number;
  bytes: number;
  waitingBytes: number;
}

/** Gives back to a circuit the credit of a record that was passed on; who wants its sender slower does it later. */
export type GiveBack = (from: Circuit, bytes: number) => void;

const AT_ONCE: GiveBack = (from, bytes) => from.consumed(bytes);

/** `onClose` is called once, when either leg has closed; the other leg is closed with the same code. */
export function relayCircuits(
  a: Circuit,
  b: Circuit,
  onClose: (error: SkeinError) => void,
  giveBack: GiveBack = AT_ONCE,
): RelayStats {
  const stats: RelayStats = { messages: 0, bytes: 0, waitingBytes: 0 };
  let closed = false;
  const close = (error: SkeinError): void => {
    if (closed) return;
    closed = true;
    const code = toWireCode(error.code);
    a.close(code);
    b.close(code);
    onClose(error);
  };
  const legA: Leg = new Leg(a, b, { stats, close, giveBack, opposite: () => legB });
  const legB: Leg = new Leg(b, a, { stats, close, giveBack, opposite: () => legA });
  a.isRelayed = true;
  b.isRelayed = true;
  a.attach(legA);
  b.attach(legB);
  return stats;
}

interface LegOptions {
  readonly stats: RelayStats;
  readonly close: (error: SkeinError) => void;
  readonly giveBack: GiveBack;
  readonly opposite: () => Leg;
}

/** Records from one circuit to the other. */
class Leg implements CircuitEvents {
  readonly #from: Circuit;
  readonly #to: Circuit;
  readonly #stats: RelayStats;
  readonly #close: (error: SkeinError) => void;
  readonly #giveBack: GiveBack;
  readonly #opposite: () => Leg;
  readonly #waiting: Bytes[] = [];

  constructor(from: Circuit, to: Circuit, { stats, close, giveBack, opposite }: LegOptions) {
    this.#from = from;
    this.#to = to;
    this.#stats = stats;
    this.#close = close;
    this.#giveBack = giveBack;
    this.#opposite = opposite;
  }

  onRecord(message: Bytes): void {
    this.#waiting.push(message);
    this.#stats.waitingBytes += message.length;
    if (this.#waiting.length === 1) this.#request();
    const last = this.#waiting.length - 1;
    if (this.#waiting[last] === message) this.#waiting[last] = toKept(message); // it has to wait
  }

  /** `from` may send, which means that the opposite leg may pass one record on. */
  onWritable(): void {
    this.#opposite().forward();
  }

  forward(): void {
    const message = this.#waiting.shift();
    if (message === undefined) return;
    const recordBytes = message.length - LINK_HEADER_BYTES;
    this.#stats.waitingBytes -= message.length;
    this.#stats.messages++;
    this.#stats.bytes += recordBytes;
    this.#to.send(message);
    this.#giveBack(this.#from, recordBytes);
    this.#request();
  }

  #request(): void {
    const next = this.#waiting[0];
    if (next !== undefined) this.#to.requestWrite(next.length - LINK_HEADER_BYTES);
  }

  onClose(error: SkeinError): void {
    this.#stats.waitingBytes -= this.#waiting.reduce((sum, message) => sum + message.length, 0);
    this.#waiting.length = 0;
    this.#close(error);
  }
}
