/** Uplink: the link to one hub, made again for as long as that hub is wanted, with jitter between the dials. */

import { HUB_ROLES, type HubRole, tryReadRoles } from '../auth/hub-role.ts';
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
export const UPLINK_STATES = ['spare', 'waiting', 'dialling', 'connected', 'leaving'] as const;
export type UplinkState = (typeof UPLINK_STATES)[number];

/** Who holds several of them. Nothing is called after `close`. */
export interface UplinkOwner {
  /** The hub has proven who it is. @throws SkeinError with `sameHub` among its details: there is a link to it by another URL */
  onHub(connection: HubConnection): void;
  /** A connection stands; it is in use when this has resolved. */
  onUp(connection: HubConnection): Promise<void>;
  onConnected(uplink: Uplink, connection: HubConnection): void;
  /** The hub must be told all that it was told when the connection came into use. @throws SkeinError */
  onRenewed(connection: HubConnection): Promise<void>;
  /** The connection, which was in use, should be left; that is done when nothing uses it any more. */
  onLeaving(connection: HubConnection): void;
  isUsed(connection: HubConnection): boolean;
  /** Streams wait for a hub, any hub. */
  isAwaited(): boolean;
  /** The connection, which was in use, has ended. */
  onLost(uplink: Uplink, error: SkeinError): void;
  /** None came about. */
  onFailed(uplink: Uplink, error: SkeinError): void;
  /** It has held for long, or took too long to come about, or the hub has fallen silent or speaks again. */
  onChange(): void;
}

export interface UplinkOptions extends Omit<HubConnectionOptions, 'events'> {
  readonly platform: Platform;
  readonly url: string;
  readonly limits: AgentLimits;
  readonly log: Logger;
  readonly events: Pick<
    HubConnectionOptions['events'],
    'onCatalogue' | 'onSeal' | 'onCircuit' | 'onBeyondRoles' | 'onAudit' | 'onRevocations'
  >;
  readonly owner: UplinkOwner;
}

const GOAWAY_SPREAD = 0.5;
/** A hub that takes this member and throws it out at once is dialled again within 4 s, and not within the 20 s of one that is not there. */
const EASED_ATTEMPTS = 4;
/** How often a hub that is silent is dialled anew: it may be frozen, and its members should not all wait at its door. */
const REPLACE_EVERY_MS = 2_000;
/**
 * A hub that was restarted is found again in a part of the time that it was away: streams wait for it. Where nobody listens a
 * dial costs nobody anything, so that there are more of them.
 */
const WAIT_OF_AWAY = 0.25;
const WAIT_WHILE_ABSENT = 0.1;
/** Those for whom streams wait come before the others: their part of these waits. */
const WAIT_WHILE_AWAITED = 0.3;
/** A hub that is full says when to come back, and it says so to many: then, or as much later. */
const FULL_SPREAD_MS = 2_000;
const BAD_GATEWAY = 502;
/** A link that held for less does not show that the hub is there. */
const HELD_MS = 1_000;
/** When a URL is dialled again that leads to a hub which is connected by another one: behind a balancer it may lead elsewhere then. */
const SAME_HUB_MS = 300_000;
const SAME_HUB_SPREAD = 0.5;
/** How often it is looked whether a hub can be left. */
const LEAVE_POLL_MS = 50;

export class Uplink {
  readonly url: string;
  readonly #options: UplinkOptions;
  readonly #backoff: Backoff;
  readonly #swift: TokenBucket;
  #mayDialAtOnce = false;
  #upSinceMs = 0;
  /** Since when there has been no link that held for a while. */
  #awaySinceMs = 0;
  #state: UplinkState = 'spare';
  #isWanted = false;
  /** Ends what runs now: a pause, a dial, or the connection. */
  #stop = new AbortController();
  #isRunning = false;
  /** The connection that stands, in use or about to be. */
  #held: Holding | undefined;
  #connection: HubConnection | undefined;
  #isSteady = false;
  /** Runs while the first dial may be expected to succeed. */
  #hope: Timer | undefined;
  #leaving: Timer | undefined;
  /** Set by GOAWAY, and by a hub that is full: when to come back. */
  #returnAfterMs = 0;
  #lastError: SkeinError | undefined;
  /** As its SVID said last. */
  #roles: readonly HubRole[] | undefined;

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

  /** What the hub may do for members, as it has shown; undefined: it has not yet. */
  get knownRoles(): readonly HubRole[] | undefined {
    return this.#roles;
  }

  /** What it may do for members; until it has shown that, anything. */
  get roles(): readonly HubRole[] {
    return this.#roles ?? HUB_ROLES;
  }

  /** Dialled for as long as it takes. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** Connected and heard of, or likely to be at once. */
  get isPromising(): boolean {
    return this.#hope !== undefined || (this.#state === 'connected' && this.#connection?.isSilent === false);
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
    this.#awaySinceMs = this.#options.platform.clock.monotonicMs();
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
    this.#held?.connection.close(error);
    this.#held?.ending.end(error);
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
    const { platform, log, owner } = this.#options;
    log.log('warn', 'hub-lost', { hub: this.url, reason: error.reason, error: error.message });
    this.#state = 'waiting';
    this.#lastError = error;
    const nowMs = platform.clock.monotonicMs();
    if (nowMs - this.#upSinceMs >= HELD_MS) this.#awaySinceMs = nowMs;
    if (this.#isSteady && this.#isWanted && this.#returnAfterMs === 0) this.#startHope();
    this.#isSteady = false;
    owner.onLost(this, error);
  }

  #onFailed(error: SkeinError): void {
    this.#state = 'waiting';
    this.#lastError = error;
    this.#stopHope();
    const { platform, limits, owner } = this.#options;
    const { sameHub, retryAfterMs, roles } = error.details;
    this.#roles = tryReadRoles(roles) ?? this.#roles;
    if (sameHub !== undefined) this.#returnAfterMs = jitter(platform.random, SAME_HUB_MS, SAME_HUB_SPREAD);
    else if (typeof retryAfterMs === 'number') {
      const mostMs = limits.reconnectCapMs - FULL_SPREAD_MS;
      this.#returnAfterMs = Math.min(retryAfterMs, mostMs) + platform.random.ratio() * FULL_SPREAD_MS;
    }
    owner.onFailed(this, error);
  }

  /** Connects and resolves with the reason when the connection has ended. @throws SkeinError when it never came into use */
  async #hold(stop: AbortSignal): Promise<SkeinError> {
    this.#state = 'dialling';
    let holding = await this.#connect(stop);
    for (;;) {
      const steady = this.#take(holding);
      const outcome = await this.#holdUntilReplaced(holding, stop);
      steady.cancel();
      if (outcome instanceof SkeinError) {
        if (!stop.aborted) this.#letGo();
        return outcome;
      }
      this.#options.log.log('info', 'hub-replaced', { hub: this.url });
      holding.connection.close(new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot use link: the hub fell silent on it'));
      holding = outcome;
    }
  }

  /** @throws SkeinError when it does not come into use */
  async #connect(stop: AbortSignal, before?: Holding): Promise<Holding> {
    const ending = new Ending();
    const options = { ...this.#options, events: this.#events(ending) };
    const signal = before === undefined ? stop : AbortSignal.any([stop, before.ending.signal]);
    const connection = await HubConnection.open(this.url, options, signal, before?.connection);
    const holding = { connection, ending };
    const close = (): void => connection.close();
    stop.addEventListener('abort', close, { once: true });
    try {
      if (before === undefined) this.#held = holding;
      stop.throwIfAborted();
      await this.#options.owner.onUp(connection);
      await connection.settled();
      stop.throwIfAborted();
      if (ending.error !== undefined) throw ending.error;
      return holding;
    } catch (thrown) {
      connection.close();
      if (before === undefined && !stop.aborted) this.#letGo();
      throw ending.error ?? thrown;
    } finally {
      stop.removeEventListener('abort', close);
    }
  }

  /** It is in use from now on. */
  #take(holding: Holding): Timer {
    const { platform, limits, owner } = this.#options;
    this.#held = holding;
    this.#connection = holding.connection;
    this.#roles = holding.connection.roles;
    this.#state = this.#leaving === undefined ? 'connected' : 'leaving';
    this.#lastError = undefined;
    this.#stopHope();
    this.#backoff.ease(EASED_ATTEMPTS);
    this.#upSinceMs = platform.clock.monotonicMs();
    this.#mayDialAtOnce = this.#swift.take(this.#upSinceMs);
    const steady = platform.clock.setTimer(limits.healthyAfterMs, () => {
      this.#isSteady = true;
      this.#backoff.reset();
      owner.onChange();
    });
    owner.onConnected(this, holding.connection);
    return steady;
  }

  /** Resolves with the reason when the connection has ended, or with another one that came about while it was silent. */
  async #holdUntilReplaced(holding: Holding, stop: AbortSignal): Promise<SkeinError | Holding> {
    const { connection, ending } = holding;
    const { clock } = this.#options.platform;
    while (ending.error === undefined) {
      await ending.changed();
      this.#options.owner.onChange();
      while (connection.isSilent && ending.error === undefined && this.#leaving === undefined) {
        const next = await this.#tryConnect(stop, holding);
        if (next !== undefined) return next;
        await wait(clock, REPLACE_EVERY_MS, ending.signal).catch(() => undefined);
      }
      this.#options.owner.onChange();
    }
    return ending.error;
  }

  async #tryConnect(stop: AbortSignal, before: Holding): Promise<Holding | undefined> {
    try {
      return await this.#connect(stop, before);
    } catch (thrown) {
      const { reason, message } = toSkeinError(thrown);
      this.#options.log.log('debug', 'hub-not-replaced', { hub: this.url, reason, error: message });
      return undefined;
    }
  }

  #letGo(): void {
    this.#leaving?.cancel();
    this.#leaving = undefined;
    this.#connection = undefined;
    this.#held = undefined;
  }

  #events(ending: Ending): HubConnectionOptions['events'] {
    const { events, limits, platform, log, owner } = this.#options;
    return {
      ...events,
      onHub: owner.onHub,
      onGoAway: ({ reconnectInMs }, from) => {
        // A hub that leaves is believed no longer than one that does not answer: it may be in better hands by then.
        this.#returnAfterMs = jitter(platform.random, Math.min(reconnectInMs, limits.reconnectCapMs), GOAWAY_SPREAD);
        log.log('info', 'hub-leaving', { hub: from.url, reconnectInMs });
        this.#leave(from, 'SKEIN_DRAINING', 'it goes away');
      },
      onSilent: () => ending.note(),
      onRenewed: (from) => {
        log.log('info', 'hub-renewed', { hub: from.url });
        owner.onRenewed(from).catch((thrown) => {
          from.close(toSkeinError(thrown));
          ending.end(toSkeinError(thrown));
        });
      },
      onClose: (error) => ending.end(error),
    };
  }

  /** The hub waits for its members before it ends: what was begun is finished, then it is left. */
  #leave(connection: HubConnection, code: 'SKEIN_DRAINING' | 'SKEIN_CANCELLED', why: string): void {
    if (this.#leaving !== undefined) return;
    connection.isLeaving = true;
    const { platform, owner } = this.#options;
    this.#leaving = setPeriodic(platform.clock, LEAVE_POLL_MS, () => {
      if (connection !== this.#connection || owner.isUsed(connection)) return;
      this.drop(new SkeinError(code, `Cannot use hub: ${why}`));
    });
    if (connection !== this.#connection) return; // it will be when it comes into use
    this.#state = 'leaving';
    owner.onLeaving(connection);
  }

  /** Nobody listened at the last dial: there, or behind the proxy that stands before it. */
  get #isAbsent(): boolean {
    const { systemCode, httpStatus } = this.#lastError?.details ?? {};
    return systemCode === 'ECONNREFUSED' || httpStatus === BAD_GATEWAY;
  }

  /** False when it was told to stop meanwhile. */
  async #pause(stop: AbortSignal): Promise<boolean> {
    this.#state = 'waiting';
    const awayMs = this.#options.platform.clock.monotonicMs() - this.#awaySinceMs;
    const isAbsent = this.#isAbsent;
    const part = isAbsent && this.#options.owner.isAwaited() ? WAIT_WHILE_AWAITED : 1;
    const share = isAbsent ? WAIT_WHILE_ABSENT : WAIT_OF_AWAY;
    const backoffMs = this.#mayDialAtOnce ? 0 : this.#backoff.nextMs(awayMs * share) * part;
    const waitMs = Math.max(backoffMs, this.#returnAfterMs);
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

/** A connection, and what becomes of it. */
interface Holding {
  readonly connection: HubConnection;
  readonly ending: Ending;
}

/** The end of a connection, whoever brings it about, and news before it. */
class Ending {
  readonly #over = new AbortController();
  #error: SkeinError | undefined;
  #wake: () => void = () => undefined;

  get error(): SkeinError | undefined {
    return this.#error;
  }

  /** Aborted by the end. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** The first error counts. */
  end(error: SkeinError): void {
    this.#error ??= error;
    this.#over.abort();
    this.#wake();
  }

  /** There is news. */
  note(): void {
    this.#wake();
  }

  /** Resolves with the end, or with the next news. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#error !== undefined) resolve();
    });
  }
}
