/** Lessons: what the answer of an endpoint teaches about it, at its head, with its first message, and at its end. */

import type { Clock } from '../core/clock.ts';
import type { Fields, ResponseHead } from '../http/head.ts';
import { readRetryAfter } from '../http/retry-after.ts';
import type { Backend } from './backend.ts';
import { classifyGrpc, classifyHead, type Outcome } from './classify.ts';
import type { EndpointLoad } from './endpoint-load.ts';

/** Of a call of gRPC, whose answer tells at its end how it went: what is known of that so far. `none`: it is none, or has told. */
export type GrpcProgress = 'none' | 'begun' | 'works';

/** An answer has begun, `elapsedMs` after its request. */
export function learnFromHead(
  backend: Backend,
  load: EndpointLoad,
  clock: Clock,
  head: ResponseHead,
  elapsedMs: number,
): GrpcProgress {
  const outcome = classifyHead(head);
  if (outcome === undefined) {
    load.succeed(elapsedMs, clock.monotonicMs());
    return 'begun';
  }
  backend.learn(load, outcome, elapsedMs, clock.monotonicMs());
  rest(backend, load, clock, outcome, head.fields);
  return 'none';
}

/** The first message of a call of gRPC, which may go on for hours, or with `trailers` its end: that alone says whether it failed. */
export function learnFromGrpc(
  backend: Backend,
  load: EndpointLoad,
  clock: Clock,
  progress: GrpcProgress,
  trailers: Fields | undefined,
): GrpcProgress {
  const outcome = trailers === undefined ? 'success' : classifyGrpc(trailers);
  if (progress === 'works' && outcome === 'success') return progress;
  backend.learnEnd(load, outcome, clock.monotonicMs());
  if (trailers !== undefined) rest(backend, load, clock, outcome, trailers);
  return 'works';
}

/** The endpoint may have said when it wants to be asked again. */
function rest(backend: Backend, load: EndpointLoad, clock: Clock, outcome: Outcome, fields: Fields): void {
  if (outcome !== 'busy' && outcome !== 'broken') return;
  const restMs = readRetryAfter(fields, clock.epochMs());
  if (restMs !== undefined) backend.rest(load, restMs, clock.monotonicMs());
}
