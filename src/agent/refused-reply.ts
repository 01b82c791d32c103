/** Answers to requests that this member does not pass on to its application, though they came as far as here. */

import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { HttpHandler } from '../http/handler.ts';
import { answerLater } from '../http/refusal.ts';
import { makeReply } from '../http/reply.ts';
import type { Destination } from '../router/destination.ts';

/** No policy allows it: 403, and not a word about the rule, which is the owner's affair. */
export function replyDenied({ key }: Destination, { uri }: SpiffeId): HttpHandler {
  return replyWith(new SkeinError('SKEIN_DENIED', `Cannot call "${key}": no policy allows it to ${uri}`));
}

/** The caller, or all of them, ask too often: 429, and when there will be room. */
export function replyLimited({ key }: Destination, { uri }: SpiffeId, retryAfterMs: number): HttpHandler {
  const state = `this instance takes no more requests of ${uri} for ${Math.ceil(retryAfterMs)} ms`;
  return replyWith(
    new SkeinError('SKEIN_RATE_LIMITED', `Cannot call "${key}": ${state}`, { details: { retryAfterMs } }),
  );
}

function replyWith(error: SkeinError): HttpHandler {
  return { request: (request, _complete, reply) => answerLater(reply, makeReply(error, request)) };
}
