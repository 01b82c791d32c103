/**
 * The sleep of an acceptor, as its link knows it: what must outlive it, and how a session on circuit 0 that it has forgotten is
 * followed by another one on the same link (docs/decisions/0021).
 */

import { type Bytes, equalBytes } from '../core/bytes.ts';
import type { Random } from '../core/random.ts';
import type { CircuitPast } from './circuit.ts';
import type { CircuitIds } from './circuit-table.ts';
import { encodeRenew, isRenew, readHello, SLEEP } from './link-message.ts';

/** What must outlive an end that sleeps, so that its link goes on; the session on circuit 0 is not part of it. */
export interface LinkPast extends CircuitIds {
  /** The dialler's first. */
  readonly hellos: readonly [Bytes, Bytes];
  /** Circuit 0 among them. */
  readonly circuits: readonly CircuitPast[];
}

export class LinkSleep {
  readonly #role: 'dialler' | 'acceptor';
  /** The RENEW by which the present session on circuit 0 began; undefined: it is the first. */
  #renewal: Bytes | undefined;
  /** What an acceptor knows of that session; the dialler has been told while another one is `awaited`. */
  #memory: 'whole' | 'forgotten' | 'awaited';
  #isKnown = false;

  constructor(role: 'dialler' | 'acceptor', isAwake: boolean) {
    this.#role = role;
    this.#memory = isAwake ? 'whole' : 'forgotten';
  }

  /** The other end knows of sleep. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  get isAwaiting(): boolean {
    return this.#memory === 'awaited';
  }

  /** What comes on circuit 0 is for a session that is there. */
  get remembers(): boolean {
    return this.#memory === 'whole';
  }

  /** RENEW, where there was one: it enters the prologue behind the HELLOs. */
  get transcript(): readonly Bytes[] {
    return this.#renewal === undefined ? [] : [this.#renewal];
  }

  onHello(hello: Bytes): void {
    this.#isKnown = ((readHello(hello)?.features ?? 0) & SLEEP) !== 0;
  }

  /** RENEW for the dialler, unless it has it already or has nothing to renew. */
  ask(random: Random): Bytes | undefined {
    if (this.#memory !== 'forgotten') return undefined;
    this.#memory = 'awaited';
    this.#renewal = encodeRenew(random);
    return this.#renewal.slice();
  }

  /** False: nobody sleeps, or this answers something else. */
  onRenew(message: Bytes): boolean {
    const isAsked = this.#role === 'dialler' && this.#isKnown;
    const isAnswer = this.#memory === 'awaited' && this.#renewal !== undefined && equalBytes(message, this.#renewal);
    if (!isRenew(message) || !(isAsked || isAnswer)) return false;
    this.#renewal = message.slice();
    this.#memory = 'whole';
    return true;
  }
}
