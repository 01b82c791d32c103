/** One session with one other member: opens streams on it for requests, and ends it when an identity does. */

import type { Grant } from '../auth/grant.ts';
import type { Endpoint } from '../catalog/endpoint.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { createStreamHandler } from '../http/exchange.ts';
import type { HttpHandler } from '../http/handler.ts';
import type { RequestHead } from '../http/head.ts';
import { encodeRequestHead, MAX_BLOCK_BYTES } from '../http/head-codec.ts';
import type { Upstream } from '../router/upstream.ts';
import type { TunnelObserver } from '../telemetry/observe.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import type { Session } from '../tunnel/session.ts';
import { STREAM_KIND } from '../tunnel/stream.ts';
import { describePath, tellPath } from './path-field.ts';
import { toRawStream } from './raw-stream.ts';

/** At this part of what is left of the peer's SVID new requests get a session with a fresh one; the old one ends with its SVID. */
const RETIRE_AT = 0.8;

/** Blocks are copied by the session, so that one buffer serves all. */
const scratch: Bytes = new Uint8Array(MAX_BLOCK_BYTES);

export interface PeerOptions {
  readonly session: Session;
  readonly identity: PeerIdentity;
  /** Did this end open the session? */
  readonly isInitiator: boolean;
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
}

export class Peer implements Upstream {
  readonly session: Session;
  readonly id: SpiffeId;
  readonly http: HttpHandler;
  readonly isInitiator: boolean;
  readonly #services: ReadonlySet<string>;
  readonly #timers: readonly Timer[];
  readonly #clock: Clock;
  #isRetired = false;
  /** Streams of either end so far, when it was looked last. */
  #streams = 0;
  #usedMs: number;
  /** Those who wait for the session to have a path again. */
  #waiting: (() => void)[] = [];
  /** Of `pathsDistrusted`, those that were told. */
  #toldDistrusted = 0;

  constructor({ session, identity, isInitiator, clock, decodeLatin1 }: PeerOptions) {
    const { services, expiresAtMs } = identity.grant as Grant;
    this.session = session;
    this.id = identity.id;
    this.isInitiator = isInitiator;
    this.#clock = clock;
    this.#usedMs = clock.monotonicMs();
    const http = createStreamHandler(
      (kind, block, length, complete) => session.openStream(kind, block, length, complete),
      decodeLatin1,
    );
    this.http = tellPath(http, () => describePath(session));
    this.#services = new Set(services);
    const leftMs = expiresAtMs - clock.epochMs();
    this.#timers = [
      clock.setTimer(leftMs * RETIRE_AT, () => this.retire()),
      clock.setTimer(leftMs, () =>
        session.close(
          new SkeinError('SKEIN_IDENTITY', 'Cannot keep session: the SVID of the peer has expired', {
            notProcessed: false,
          }),
        ),
      ),
    ];
  }

  get instance(): string {
    return this.session.remoteInstance;
  }

  /** When, in monotonic milliseconds, it was last seen to be used. */
  get usedMs(): number {
    return this.#usedMs;
  }

  /** Looks whether there was a stream since it was looked last: counting each of them as it comes would cost every request. */
  noteUse(): void {
    const { muxStats, openStreams } = this.session;
    const streams = (muxStats?.streamsOpened ?? 0) + (muxStats?.streamsAccepted ?? 0);
    if (openStreams > 0 || streams !== this.#streams) this.#usedMs = this.#clock.monotonicMs();
    this.#streams = streams;
  }

  /** May new streams be opened? */
  get isUsable(): boolean {
    return this.#isKept && !this.session.isSuspect;
  }

  /** Would it be usable, were it not out of reach for the moment? */
  get mayReturn(): boolean {
    return this.#isKept && this.session.isSuspect;
  }

  get #isKept(): boolean {
    return !this.#isRetired && this.session.isOpen && !this.session.isDraining;
  }

  /** Resolves when the peer is in reach again, the session is over, `limitMs` have passed, or `stopWaiting` says so. */
  returned(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(limitMs, resolve);
      this.#waiting.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** Its paths have changed. */
  noteReturn(): void {
    if (!this.mayReturn) this.stopWaiting();
  }

  /** Whoever waits for its return should do so no longer. */
  stopWaiting(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** How many of its paths were given up for what came on them, since it was last asked. */
  takeDistrusted(): number {
    const { pathsDistrusted } = this.session.stats;
    const news = pathsDistrusted - this.#toldDistrusted;
    this.#toldDistrusted = pathsDistrusted;
    return news;
  }

  /** Does the SVID of the peer say that it may serve that, whatever the catalogue says? */
  mayServe(service: string): boolean {
    return this.#services.has(service);
  }

  openRaw(head: RequestHead): ByteStream {
    const length = encodeRequestHead(scratch, head);
    return toRawStream(this.session.openStream(STREAM_KIND.raw, scratch, length, false));
  }

  /** No new streams from this side. */
  retire(): void {
    this.#isRetired = true;
  }

  /** The session is over. */
  release(): void {
    for (const timer of this.#timers) timer.cancel();
    this.stopWaiting();
  }
}

/**
 * A catalogue that was tampered with cannot lead a request to a member that was not granted the name.
 * @param refusals takes only so many lines a second
 * @throws SkeinError SKEIN_IDENTITY
 */
export function checkServes(
  peer: Peer,
  { service, id, instance }: Endpoint,
  observer: TunnelObserver | undefined,
  refusals: Logger,
): void {
  if (peer.id.uri === id && peer.mayServe(service)) return;
  observer?.noteEndpointRefused();
  refusals.log('warn', 'endpoint-refused', { instance, id: peer.id.uri, service });
  throw new SkeinError('SKEIN_IDENTITY', `Cannot use instance "${instance}": its identity may not serve "${service}"`);
}
