/** Log lines about refused streams: who, what, by which rule; so many a second, because callers decide how often. */

import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { TokenBucket } from '../core/token-bucket.ts';
import type { AgentLimits } from './options.ts';

export interface Denial {
  readonly caller: string;
  /** `name.namespace:port` */
  readonly service: string;
  readonly rule: string;
  /** Absent for raw streams. */
  readonly method?: string;
  /** Without its query. */
  readonly path?: string;
}

export class DenialLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #tokens: TokenBucket;
  #dropped = 0;

  constructor(log: Logger, clock: Clock, limits: AgentLimits) {
    this.#log = log;
    this.#clock = clock;
    this.#tokens = new TokenBucket(limits.denialsPerSecond, limits.denialsBurst, clock.monotonicMs());
  }

  note(denial: Denial): void {
    if (!this.#tokens.take(this.#clock.monotonicMs())) {
      this.#dropped++;
      return;
    }
    const dropped = this.#dropped === 0 ? {} : { notLogged: this.#dropped };
    this.#dropped = 0;
    this.#log.log('warn', 'request-denied', { ...denial, ...dropped });
  }
}
