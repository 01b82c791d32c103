/** What a handler returns for a request that it cannot even start: the failure is told later, as to any other request. */

import type { SkeinError } from '../core/errors.ts';
import type { ReplySink, RequestBody } from './handler.ts';

/** Takes whatever comes and does nothing with it. */
export const NO_BODY: RequestBody = {
  write: () => true,
  end: () => undefined,
  abort: () => undefined,
  consumed: () => undefined,
};

/** Tells `reply` after `request` has returned; a sink is never called before. */
export function refuseLater(reply: ReplySink, error: SkeinError): RequestBody {
  let isGivenUp = false;
  queueMicrotask(() => {
    if (!isGivenUp) reply.onAbort(error);
  });
  return {
    ...NO_BODY,
    abort: () => {
      isGivenUp = true;
    },
  };
}
