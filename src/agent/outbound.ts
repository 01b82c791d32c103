/** Outbound: a request of a local application leaves. What only the mesh may say is taken out, its deadline is read, the trace is kept or begun. */

import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { NO_DEADLINE, readDeadline } from '../http/deadline.ts';
import { stripUntrusted } from '../http/fields.ts';
import type { HttpHandler, RequestBody } from '../http/handler.ts';
import { type Fields, getField, type RequestHead } from '../http/head.ts';
import { refuseLater } from '../http/refusal.ts';
import { createTraceParent, formatTraceParent, parseTraceParent } from '../telemetry/traceparent.ts';
import { asksPath } from './path-field.ts';

/** In front of the dispatcher: every request of this member passes here, from a listener or from `fetch`. */
export function createOutbound(dispatcher: HttpHandler, clock: Clock, random: Random): HttpHandler {
  return {
    request(head, complete, reply) {
      let outbound: RequestHead;
      try {
        outbound = withTrace(toOutboundHead(head, clock), random);
      } catch (thrown) {
        return refuseLater(reply, toSkeinError(thrown));
      }
      const body = dispatcher.request(outbound, complete, reply);
      return complete ? body : new OutboundBody(body);
    },
  };
}

/** What is left of a request that leaves: nothing that only the mesh may say. @throws SkeinError SKEIN_BAD_REQUEST when its deadline cannot be read */
export function toOutboundHead(head: RequestHead, clock: Clock): RequestHead {
  const fields = stripUntrusted(head.fields);
  if (fields === head.fields) return head;
  const timeLeftMs = readDeadline(head.fields, clock.epochMs());
  if (timeLeftMs === NO_DEADLINE) {
    const state = 'x-skein-deadline is neither a duration such as 1s500ms nor milliseconds since 1970';
    throw new SkeinError('SKEIN_BAD_REQUEST', `Cannot perform request: ${state}`);
  }
  return {
    ...{ ...head, fields },
    ...(asksPath(head.fields) ? { asksPath: true } : {}),
    ...(timeLeftMs === undefined ? {} : { timeLeftMs }),
  };
}

function withTrace(head: RequestHead, random: Random): RequestHead {
  const trace = getField(head.fields, 'traceparent');
  if (trace !== undefined && parseTraceParent(trace) !== undefined) return head;
  const fields = withoutTrace(head.fields);
  fields.push('traceparent', formatTraceParent(createTraceParent(random)));
  return { ...head, fields };
}

/** `tracestate` belongs to the trace of its `traceparent`; without a valid one neither means anything (W3C Trace Context §3.3). */
function withoutTrace(fields: Fields): string[] {
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name !== 'traceparent' && name !== 'tracestate') kept.push(name, fields[i + 1] as string);
  }
  return kept;
}

/** Trailers claim identities as well as heads do. */
class OutboundBody implements RequestBody {
  readonly #body: RequestBody;

  constructor(body: RequestBody) {
    this.#body = body;
  }

  write(chunk: Uint8Array): boolean {
    return this.#body.write(chunk);
  }

  end(trailers: Fields): void {
    this.#body.end(stripUntrusted(trailers));
  }

  abort(error: Parameters<RequestBody['abort']>[0]): void {
    this.#body.abort(error);
  }

  consumed(bytes: number): void {
    this.#body.consumed(bytes);
  }
}
