/** Pauses of this process, told by its own late timers: a collection of garbage, a stopped machine, too much work. */

/** Timers are late by some milliseconds under load; more than this is a pause in which nothing could be received. */
const PAUSE_MS = 200;

/** How long this process stood still, in milliseconds, when what was due at `dueMs` comes at `nowMs`; 0 when it did not. */
export function measureOwnStall(nowMs: number, dueMs: number): number {
  const lateMs = nowMs - dueMs;
  return lateMs > PAUSE_MS ? lateMs : 0;
}
