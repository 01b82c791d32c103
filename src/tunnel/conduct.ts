/** What a peer may do how often: each bucket that runs dry ends the session (docs/protocol.md §7). */

import { SkeinError } from '../core/errors.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import { protocolError } from './codes.ts';
import type { TunnelOptions } from './options.ts';

export class PeerConduct {
  readonly #limits: TunnelOptions;
  /** Each made when it is needed: most peers do nothing of it for as long as they live. */
  #mistakes: TokenBucket | undefined;
  #idleFrames: TokenBucket | undefined;
  #pings: TokenBucket | undefined;

  constructor(limits: TunnelOptions) {
    this.#limits = limits;
  }

  /** A stream-level mistake that makes us send a reset (CVE-2025-8671). Returns why the session must end, or undefined. */
  noteMistake(nowMs: number, problem: string): SkeinError | undefined {
    const { errorResetsPerMinute } = this.#limits;
    this.#mistakes ??= new TokenBucket(errorResetsPerMinute / 60, errorResetsPerMinute, nowMs);
    if (this.#mistakes.take(nowMs)) return undefined;
    return protocolError(`Cannot keep session: too many stream errors, the last is ${problem}`);
  }

  /** A frame that carries no data and changes nothing (CVE-2019-9512). */
  noteIdleFrame(nowMs: number): SkeinError | undefined {
    const { idleFramesPerSecond, idleFramesBurst } = this.#limits;
    this.#idleFrames ??= new TokenBucket(idleFramesPerSecond, idleFramesBurst, nowMs);
    return this.#idleFrames.take(nowMs) ? undefined : limit('sends too many frames that change nothing');
  }

  notePing(nowMs: number): SkeinError | undefined {
    const { pingsPerSecond } = this.#limits;
    this.#pings ??= new TokenBucket(pingsPerSecond, pingsPerSecond, nowMs);
    return this.#pings.take(nowMs) ? undefined : limit('sends too many PINGs');
  }
}

function limit(what: string): SkeinError {
  return new SkeinError('SKEIN_LIMIT', `Cannot keep session: the peer ${what}`);
}
