/** A circuit that somebody has opened to here, until its first record tells what it is for: a new session, or another path of one. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { Circuit, CircuitEvents } from '../tunnel/circuit.ts';
import { toWireCode } from '../tunnel/codes.ts';
import { readAttach } from '../tunnel/path-records.ts';

/** Exactly one of them is called, once. */
export interface IncomingCircuitEvents {
  onHandshake(first: Bytes): void;
  /** `sessionId` is hexadecimal, and nothing is proven yet. */
  onAttach(sessionId: string, first: Bytes): void;
  onEnd(): void;
}

export class IncomingCircuit implements CircuitEvents {
  readonly #circuit: Circuit;
  readonly #events: IncomingCircuitEvents;
  readonly #deadline: Timer;
  #isOver = false;

  constructor(circuit: Circuit, clock: Clock, timeoutMs: number, events: IncomingCircuitEvents) {
    this.#circuit = circuit;
    this.#events = events;
    this.#deadline = clock.setTimer(timeoutMs, () => this.close('SKEIN_HANDSHAKE'));
    circuit.attach(this);
  }

  close(code: 'SKEIN_HANDSHAKE' | 'SKEIN_CANCELLED' | 'SKEIN_PEER_UNREACHABLE'): void {
    if (!this.#finish()) return;
    this.#circuit.close(toWireCode(code));
    this.#events.onEnd();
  }

  onRecord(message: Bytes): void {
    if (!this.#finish()) return;
    const sessionId = readAttach(message);
    if (sessionId === undefined) this.#events.onHandshake(message);
    else this.#events.onAttach(sessionId, message);
  }

  onWritable(): void {}

  onClose(): void {
    if (this.#finish()) this.#events.onEnd();
  }

  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#deadline.cancel();
    return true;
  }
}
