/** `Clock` port: the only source of time and of timers. Nothing else in the neutral world may ask the runtime for either. */

/** A timer that was set. */
export interface Timer {
  /** It will not run any more. Idempotent, also once it has run. */
  cancel(): void;
}

/** Time, as a platform or a test lends it. All times are in milliseconds and may have fractions. */
export interface Clock {
  /** Wall time in milliseconds since 1970; may jump. For token times only. */
  epochMs(): number;
  /** Milliseconds from an arbitrary start; never goes back. For every timer, deadline and measurement. */
  monotonicMs(): number;
  /** Runs once the present batch of I/O events has been handled (`setImmediate`), or at the next task where that is missing. */
  endOfTick(run: () => void): void;
  /** Calls `run` once after `delayMs`. A timer never holds the process open. */
  setTimer(delayMs: number, run: () => void): Timer;
}

/** Calls `run` every `periodMs` until cancelled; the next period starts when `run` returns. */
export function setPeriodic(clock: Clock, periodMs: number, run: () => void): Timer {
  let timer = clock.setTimer(periodMs, fire);
  let cancelled = false;
  function fire(): void {
    run();
    if (!cancelled) timer = clock.setTimer(periodMs, fire);
  }
  return {
    cancel(): void {
      cancelled = true;
      timer.cancel();
    },
  };
}

/** Resolves after `delayMs`, or rejects with the signal's reason. */
export function wait(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}
