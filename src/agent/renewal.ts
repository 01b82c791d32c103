/** Renewal: a fresh SVID in time, from a hub that issues, shown to every hub that holds a link for the one before. */

import { setPeriodic, type Timer } from '../core/clock.ts';
import { type SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import type { HubConnection } from './hub-connection.ts';
import type { Identity } from './identity.ts';

export interface RenewalOptions {
  readonly platform: Pick<Platform, 'clock' | 'random'>;
  readonly identity: Identity;
  readonly log: Logger;
  readonly renewAfterMs: number;
  /** Hubs that are connected. */
  readonly routes: () => readonly HubConnection[];
}

/** How often it is looked whether one is due: the clock of the wall may have jumped, or the machine slept. */
const CHECK_MS = 30_000;

export class Renewal {
  readonly #options: RenewalOptions;
  #timer: Timer | undefined;
  #underWay: Promise<void> | undefined;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  start(): void {
    const { platform, renewAfterMs } = this.#options;
    const { clock, random } = platform;
    const everyMs = Math.min(CHECK_MS, renewAfterMs / 10);
    // Others with this identity were started at the same moment: who looks at another one finds what the first has renewed.
    this.#timer = clock.setTimer(random.ratio() * everyMs, () => {
      this.#timer = setPeriodic(clock, everyMs, () => void this.look());
      void this.look();
    });
  }

  /** A hub has come into use, time has passed, or the issuer has other keys. Resolves when what was due is done, or has failed. */
  async look(): Promise<void> {
    await this.#underWay; // it may have gone by a link that is lost
    const { identity, log, routes } = this.#options;
    identity.keepAgain().catch(() => undefined); // it tells of its failures itself
    if (!identity.isRenewalDue || !routes().some((hub) => hub.plays('issuer'))) return;
    this.#underWay ??= this.#takeOrRenew()
      .catch((thrown) => log.log('warn', 'identity-not-renewed', { error: toSkeinError(thrown).message }))
      .finally(() => {
        this.#underWay = undefined;
      });
    await this.#underWay;
  }

  close(): void {
    this.#timer?.cancel();
  }

  async #takeOrRenew(): Promise<void> {
    const { identity, routes } = this.#options;
    if (await identity.takeKept()) await this.#present(routes());
    else await this.#renew();
    this.#renewTickets();
  }

  /** At every hub: by the tickets of the SVID before nobody is known again. */
  #renewTickets(): void {
    for (const hub of this.#options.routes()) void hub.renewTicket();
  }

  /** At every hub that issues: each of them ends a link with the SVID that it knows. @throws SkeinError when none has issued one */
  async #renew(): Promise<void> {
    const { identity, log, routes } = this.#options;
    let failure: SkeinError | undefined;
    let isRenewed = false;
    for (const hub of routes()) {
      if (!hub.plays('issuer')) continue;
      try {
        await identity.accept(await hub.callProven('renew', {}));
        isRenewed = true;
      } catch (thrown) {
        failure = toSkeinError(thrown);
      }
    }
    if (!isRenewed && failure !== undefined) throw failure;
    log.log('info', 'identity-renewed', {
      id: identity.id.uri,
      expiresAt: new Date(identity.expiresAtMs).toISOString(),
    });
    await this.#present(routes().filter((hub) => !hub.plays('issuer')));
  }

  /** Where nobody is shown it the link ends with the SVID before, and is made anew. */
  async #present(hubs: readonly HubConnection[]): Promise<void> {
    const { identity, log } = this.#options;
    for (const hub of hubs) {
      await hub.callProven('present', { wit: identity.text }).catch((thrown) => {
        log.log('warn', 'identity-not-presented', { hub: hub.url, error: toSkeinError(thrown).message });
      });
    }
  }
}
