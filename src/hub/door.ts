/** Door: takes or refuses links before they cost anything, and knows those that stand. */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { LimitedLog } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';
import type { MessagePipe, UpgradeDecision, UpgradeRequest } from '../core/platform.ts';
import { Anteroom } from './anteroom.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import type { LinkCounts } from './metrics.ts';
import type { HubLimits } from './options.ts';
import type { Refusals } from './refusals.ts';
import type { RestingLink } from './resting-link.ts';

export interface DoorOptions {
  readonly clock: Clock;
  readonly limits: HubLimits;
  readonly links: LinkCounts;
  readonly refusals: Refusals;
  readonly connection: ConnectionOptions;
  readonly isOpen: () => boolean;
}

/** Made when it is needed: an error keeps the stack of where it was made. */
function tooMany(): SkeinError {
  return new SkeinError('SKEIN_LIMIT', 'Cannot use link: newer ones wait, and it has not authenticated yet');
}

/** Each costs a handshake: as many as one core makes in that time, with room for what else there is to do. */
const RENEWED_AT_ONCE = 25;
const RENEW_EVERY_MS = 250;
const FULL_LOGGED = { perSecond: 1 / 60, burst: 1 } as const;
const FULL_REMEDY =
  'Name another hub to some of the members, or raise maxLinks in its limits if there is memory for more.';

export class Door {
  readonly #options: DoorOptions;
  readonly #connections = new Set<Connection>();
  readonly #anteroom: Anteroom;
  /** Who is refused comes back each second or so. */
  readonly #full: Logger;
  #onEmpty: () => void = () => undefined;

  constructor(options: DoorOptions) {
    this.#options = options;
    const { clock, limits, links, refusals } = options;
    this.#full = new LimitedLog(options.connection.log, clock, FULL_LOGGED);
    this.#anteroom = new Anteroom({
      ...{ clock, limits, isOpen: options.isOpen },
      hasRoom: (remoteAddress, coming) => links.halfOpen.hasRoom(remoteAddress, clock.monotonicMs(), coming),
      onRefused: () => refusals.count(this.isOpen ? 'limit' : 'draining'),
    });
  }

  /** Those who were not let in yet. */
  get waiting(): number {
    return this.#anteroom.size;
  }

  /** Links are taken: the hub has started, and does not go. */
  get isOpen(): boolean {
    return this.#options.isOpen();
  }

  /** Those that stand now; it may change while it is read. */
  connections(): readonly Connection[] {
    return [...this.#connections];
  }

  /** Calls `onEmpty` as soon as none is left. */
  whenEmpty(onEmpty: () => void): void {
    this.#onEmpty = onEmpty;
    if (this.#connections.size === 0) onEmpty();
  }

  /** Refuses a WebSocket before it costs anything, or lets it wait. */
  admit({ remoteAddress }: UpgradeRequest): UpgradeDecision | Promise<UpgradeDecision> {
    const { clock, limits, links, refusals, isOpen } = this.#options;
    const hasNoLink = this.#connections.size >= limits.maxLinks;
    const isFull = hasNoLink || !links.halfOpen.mayBegin(remoteAddress, clock.monotonicMs());
    if (isOpen() && !isFull) return this.#anteroom.enter(remoteAddress);
    if (hasNoLink) this.#full.log('warn', 'hub-full', { links: limits.maxLinks, remedy: FULL_REMEDY });
    refusals.count(isFull ? 'limit' : 'draining');
    return { status: 503, retryAfterSeconds: 1 };
  }

  accept(pipe: MessagePipe): void {
    const { clock, links, refusals, connection: options } = this.#options;
    const sinceMs = clock.monotonicMs();
    const settle = links.halfOpen.enter(pipe.remoteAddress, sinceMs, () => connection.close(tooMany()));
    if (settle === undefined) {
      refusals.count('limit');
      pipe.terminate();
      return;
    }
    links.accepted++;
    const connection: Connection = new Connection(pipe, options, {
      onSettled: (refusal) => {
        settle();
        const nowMs = clock.monotonicMs();
        if (refusal === undefined) links.halfOpen.noteDone(nowMs - sinceMs, nowMs);
        else refusals.note(pipe.remoteAddress, refusal);
      },
      onClose: () => this.#forget(connection),
    });
    this.#connections.add(connection);
  }

  /** A link that has outlived the sleep of this hub. */
  resume(pipe: MessagePipe, past: RestingLink): Connection {
    const { connection: options } = this.#options;
    const connection: Connection = new Connection(
      pipe,
      options,
      { onSettled: () => undefined, onClose: () => this.#forget(connection) },
      past,
    );
    this.#connections.add(connection);
    connection.join();
    return connection;
  }

  /** There is something new in the catalogue. What those who come know already is no news. */
  noteNews(): void {
    const { clock, isOpen } = this.#options;
    if (!isOpen()) return;
    const dormant = [...this.#connections].filter(({ isDormant }) => isDormant);
    for (let next = 0; next < dormant.length; next += RENEWED_AT_ONCE) {
      const some = dormant.slice(next, next + RENEWED_AT_ONCE);
      clock.setTimer((next / RENEWED_AT_ONCE) * RENEW_EVERY_MS, () => {
        for (const connection of some) connection.renew();
      });
    }
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty();
  }
}
