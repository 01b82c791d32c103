/** Registrar: tells every connected hub what this member serves, whole, whenever it changes and whenever a hub is new. */

import type { Channel } from '../control/channel.ts';
import type { Registration, ServedService } from '../control/messages.ts';
import { Backoff } from '../core/backoff.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { type ErrorCode, type SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Random } from '../core/random.ts';

/** A hub that is told. */
export interface RegistrationTarget {
  readonly url: string;
  readonly channel: Channel;
}

export interface RegistrarOptions {
  readonly clock: Clock;
  readonly random: Random;
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
  readonly backoff: Backoff;
  /** Tells again what the hub had no time for. */
  retry: Timer | undefined;
}

/** The hub had no time, which is no verdict on what it was told. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['SKEIN_DEADLINE', 'SKEIN_LIMIT', 'SKEIN_STORE']);
const RETRY = { baseMs: 1_000, capMs: 30_000 } as const;
/** Not at once: the limit that was met is one per second. */
const LEAST_RETRY_MS = 500;
const LEAVE_TIMEOUT_MS = 2_000;

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
    const backoff = new Backoff(this.#options.random, RETRY);
    this.#hubs.set(hub, { last, next: undefined, backoff, retry: undefined });
    return last;
  }

  /**
   * Something is served that was not, or not any more. Resolves when a hub knows, at once where there is none: the next
   * one is told. Changes of one tick are told together.
   * @throws SkeinError when no hub has taken it
   */
  changed(): Promise<void> {
    return anyOf(this.#connected(), ([hub, telling]) => this.#tellNext(hub, telling));
  }

  /** Nobody should choose this member any more; nothing is told after. @throws SkeinError when no hub was told */
  leave(): Promise<void> {
    this.#isLeaving = true;
    return anyOf(this.#connected(), ([{ channel }]) => channel.call('leave', {}, { timeoutMs: LEAVE_TIMEOUT_MS }));
  }

  #connected(): Told[] {
    for (const [hub, { retry }] of this.#hubs) {
      if (!hub.channel.isClosed) continue;
      retry?.cancel();
      this.#hubs.delete(hub);
    }
    return [...this.#hubs];
  }

  #tellNext(hub: RegistrationTarget, telling: Telling): Promise<void> {
    if (telling.next !== undefined) return telling.next;
    const { clock } = this.#options;
    const before = telling.last;
    telling.retry?.cancel();
    const next = new Promise<void>((resolve) => clock.endOfTick(resolve))
      // One after the other, so that the hub hears of the last state last.
      .then(() => before.catch(() => undefined))
      .then(() => {
        telling.next = undefined;
        return hub.channel.isClosed ? undefined : this.#tell(hub);
      });
    next.then(
      () => telling.backoff.reset(),
      (thrown) => this.#onFailure(hub, telling, toSkeinError(thrown)),
    );
    telling.next = next;
    telling.last = next;
    return next;
  }

  #onFailure(hub: RegistrationTarget, telling: Telling, { code, reason, message }: SkeinError): void {
    if (hub.channel.isClosed) return;
    const { clock, log } = this.#options;
    log.log('error', 'services-not-registered', { hub: hub.url, reason, error: message });
    if (!PASSING.has(code)) return;
    telling.retry = clock.setTimer(Math.max(LEAST_RETRY_MS, telling.backoff.nextMs()), () => {
      if (!hub.channel.isClosed) this.#tellNext(hub, telling).catch(() => undefined); // it has been logged
    });
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

type Told = readonly [RegistrationTarget, Telling];

/**
 * Resolves when one hub has been told, or when there is none that could be: a channel that closes meanwhile counts for nothing.
 * @throws SkeinError that of the first hub, when all have failed
 */
async function anyOf(hubs: readonly Told[], tell: (told: Told) => Promise<unknown>): Promise<void> {
  if (hubs.length === 0) return;
  try {
    await Promise.any(hubs.map(tell));
  } catch (thrown) {
    const failed = hubs.findIndex(([{ channel }]) => !channel.isClosed);
    if (failed >= 0) throw (thrown as AggregateError).errors[failed];
  }
}
