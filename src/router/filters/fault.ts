/**
 * FaultInjection: attempts are delayed, or fail without reaching anybody. It stands before the endpoint and not before the
 * route, so that timeouts and retries see it as they would see an endpoint in trouble.
 */

import type { FaultInjection } from '../../catalog/extension.ts';
import { EMPTY, encodeUtf8 } from '../../core/bytes.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../../http/handler.ts';
import type { RequestHead } from '../../http/head.ts';
import { HeldBody } from '../../http/held-body.ts';
import { answerLater } from '../../http/refusal.ts';
import { isGrpc, type Reply } from '../../http/reply.ts';
import type { Filter, FilterContext } from './filter.ts';

export const FAULT_REASON = 'fault-injected';

export function createFault({ delay, abort }: FaultInjection): Filter {
  return {
    type: 'FaultInjection',
    summary: [
      ...(delay === undefined ? [] : [`delays ${delay.percent} % by ${delay.duration} ms`]),
      ...(abort === undefined ? [] : [`fails ${abort.percent} % with ${abort.status ?? `gRPC ${abort.grpcStatus}`}`]),
    ].join(', '),
    isPure: false,
    wrap: (next, context) => {
      const failing = abort === undefined ? next : failSome(next, abort, context);
      return delay === undefined ? failing : delaySome(failing, delay, context);
    },
  };
}

function failSome(
  next: HttpHandler,
  abort: NonNullable<FaultInjection['abort']>,
  { random }: FilterContext,
): HttpHandler {
  return {
    request: (head, complete, reply) =>
      random.ratio() * 100 < abort.percent
        ? answerLater(reply, toAnswer(abort, head))
        : next.request(head, complete, reply),
  };
}

function toAnswer({ status, grpcStatus }: NonNullable<FaultInjection['abort']>, head: RequestHead): Reply {
  if (grpcStatus !== undefined || isGrpc(head)) {
    const fields = [
      'content-type',
      'application/grpc',
      'grpc-status',
      String(grpcStatus ?? 14),
      'x-skein-reason',
      FAULT_REASON,
    ];
    return { head: { status: 200, fields, upgrade: undefined }, body: EMPTY };
  }
  const body = head.method === 'HEAD' ? EMPTY : encodeUtf8('This failure was asked for by a FaultInjection.\n');
  const fields = [
    'content-type',
    'text/plain; charset=utf-8',
    'content-length',
    String(body.length),
    'x-skein-reason',
    FAULT_REASON,
  ];
  return { head: { status: status ?? 503, fields, upgrade: undefined }, body };
}

function delaySome(
  next: HttpHandler,
  delay: NonNullable<FaultInjection['delay']>,
  { clock, random }: FilterContext,
): HttpHandler {
  return {
    request: (head: RequestHead, complete: boolean, reply: ReplySink): RequestBody => {
      if (random.ratio() * 100 >= delay.percent) return next.request(head, complete, reply);
      const body = new HeldBody(reply);
      clock.setTimer(delay.duration, () => {
        if (!body.isOver) body.release(next.request(head, complete, reply));
      });
      return body;
    },
  };
}
