/** Audit: one line for every request that changes something, or tried to: who, from where, what, when, and what came of it. */

import type { Clock } from '../core/clock.ts';
import { toSkeinError } from '../core/errors.ts';
import { LimitedLog, type LogRate } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';
import type { AuditLog } from './audit-log.ts';

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
  readonly #chain: Pick<AuditLog, 'append'> | undefined;
  /** Who has no right decides how often there is a line: those are counted instead above this rate. */
  readonly #strangers: LimitedLog;

  /** @param chain where changes that were made are kept; undefined in a hub that is no issuer */
  constructor(log: Logger, clock: Clock, strangers: LogRate, chain: Pick<AuditLog, 'append'> | undefined) {
    this.#log = log;
    this.#chain = chain;
    this.#strangers = new LimitedLog(log, clock, strangers);
  }

  /** Resolves when it is kept. */
  async note({ what, ...change }: AuditedChange): Promise<void> {
    const isDone = change.outcome === 'done';
    const log = change.by === 'nobody' ? this.#strangers : this.#log;
    log.log(isDone ? 'info' : 'warn', 'admin-change', { ...change, ...what });
    if (!isDone || this.#chain === undefined || what.dryRun === true) return;
    const { id = '', key, ...rest } = what;
    const text = `${change.action} ${JSON.stringify({ ...rest, key })}`;
    try {
      await this.#chain.append({ kind: 'admin', id: String(id), by: change.by, what: text });
    } catch (thrown) {
      this.#log.log('error', 'audit-not-written', { action: change.action, error: toSkeinError(thrown).message });
    }
  }
}
