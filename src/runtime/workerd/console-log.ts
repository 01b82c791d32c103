/** A `Logger` for isolates: each event is one object on the console, which the platform's own log tools can search by field. */

import type { Logger, LogLevel } from '../../core/log.ts';

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** @param lowest events below it are dropped */
export function consoleLogger(lowest: LogLevel = 'info'): Logger {
  return {
    log(level, event, fields = {}) {
      if (RANK[level] < RANK[lowest]) return;
      console[level](JSON.stringify({ level, event, ...fields }));
    },
  };
}
