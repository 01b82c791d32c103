/** What a filter is: something between a request and whoever performs it, made once per rule and put in the way of each request. */

import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../../http/handler.ts';
import type { RequestHead, ResponseHead } from '../../http/head.ts';
import type { Destination } from '../destination.ts';

/** What filters need of the member that they work in. */
export interface FilterContext {
  readonly clock: Clock;
  readonly random: Random;
  /** Sends a copy of a request to one endpoint of a service; undefined when there are too many on their way already. */
  readonly mirror: (destination: Destination, head: RequestHead, complete: boolean) => RequestBody | undefined;
  /** Code that the member was given under a name; undefined when it was given none. */
  readonly middleware: (name: string) => ((next: HttpHandler) => HttpHandler) | undefined;
}

export interface Filter {
  /** As Gateway API calls it; of an ExtensionRef, the kind it refers to. */
  readonly type: string;
  /** What it does, in a few words for those who look for the reason. */
  readonly summary: string;
  /** What it does follows from the request alone, so that it can be shown without sending anything. */
  readonly isPure: boolean;
  /** Name of the code that it calls; where that is missing it refuses. */
  readonly middleware?: string;
  wrap(next: HttpHandler, context: FilterContext): HttpHandler;
}

/** `next` behind all of them, the first outermost. */
export function wrapAll(filters: readonly Filter[], next: HttpHandler, context: FilterContext): HttpHandler {
  return filters.reduceRight((inner, filter) => filter.wrap(inner, context), next);
}

/** A handler that changes the head of each request. */
export function changeRequests(next: HttpHandler, change: (head: RequestHead) => RequestHead): HttpHandler {
  return { request: (head, complete, reply) => next.request(change(head), complete, reply) };
}

/** A handler that changes the head of each answer. */
export function changeAnswers(
  next: HttpHandler,
  change: (answer: ResponseHead, request: RequestHead) => ResponseHead,
): HttpHandler {
  return {
    request: (head, complete, reply): RequestBody =>
      next.request(head, complete, new ChangedAnswer(reply, (answer) => change(answer, head))),
  };
}

class ChangedAnswer implements ReplySink {
  readonly #reply: ReplySink;
  readonly #change: (answer: ResponseHead) => ResponseHead;

  constructor(reply: ReplySink, change: (answer: ResponseHead) => ResponseHead) {
    this.#reply = reply;
    this.#change = change;
  }

  onInformational(head: ResponseHead): void {
    this.#reply.onInformational(head);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    this.#reply.onHead(this.#change(head), complete);
  }

  onData(chunk: Parameters<ReplySink['onData']>[0]): void {
    this.#reply.onData(chunk);
  }

  onEnd(trailers: Parameters<ReplySink['onEnd']>[0]): void {
    this.#reply.onEnd(trailers);
  }

  onAbort(error: Parameters<ReplySink['onAbort']>[0]): void {
    this.#reply.onAbort(error);
  }

  onDrain(): void {
    this.#reply.onDrain();
  }
}
