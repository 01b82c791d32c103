/** Uplink: keeps a connection to one of the hubs, for ever, and says so; only a refusal of this member is final. */

import { Backoff } from '../core/backoff.ts';
import { setPeriodic, type Timer, wait } from '../core/clock.ts';
import { type ErrorCode, SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { jitter } from '../core/random.ts';
import { HubConnection, type HubConnectionOptions, wasRefusedByHub } from './hub-connection.ts';
import type { AgentLimits } from './options.ts';

export interface UplinkOptions extends Omit<HubConnectionOptions, 'events'> {
  readonly platform: Platform;
  readonly hubs: readonly string[];
  readonly limits: AgentLimits;
  readonly log: Logger;
  readonly events: Pick<HubConnectionOptions['events'], 'onCatalogue' | 'onCircuit'>;
  /** A connection stands; it is in use when this has resolved. */
  readonly onUp: (connection: HubConnection) => Promise<void>;
  readonly onDown: (error: SkeinError) => void;
  /** Is there no stream that would end with the connection? */
  readonly isIdle: () => boolean;
}

/** Verdicts on this member: every further try would get the same. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SKEIN_IDENTITY',
  'SKEIN_NAME_NOT_GRANTED',
  'SKEIN_TOKEN_EXPIRED',
  'SKEIN_TOKEN_INVALID',
  'SKEIN_TOKEN_USED',
]);

const GOAWAY_SPREAD = 0.5;
/** A hub that took this member is dialled again within 4 s, however often it fails, and not within the 20 s of one that is not there. */
const EASED_ATTEMPTS = 4;
/** How often it is looked whether a hub that goes away can be left. */
const LEAVE_POLL_MS = 50;

export class Uplink {
  /** Resolves when a hub has taken this member for the first time. */
  readonly ready: Promise<void>;
  /** Rejects when this member was refused; never resolves. */
  readonly refused: Promise<never>;
  readonly #options: UplinkOptions;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #current: HubConnection | undefined;
  /** The connection that stands, in use or about to be. */
  #held: HubConnection | undefined;
  #isReady = false;
  #hub = 0;
  /** Set by GOAWAY: when to come back. */
  #returnAfterMs: number | undefined;
  #leaving: Timer | undefined;
  #ended: (error: SkeinError) => void = () => undefined;
  #resolveReady: () => void = () => undefined;
  #refuse: (error: SkeinError) => void = () => undefined;

  constructor(options: UplinkOptions) {
    this.#options = options;
    const { reconnectBaseMs: baseMs, reconnectCapMs: capMs } = options.limits;
    this.#backoff = new Backoff(options.platform.random, { baseMs, capMs });
    this.ready = new Promise((resolve) => {
      this.#resolveReady = resolve;
    });
    this.refused = new Promise((_, reject) => {
      this.#refuse = reject;
    });
    this.refused.catch(() => undefined); // the owner may not be waiting yet
  }

  /** The connection in use, or undefined. */
  get current(): HubConnection | undefined {
    return this.#current;
  }

  start(): void {
    this.#run().catch((thrown) => this.#refuse(toSkeinError(thrown)));
  }

  close(): void {
    this.#stop.abort();
    this.#leaving?.cancel();
    this.#held?.close();
    this.#current = undefined;
  }

  async #run(): Promise<void> {
    const { hubs, log } = this.#options;
    for (let round = 0; !this.#stop.signal.aborted; round++) {
      // Each hub once without a wait between, then patience.
      if (round % hubs.length === 0 && !(await this.#pause())) return;
      const url = hubs[this.#hub] as string;
      try {
        const error = await this.#hold(url);
        if (this.#stop.signal.aborted) return;
        log.log('warn', 'hub-lost', { hub: url, reason: error.reason, error: error.message });
        this.#options.onDown(error);
        round = -1;
      } catch (thrown) {
        const error = toSkeinError(thrown);
        if (this.#stop.signal.aborted) return;
        if (this.#isFinal(error)) throw error;
        log.log('warn', 'hub-unreachable', {
          hub: url,
          reason: error.reason,
          error: error.message,
          attempt: this.#backoff.attempts,
        });
      }
      this.#hub = (this.#hub + 1) % hubs.length;
    }
  }

  /** Connects and resolves with the reason when the connection has ended. @throws SkeinError when it never stood */
  async #hold(url: string): Promise<SkeinError> {
    const { platform, limits, log } = this.#options;
    let closedBy: SkeinError | undefined;
    const ended = new Promise<SkeinError>((resolve) => {
      this.#ended = (error) => {
        closedBy = error;
        resolve(error);
      };
    });
    const connection = await HubConnection.open(url, { ...this.#options, events: this.#events() }, this.#stop.signal);
    this.#held = connection;
    try {
      await this.#options.onUp(connection);
      this.#stop.signal.throwIfAborted();
    } catch (thrown) {
      connection.close();
      throw closedBy ?? thrown;
    }
    if (closedBy !== undefined) return closedBy;
    this.#current = connection;
    log.log('info', 'hub-connected', { hub: url });
    this.#isReady = true;
    this.#resolveReady();
    this.#backoff.ease(EASED_ATTEMPTS);
    const healthy: Timer = platform.clock.setTimer(limits.healthyAfterMs, () => this.#backoff.reset());
    const error = await ended;
    healthy.cancel();
    this.#leaving?.cancel();
    this.#current = undefined;
    return error;
  }

  #events(): HubConnectionOptions['events'] {
    const { events, platform, log } = this.#options;
    return {
      ...events,
      onGoAway: ({ reconnectInMs }, from) => {
        this.#returnAfterMs = jitter(platform.random, reconnectInMs, GOAWAY_SPREAD);
        log.log('info', 'hub-leaving', { hub: from.url, reconnectInMs });
        this.#leaveWhenIdle(from);
      },
      onClose: (error) => this.#ended(error),
    };
  }

  /** The hub waits for its members before it ends: what was begun is finished, then it is left. */
  #leaveWhenIdle(connection: HubConnection): void {
    this.#leaving?.cancel();
    this.#leaving = setPeriodic(this.#options.platform.clock, LEAVE_POLL_MS, () => {
      if (connection !== this.#current || !this.#options.isIdle()) return;
      const error = new SkeinError('SKEIN_DRAINING', 'Cannot use hub: it goes away');
      connection.close(error);
      this.#ended(error);
    });
  }

  /** False when it was told to stop meanwhile. */
  async #pause(): Promise<boolean> {
    const { hubs, platform } = this.#options;
    // A hub that leaves says when to come back; where there are others, one of them is asked at once.
    const waitMs =
      this.#returnAfterMs !== undefined && hubs.length === 1 ? this.#returnAfterMs : this.#backoff.nextMs();
    this.#returnAfterMs = undefined;
    try {
      if (waitMs > 0) await wait(platform.clock, waitMs, this.#stop.signal);
      return !this.#stop.signal.aborted;
    } catch {
      return false;
    }
  }

  /** What this end thinks of a hub may change with the next hub or its next certificate, but not before it was ever right. */
  #isFinal(error: SkeinError): boolean {
    return REFUSALS.has(error.code) && (!this.#isReady || wasRefusedByHub(error));
  }
}
