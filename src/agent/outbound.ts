/** Outbound: a request of a local application leaves. What only the mesh may say is taken out, its deadline is read, the trace is kept or begun. */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
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
      const outbound = toOutboundHead(head, clock, random);
      if (outbound === undefined) return refuseLater(reply, BAD_DEADLINE);
      const body = dispatcher.request(outbound, complete, reply);
      return complete ? body : new OutboundBody(body);
    },
  };
}

const BAD_DEADLINE = new SkeinError(
  'SKEIN_BAD_REQUEST',
  'Cannot perform request: x-skein-deadline is neither a duration such as 1s500ms nor milliseconds since 1970',
);

/** undefined: its deadline cannot be read. */
function toOutboundHead(head: RequestHead, clock: Clock, random: Random): RequestHead | undefined {
  const fields = stripUntrusted(head.fields);
  const isStripped = fields !== head.fields;
  let asked = isStripped && asksPath(head.fields) ? { ...head, asksPath: true } : head;
  if (isStripped) {
    const timeLeftMs = readDeadline(head.fields, clock.epochMs());
    if (timeLeftMs === NO_DEADLINE) return undefined;
    if (timeLeftMs !== undefined) asked = { ...asked, timeLeftMs };
  }
  const trace = getField(fields, 'traceparent');
  if (trace !== undefined && parseTraceParent(trace) !== undefined) return isStripped ? { ...asked, fields } : head;
  return { ...asked, fields: [...withoutTrace(fields), 'traceparent', formatTraceParent(createTraceParent(random))] };
}

/** `tracestate` belongs to the trace of its `traceparent`; without a valid one neither means anything (W3C Trace Context §3.3). */
function withoutTrace(fields: Fields): Fields {
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
