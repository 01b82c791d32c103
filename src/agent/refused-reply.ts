/** Answers to requests that this member does not pass on to its application, though they came as far as here. */

import type { AuthenticationFault } from '../auth/request-authenticator.ts';
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

/** One answer to every token that is not believed; what is wrong with it is the log's affair. */
export function replyUnauthenticated({ key }: Destination, fault: AuthenticationFault): HttpHandler {
  if (fault === 'busy') {
    const state = 'this instance takes no more tokens to verify for the moment';
    return replyWith(new SkeinError('SKEIN_RATE_LIMITED', `Cannot call "${key}": ${state}`, { details: BUSY }));
  }
  return replyWith(
    fault === 'unreachable'
      ? new SkeinError('SKEIN_ISSUER_UNREACHABLE', `Cannot call "${key}": the keys of the token's issuer cannot be had`)
      : new SkeinError(
          'SKEIN_USER_TOKEN_INVALID',
          `Cannot call "${key}": the token of the end user is not valid there`,
        ),
  );
}

const BUSY = { retryAfterMs: 1_000 };

/** Answers every request with an error. */
export function replyWith(error: SkeinError): HttpHandler {
  return { request: (request, _complete, reply) => answerLater(reply, makeReply(error, request)) };
}
