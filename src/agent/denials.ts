/** What is logged of refused streams, circuits and sessions: who, what, by which rule; callers decide how often. */

import type { Clock } from '../core/clock.ts';
import { LimitedLog } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';
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

export function createDenialLog(log: Logger, clock: Clock, limits: AgentLimits): LimitedLog {
  return new LimitedLog(log, clock, { perSecond: limits.denialsPerSecond, burst: limits.denialsBurst });
}
