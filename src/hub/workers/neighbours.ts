/** The trunks that a worker has dialled: one that breaks is dialled again, for as long as the worker at its other end lives. */

import { Backoff } from '../../core/backoff.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import type { Conversation } from '../../core/conversation.ts';
import { toSkeinError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Random } from '../../core/random.ts';
import type { Neighbour } from './trunks.ts';

export interface NeighboursOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** With the supervisor, who knows which workers live. */
  readonly conversation: Conversation;
  /** Resolves when the trunk is open. */
  readonly dial: (neighbour: Neighbour) => Promise<void>;
}

const CAP_MS = 5_000;
/** By then the supervisor knows of a worker that has ended: its port may be anybody's. */
const SETTLED_MS = 500;

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #waiting = new Map<string, Timer>();
  readonly #backoffs = new Map<string, Backoff>();
  #isClosed = false;

  constructor(options: NeighboursOptions) {
    this.#options = options;
  }

  /** Tells the others of `own`, and dials those who were there before: of two workers the one that comes later hears of the other. */
  async join(own: Neighbour): Promise<void> {
    const others = (await this.#options.conversation.ask('join', own)) as readonly Neighbour[];
    for (const neighbour of others) await this.#dial(neighbour);
  }

  /** The trunk to `neighbour` has ended by itself, or did not come about. */
  onBroken(neighbour: Neighbour): void {
    const { clock, random } = this.#options;
    const { hub } = neighbour;
    if (this.#isClosed || this.#waiting.has(hub)) return;
    const backoff = this.#backoffs.get(hub) ?? new Backoff(random, { capMs: CAP_MS });
    this.#backoffs.set(hub, backoff);
    this.#waiting.set(
      hub,
      clock.setTimer(SETTLED_MS + backoff.nextMs(), () => {
        this.#waiting.delete(hub);
        void this.#again(neighbour);
      }),
    );
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }

  /** The secret is shown to a port: whoever listens there must still be the worker that said so. */
  async #again(neighbour: Neighbour): Promise<void> {
    const { hub } = neighbour;
    const lives = await this.#options.conversation.ask('lives', hub).catch(() => false);
    if (this.#isClosed) return;
    if (lives === true) return this.#dial(neighbour);
    this.#backoffs.delete(hub);
  }

  async #dial(neighbour: Neighbour): Promise<void> {
    const { hub } = neighbour;
    try {
      await this.#options.dial(neighbour);
      this.#backoffs.get(hub)?.ease(1);
    } catch (thrown) {
      this.#options.log.log('warn', 'trunk-not-open', { hub, error: toSkeinError(thrown).message });
      this.onBroken(neighbour);
    }
  }
}
