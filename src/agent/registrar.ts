/** Registrar: tells every connected hub what this member serves, whole, whenever it changes and whenever a hub is new. */

import type { Channel } from '../control/channel.ts';
import type { Registration, ServedService } from '../control/messages.ts';
import type { Clock } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

/** A hub that is told. */
export interface RegistrationTarget {
  readonly url: string;
  readonly channel: Channel;
}

export interface RegistrarOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly instance: string;
  readonly region: string | undefined;
  readonly zone: string | undefined;
  readonly services: () => ServedService[];
  /** How others may reach this member without a relay. */
  readonly reach?: () => Registration['reach'];
}

/** What one hub is being told. */
interface Telling {
  last: Promise<void>;
  /** The next telling, which everybody who changes something now waits for. */
  next: Promise<void> | undefined;
}

export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #hubs = new Map<RegistrationTarget, Telling>();
  #isLeaving = false;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** Tells `hub`, now and from now on, until its channel is closed. @throws SkeinError SKEIN_NAME_NOT_GRANTED */
  attach(hub: RegistrationTarget): Promise<void> {
    const last = this.#tell(hub);
    this.#hubs.set(hub, { last, next: undefined });
    return last;
  }

  /**
   * Something is served that was not, or not any more. Resolves when a hub knows, at once where there is none: the next
   * one is told. Changes of one tick are told together.
   * @throws SkeinError when no hub has taken it
   */
  changed(): Promise<void> {
    return anyOf(this.#connected().map(([hub, telling]) => this.#tellNext(hub, telling)));
  }

  /** Nobody should choose this member any more; nothing is told after. @throws SkeinError when no hub was told */
  leave(): Promise<void> {
    this.#isLeaving = true;
    return anyOf(this.#connected().map(([{ channel }]) => channel.call('leave', {}, { timeoutMs: LEAVE_TIMEOUT_MS })));
  }

  #connected(): [RegistrationTarget, Telling][] {
    for (const hub of this.#hubs.keys()) if (hub.channel.isClosed) this.#hubs.delete(hub);
    return [...this.#hubs];
  }

  #tellNext(hub: RegistrationTarget, telling: Telling): Promise<void> {
    if (telling.next !== undefined) return telling.next;
    const { clock, log } = this.#options;
    const before = telling.last;
    const next = new Promise<void>((resolve) => clock.endOfTick(resolve))
      // One after the other, so that the hub hears of the last state last.
      .then(() => before.catch(() => undefined))
      .then(() => {
        telling.next = undefined;
        return hub.channel.isClosed ? undefined : this.#tell(hub);
      });
    next.catch((thrown) => {
      const { reason, message } = toSkeinError(thrown);
      log.log('error', 'services-not-registered', { hub: hub.url, reason, error: message });
    });
    telling.next = next;
    telling.last = next;
    return next;
  }

  async #tell({ channel }: RegistrationTarget): Promise<void> {
    if (this.#isLeaving) return;
    const { instance, region, zone, services, reach } = this.#options;
    const reachable = reach?.();
    await channel.call('register', {
      instance,
      ...(region === undefined ? {} : { region }),
      ...(zone === undefined ? {} : { zone }),
      services: services(),
      ...(reachable === undefined ? {} : { reach: reachable }),
    });
  }
}

const LEAVE_TIMEOUT_MS = 2_000;

/** Resolves with the first that does, or where there is nothing to wait for. @throws SkeinError the first, when all have failed */
async function anyOf(work: readonly Promise<unknown>[]): Promise<void> {
  if (work.length === 0) return;
  try {
    await Promise.any(work);
  } catch (thrown) {
    throw (thrown as AggregateError).errors[0];
  }
}
