/** Audit pushes: members are told that the audit log has come further, now and then and not for each entry. */

import type { Clock, Timer } from '../core/clock.ts';
import type { AuditLog } from './audit-log.ts';

export class AuditPushes {
  #timer: Timer | undefined;

  /** @param push tells all members of a signed head */
  constructor(clock: Clock, everyMs: number, audit: AuditLog, push: (head: string) => void) {
    audit.onHead = () => {
      this.#timer ??= clock.setTimer(everyMs, () => {
        this.#timer = undefined;
        push(audit.signed);
      });
    };
  }

  close(): void {
    this.#timer?.cancel();
  }
}
