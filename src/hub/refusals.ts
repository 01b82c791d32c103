/** Refusals of links: each is counted by its reason, and those that strangers cause are logged only so often. */

import type { Clock } from '../core/clock.ts';
import type { SkeinError } from '../core/errors.ts';
import { LimitedLog, type LogRate } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';

export class Refusals {
  /** By reason; read at scrape time. */
  readonly counts = new Map<string, number>();
  readonly #log: LimitedLog;

  constructor(log: Logger, clock: Clock, rate: LogRate) {
    this.#log = new LimitedLog(log, clock, rate);
  }

  count(reason: string): void {
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + 1);
  }

  /** A link from `address` did not come about. */
  note(address: string | undefined, { code, reason, message }: SkeinError): void {
    this.count(reason);
    // Who merely goes away before the end of the handshake is nobody's trouble.
    const level = code === 'SKEIN_HUB_UNREACHABLE' ? 'debug' : 'warn';
    this.#log.log(level, 'link-refused', { address, reason, error: message });
  }
}
