/** Registrar: tells the hub what this member serves, whole, whenever it changes and whenever a hub is new. */

import type { Channel } from '../control/channel.ts';
import type { ServedService } from '../control/messages.ts';
import type { Clock } from '../core/clock.ts';

export interface RegistrarOptions {
  readonly clock: Clock;
  readonly instance: string;
  readonly region: string | undefined;
  readonly zone: string | undefined;
  readonly services: () => ServedService[];
}

export class Registrar {
  readonly #options: RegistrarOptions;
  #channel: Channel | undefined;
  /** The next telling, which everybody who changes something now waits for. */
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  #isLeaving = false;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** Tells `channel`, and only that one from now on. @throws SkeinError SKEIN_NAME_NOT_GRANTED */
  attach(channel: Channel): Promise<void> {
    this.#channel = channel;
    return this.#tell(channel);
  }

  detach(channel: Channel): void {
    if (this.#channel === channel) this.#channel = undefined;
  }

  /**
   * Something is served that was not, or not any more. Resolves when the hub knows, at once where there is none: the next
   * one is told. Changes of one tick are told together.
   */
  changed(): Promise<void> {
    const channel = this.#channel;
    if (channel === undefined || channel.isClosed) return Promise.resolve();
    if (this.#next !== undefined) return this.#next;
    const before = this.#last;
    const next = new Promise<void>((resolve) => this.#options.clock.endOfTick(resolve))
      // One after the other, so that the hub hears of the last state last.
      .then(() => before.catch(() => undefined))
      .then(() => {
        this.#next = undefined;
        const current = this.#channel;
        return current === undefined || current.isClosed ? undefined : this.#tell(current);
      });
    this.#next = next;
    this.#last = next;
    return next;
  }

  /** Nobody should choose this member any more; nothing is told after. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#channel?.call('leave', {}, { timeoutMs: LEAVE_TIMEOUT_MS });
  }

  async #tell(channel: Channel): Promise<void> {
    if (this.#isLeaving) return;
    const { instance, region, zone, services } = this.#options;
    await channel.call('register', {
      instance,
      ...(region === undefined ? {} : { region }),
      ...(zone === undefined ? {} : { zone }),
      services: services(),
    });
  }
}

const LEAVE_TIMEOUT_MS = 2_000;
