/** The clock of Node and its like: unref'ed timers, `setImmediate` for end-of-tick work. */

import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import { type RuntimeTimers, TimerClock } from '../common/clock.ts';

const TIMERS: RuntimeTimers<ReturnType<typeof setTimeout>> = {
  defer: setImmediate,
  set: (run, delayMs) => setTimeout(run, delayMs).unref(),
  clear: clearTimeout,
};

export function createNodeClock(): TimerClock<ReturnType<typeof setTimeout>> {
  return new TimerClock(TIMERS);
}
