/** Abort signals beside promises. */

import { SkeinError } from './errors.ts';

/** `work`, or a rejection with the signal's reason as soon as it aborts; the work itself goes on, or is ended by its owner. */
export function raceSignal<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = (): void =>
      reject(signal.reason ?? new SkeinError('SKEIN_CANCELLED', 'Cannot join mesh: told to stop'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
