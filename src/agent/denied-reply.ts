/** The answer to a request that no policy allows: 403, and not a word about the rule, which is the owner's affair. */

import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { HttpHandler } from '../http/handler.ts';
import { answerLater } from '../http/refusal.ts';
import { makeReply } from '../http/reply.ts';
import type { Destination } from '../router/destination.ts';

export function replyDenied({ key }: Destination, { uri }: SpiffeId): HttpHandler {
  return {
    request(request, _complete, reply) {
      const error = new SkeinError('SKEIN_DENIED', `Cannot call "${key}": no policy allows it to ${uri}`);
      return answerLater(reply, makeReply(error, request));
    },
  };
}
