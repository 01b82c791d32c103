/** What a peer may do how often: each bucket that runs dry ends the session (docs/protocol.md §7). */

import { SkeinError } from '../core/errors.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import { protocolError } from './codes.ts';
import type { TunnelOptions } from './options.ts';

export class PeerConduct {
  readonly #mistakes: TokenBucket;
  readonly #idleFrames: TokenBucket;
  readonly #pings: TokenBucket;

  constructor(limits: TunnelOptions, nowMs: number) {
    this.#mistakes = new TokenBucket(limits.errorResetsPerMinute / 60, limits.errorResetsPerMinute, nowMs);
    this.#idleFrames = new TokenBucket(limits.idleFramesPerSecond, limits.idleFramesBurst, nowMs);
    this.#pings = new TokenBucket(limits.pingsPerSecond, limits.pingsPerSecond, nowMs);
  }

  /** A stream-level mistake that makes us send a reset (CVE-2025-8671). Returns why the session must end, or undefined. */
  noteMistake(nowMs: number, problem: string): SkeinError | undefined {
    if (this.#mistakes.take(nowMs)) return undefined;
    return protocolError(`Cannot keep session: too many stream errors, the last is ${problem}`);
  }

  /** A frame that carries no data and changes nothing (CVE-2019-9512). */
  noteIdleFrame(nowMs: number): SkeinError | undefined {
    return this.#idleFrames.take(nowMs) ? undefined : limit('sends too many frames that change nothing');
  }

  notePing(nowMs: number): SkeinError | undefined {
    return this.#pings.take(nowMs) ? undefined : limit('sends too many PINGs');
  }
}

function limit(what: string): SkeinError {
  return new SkeinError('SKEIN_LIMIT', `Cannot keep session: the peer ${what}`);
}
