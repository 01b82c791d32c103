/** Uplink: the link to one hub, made again for as long as that hub is wanted, with jitter between the dials. */

import { Backoff } from '../core/backoff.ts';
import { setPeriodic, type Timer, wait } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { jitter } from '../core/random.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import { HubConnection, type HubConnectionOptions } from './hub-connection.ts';
import type { AgentLimits } from './options.ts';

/** `spare`: not wanted now. `leaving`: the hub goes away, or is wanted no more; what was begun is finished on it. */
export type UplinkState = 'spare' | 'waiting' | 'dialling' | 'connected' | 'leaving';

/** Who holds several of them. Nothing is called after `close`. */
export interface UplinkOwner {
  /** A connection stands; it is in use when this has resolved. */
  onUp(connection: HubConnection): Promise<void>;
  onConnected(uplink: Uplink, connection: HubConnection): void;
  /** The connection, which was in use, should be left; that is done when nothing uses it any more. */
  onLeaving(connection: HubConnection): void;
  isUsed(connection: HubConnection): boolean;
  /** The connection, which was in use, has ended. */
  onLost(uplink: Uplink, error: SkeinError): void;
  /** None came about. */
  onFailed(uplink: Uplink, error: SkeinError): void;
  /** It has held for long, or took too long to come about. */
  onChange(): void;
}

export interface UplinkOptions extends Omit<HubConnectionOptions, 'events'> {
  readonly platform: Platform;
  readonly url: string;
  readonly limits: AgentLimits;
  readonly log: Logger;
  readonly events: Pick<HubConnectionOptions['events'], 'onCatalogue' | 'onCircuit'>;
  readonly owner: UplinkOwner;
}

const GOAWAY_SPREAD = 0.5;
/** A hub that takes this member and throws it out at once is dialled again within 4 s, and not within the 20 s of one that is not there. */
const EASED_ATTEMPTS = 4;
/** How often it is looked whether a hub can be left. */
const LEAVE_POLL_MS = 50;

export class Uplink {
  readonly url: string;
  readonly #options: UplinkOptions;
  readonly #backoff: Backoff;
  readonly #swift: TokenBucket;
  #mayDialAtOnce = false;
  #state: UplinkState = 'spare';
  #isWanted = false;
  /** Ends what runs now: a pause, a dial, or the connection. */
  #stop = new AbortController();
  #isRunning = false;
  /** The connection that stands, in use or about to be. */
  #held: HubConnection | undefined;
  #connection: HubConnection | undefined;
  #end: (error: SkeinError) => void = () => undefined;
  #isSteady = false;
  /** Runs while the first dial may be expected to succeed. */
  #hope: Timer | undefined;
  #leaving: Timer | undefined;
  /** Set by GOAWAY: when to come back. */
  #returnAfterMs = 0;
  #lastError: SkeinError | undefined;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.url = options.url;
    const { platform, limits } = options;
    const { reconnectBaseMs: baseMs, reconnectCapMs: capMs } = limits;
    this.#backoff = new Backoff(platform.random, { baseMs, capMs });
    this.#swift = new TokenBucket(limits.swiftDialsPerSecond, limits.swiftDialsBurst, platform.clock.monotonicMs());
  }

  get state(): UplinkState {
    return this.#state;
  }

  /** The connection in use, also while it is being left. */
  get connection(): HubConnection | undefined {
    return this.#connection;
  }

  /** Connected, or likely to be at once. */
  get isPromising(): boolean {
    return this.#state === 'connected' || this.#hope !== undefined;
  }

  /** Connected for so long that it may be relied on. */
  get isSteady(): boolean {
    return this.#state === 'connected' && this.#isSteady;
  }

  /** Why the last dial failed or the last connection ended; undefined while connected. */
  get lastError(): SkeinError | undefined {
    return this.#lastError;
  }

  /** Dials, at once, and for as long as it takes. Idempotent. */
  want(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    if (this.#isRunning && !this.#stop.signal.aborted) return; // it is being left, and dialled again after
    this.#backoff.reset();
    this.#startHope();
    this.#stop = new AbortController();
    this.#isRunning = true;
    this.#run(this.#stop.signal).catch((thrown) => {
      this.#options.log.log('error', 'uplink-failed', { hub: this.url, error: toSkeinError(thrown).message });
    });
  }

  /** Gives up a dial under way; leaves a connection as soon as nothing uses it. Idempotent. */
  release(): void {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    if (this.#connection === undefined) this.#abort();
    else this.#leave(this.#connection, 'SKEIN_CANCELLED', 'there are better ones');
  }

  /** The connection is of no use. */
  drop(error: SkeinError): void {
    this.#held?.close(error);
    this.#end(error);
  }

  close(): void {
    this.#isWanted = false;
    this.#abort();
  }

  #abort(): void {
    this.#stop.abort();
    this.#stopHope();
    this.#state = 'spare';
    this.drop(new SkeinError('SKEIN_CANCELLED', 'Cannot use hub: this member has left it'));
    this.#letGo();
  }

  async #run(stop: AbortSignal): Promise<void> {
    while (this.#isWanted && !stop.aborted) {
      if (!(await this.#pause(stop))) return;
      try {
        const error = await this.#hold(stop);
        if (!stop.aborted) this.#onLost(error);
      } catch (thrown) {
        if (!stop.aborted) this.#onFailed(toSkeinError(thrown));
      }
    }
    if (stop.aborted) return;
    this.#state = 'spare';
    this.#isRunning = false;
  }

  #onLost(error: SkeinError): void {
    const { log, owner } = this.#options;
    log.log('warn', 'hub-lost', { hub: this.url, reason: error.reason, error: error.message });
    this.#state = 'waiting';
    this.#lastError = error;
    if (this.#isSteady && this.#isWanted && this.#returnAfterMs === 0) this.#startHope();
    this.#isSteady = false;
    owner.onLost(this, error);
  }

  #onFailed(error: SkeinError): void {
    this.#state = 'waiting';
    this.#lastError = error;
    this.#stopHope();
    this.#options.owner.onFailed(this, error);
  }

  /** Connects and resolves with the reason when the connection has ended. @throws SkeinError when it never came into use */
  async #hold(stop: AbortSignal): Promise<SkeinError> {
    const { platform, limits, owner } = this.#options;
    this.#state = 'dialling';
    let closedBy: SkeinError | undefined;
    let resolveEnded: (error: SkeinError) => void = () => undefined;
    const ended = new Promise<SkeinError>((resolve) => {
      resolveEnded = resolve;
    });
    const end = (error: SkeinError): void => {
      closedBy ??= error;
      resolveEnded(closedBy);
    };
    const connection = await HubConnection.open(this.url, { ...this.#options, events: this.#events(end) }, stop);
    try {
      stop.throwIfAborted();
      this.#held = connection;
      this.#end = end;
      await owner.onUp(connection);
      stop.throwIfAborted();
      if (closedBy !== undefined) throw closedBy;
    } catch (thrown) {
      connection.close();
      if (!stop.aborted) this.#letGo();
      throw closedBy ?? thrown;
    }
    this.#connection = connection;
    this.#state = this.#leaving === undefined ? 'connected' : 'leaving';
    this.#lastError = undefined;
    this.#stopHope();
    this.#backoff.ease(EASED_ATTEMPTS);
    this.#mayDialAtOnce = this.#swift.take(platform.clock.monotonicMs());
    const steady = platform.clock.setTimer(limits.healthyAfterMs, () => {
      this.#isSteady = true;
      this.#backoff.reset();
      owner.onChange();
    });
    owner.onConnected(this, connection);
    const error = await ended;
    steady.cancel();
    if (!stop.aborted) this.#letGo();
    return error;
  }

  #letGo(): void {
    this.#leaving?.cancel();
    this.#leaving = undefined;
    this.#connection = undefined;
    this.#held = undefined;
    this.#end = () => undefined;
  }

  #events(end: (error: SkeinError) => void): HubConnectionOptions['events'] {
    const { events, platform, log } = this.#options;
    return {
      ...events,
      onGoAway: ({ reconnectInMs }, from) => {
        this.#returnAfterMs = jitter(platform.random, reconnectInMs, GOAWAY_SPREAD);
        log.log('info', 'hub-leaving', { hub: from.url, reconnectInMs });
        this.#leave(from, 'SKEIN_DRAINING', 'it goes away');
      },
      onClose: end,
    };
  }

  /** The hub waits for its members before it ends: what was begun is finished, then it is left. */
  #leave(connection: HubConnection, code: 'SKEIN_DRAINING' | 'SKEIN_CANCELLED', why: string): void {
    if (this.#leaving !== undefined) return;
    const { platform, owner } = this.#options;
    this.#leaving = setPeriodic(platform.clock, LEAVE_POLL_MS, () => {
      if (connection !== this.#connection || owner.isUsed(connection)) return;
      this.drop(new SkeinError(code, `Cannot use hub: ${why}`));
    });
    if (connection !== this.#connection) return; // it will be when it comes into use
    this.#state = 'leaving';
    owner.onLeaving(connection);
  }

  /** False when it was told to stop meanwhile. */
  async #pause(stop: AbortSignal): Promise<boolean> {
    this.#state = 'waiting';
    const waitMs = Math.max(this.#mayDialAtOnce ? 0 : this.#backoff.nextMs(), this.#returnAfterMs);
    this.#returnAfterMs = 0;
    this.#mayDialAtOnce = false;
    try {
      if (waitMs > 0) await wait(this.#options.platform.clock, waitMs, stop);
      return !stop.aborted;
    } catch {
      return false;
    }
  }

  #startHope(): void {
    const { platform, limits, owner } = this.#options;
    this.#stopHope();
    this.#hope = platform.clock.setTimer(limits.nextHubAfterMs, () => {
      this.#hope = undefined;
      owner.onChange();
    });
  }

  #stopHope(): void {
    this.#hope?.cancel();
    this.#hope = undefined;
  }
}
