/** Log lines that others cause, as often as they like: so many a second, and the next that passes says how many did not. */

import type { Clock } from './clock.ts';
import type { LogFields, Logger, LogLevel } from './log.ts';
import { TokenBucket } from './token-bucket.ts';

/** How many lines may be logged. */
export interface LogRate {
  /** In the long run. */
  readonly perSecond: number;
  /** At once. */
  readonly burst: number;
}

export class LimitedLog implements Logger {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #tokens: TokenBucket;
  #notLogged = 0;

  constructor(log: Logger, clock: Clock, { perSecond, burst }: LogRate) {
    this.#log = log;
    this.#clock = clock;
    this.#tokens = new TokenBucket(perSecond, burst, clock.monotonicMs());
  }

  log(level: LogLevel, event: string, fields?: LogFields): void {
    if (!this.#tokens.take(this.#clock.monotonicMs())) {
      this.#notLogged++;
      return;
    }
    const notLogged = this.#notLogged === 0 ? {} : { notLogged: this.#notLogged };
    this.#notLogged = 0;
    this.#log.log(level, event, { ...fields, ...notLogged });
  }
}
