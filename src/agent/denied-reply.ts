/** The answer to a request that no policy allows: 403, and not a word about the rule, which is the owner's affair. */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { HttpHandler } from '../http/handler.ts';
import { NO_FIELDS } from '../http/head.ts';
import { NO_BODY } from '../http/refusal.ts';
import { makeReply } from '../http/reply.ts';
import type { Destination } from '../router/destination.ts';

export function replyDenied({ key }: Destination, { uri }: SpiffeId, clock: Clock): HttpHandler {
  return {
    request(request, _complete, reply) {
      const error = new SkeinError('SKEIN_DENIED', `Cannot call "${key}": no policy allows it to ${uri}`);
      clock.endOfTick(() => {
        const { head, body } = makeReply(error, request);
        reply.onHead(head, body.length === 0);
        if (body.length === 0) return;
        reply.onData(body);
        reply.onEnd(NO_FIELDS);
      });
      return NO_BODY;
    },
  };
}
