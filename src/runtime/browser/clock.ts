/** The clock of a page or a worker: timers of the browser, end-of-tick work by a message to itself. */

import { TimerClock } from '../common/clock.ts';

/**
 * A message to oneself is a task of its own, as `setImmediate` is; a timer of 0 ms would be put off by 4 ms, and by a second
 * and more while the page is in the background.
 */
function createDefer(): (run: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return (run) => {
    waiting.push(run);
    port2.postMessage(undefined);
  };
}

export function createBrowserClock(): TimerClock<number> {
  return new TimerClock({
    defer: createDefer(),
    set: (run, delayMs) => setTimeout(run, delayMs) as unknown as number,
    clear: (handle) => clearTimeout(handle),
  });
}
