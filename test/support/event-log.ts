/** A log that a test can wait on. */
import type { LogFields, Logger } from '../../src/core/log.ts';

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

/** Remembers every line, and tells when one comes. */
export class EventLog implements Logger {
  readonly lines: LogLine[] = [];
  readonly #waiters = new Set<() => void>();

  log(level: string, event: string, fields: LogFields = {}): void {
    this.lines.push({ level, event, fields });
    for (const wake of [...this.#waiters]) wake();
  }

  of(event: string): LogLine[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** Resolves when `event` was logged `count` times in all. */
  waitFor(event: string, count = 1): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.of(event).length < count) return;
        this.#waiters.delete(check);
        resolve();
      };
      this.#waiters.add(check);
      check();
    });
  }
}
