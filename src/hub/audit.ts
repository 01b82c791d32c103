/** Audit: one line for every request that changes something, or tried to: who, from where, what, when, and what came of it. */

import type { Clock } from '../core/clock.ts';
import { LimitedLog, type LogRate } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';

export interface AuditedChange {
  /** As `POST /v1/resources`. */
  readonly action: string;
  /** How the one who asks has shown the right to; `nobody`: not at all. */
  readonly by: 'admin-token' | 'nobody';
  /** `address:port`, of the proxy where one stands in between. */
  readonly from: string;
  /** `done`, or the code of the error. */
  readonly outcome: string;
  readonly status: number;
  /** What was made, changed or deleted; never a secret. */
  readonly what: Readonly<Record<string, unknown>>;
}

export class Audit {
  readonly #log: Logger;
  /** Who has no right decides how often there is a line: those are counted instead above this rate. */
  readonly #strangers: LimitedLog;

  constructor(log: Logger, clock: Clock, strangers: LogRate) {
    this.#log = log;
    this.#strangers = new LimitedLog(log, clock, strangers);
  }

  note({ what, ...change }: AuditedChange): void {
    const isDone = change.outcome === 'done';
    const log = change.by === 'nobody' ? this.#strangers : this.#log;
    log.log(isDone ? 'info' : 'warn', 'admin-change', { ...change, ...what });
  }
}
