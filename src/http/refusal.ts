/** What a handler returns for a request that goes no further: its end is told later, as to any other request. */

import type { SkeinError } from '../core/errors.ts';
import type { ReplySink, RequestBody } from './handler.ts';
import { NO_FIELDS } from './head.ts';
import type { Reply } from './reply.ts';

/** Takes whatever comes and does nothing with it. */
export const NO_BODY: RequestBody = {
  write: () => true,
  end: () => undefined,
  abort: () => undefined,
  consumed: () => undefined,
};

/** Tells `reply` after `request` has returned; a sink is never called before. */
export function refuseLater(reply: ReplySink, error: SkeinError): RequestBody {
  return tellLater(() => reply.onAbort(error));
}

/** Answers `reply` after `request` has returned; nobody reads what is left of the request. */
export function answerLater(reply: ReplySink, { head, body }: Reply): RequestBody {
  return tellLater(() => {
    reply.onHead(head, body.length === 0);
    if (body.length === 0) return;
    reply.onData(body);
    reply.onEnd(NO_FIELDS);
  });
}

function tellLater(tell: () => void): RequestBody {
  let isGivenUp = false;
  queueMicrotask(() => {
    if (!isGivenUp) tell();
  });
  return {
    ...NO_BODY,
    abort: () => {
      isGivenUp = true;
    },
  };
}
