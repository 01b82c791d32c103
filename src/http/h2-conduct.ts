/** What the other end of an HTTP/2 connection may do how often, and which of its streams were reset here. */

import { TokenBucket } from '../core/token-bucket.ts';

/** Frames that change nothing: PING, SETTINGS, PRIORITY, empty DATA, unknown types (CVE-2019-9512, -9515, -9518). */
const IDLE_PER_SECOND = 200;
const IDLE_BURST = 1_000;
/** Streams that the other end resets (CVE-2023-44487). */
const RESETS_PER_SECOND = 100;
const RESETS_BURST = 200;
/** Streams that must be reset here, because the other end erred (CVE-2025-8671). */
const MISTAKES_PER_SECOND = 10;
const MISTAKES_BURST = 100;
/** Resets that are remembered, for frames that crossed them. */
const MAX_REMEMBERED = 256;

export class H2Conduct {
  readonly #idle: TokenBucket;
  readonly #resets: TokenBucket;
  readonly #mistakes: TokenBucket;
  readonly #wereReset = new Set<number>();

  constructor(nowMs: number) {
    this.#idle = new TokenBucket(IDLE_PER_SECOND, IDLE_BURST, nowMs);
    this.#resets = new TokenBucket(RESETS_PER_SECOND, RESETS_BURST, nowMs);
    this.#mistakes = new TokenBucket(MISTAKES_PER_SECOND, MISTAKES_BURST, nowMs);
  }

  /** Why the connection must end, or undefined. The same below. */
  noteIdleFrame(nowMs: number): string | undefined {
    return this.#idle.take(nowMs) ? undefined : 'too many frames change nothing';
  }

  noteReset(nowMs: number): string | undefined {
    return this.#resets.take(nowMs) ? undefined : 'too many streams are reset';
  }

  noteMistake(streamId: number, nowMs: number): string | undefined {
    this.#wereReset.add(streamId);
    if (this.#wereReset.size > MAX_REMEMBERED) {
      for (const oldest of this.#wereReset) {
        this.#wereReset.delete(oldest);
        break;
      }
    }
    return this.#mistakes.take(nowMs) ? undefined : 'too many streams had to be reset';
  }

  wasReset(streamId: number): boolean {
    return this.#wereReset.has(streamId);
  }
}
