/** What filters make of one request, found out by running those that are pure; the others are only told of. */

import type { SkeinError } from '../../core/errors.ts';
import type { HttpHandler, ReplySink } from '../../http/handler.ts';
import type { RequestHead } from '../../http/head.ts';
import { NO_BODY } from '../../http/refusal.ts';
import type { ExplainedFilter, Outcome } from '../explanation.ts';
import { type Filter, type FilterContext, wrapAll } from './filter.ts';

/** The request behind the filters, or who has ended its way. */
export type Traced =
  | { readonly head: RequestHead }
  | { readonly answer: Extract<Outcome, { kind: 'answered' }> }
  | { readonly error: SkeinError };

export function describeFilters(filters: readonly Filter[]): readonly ExplainedFilter[] {
  return filters.map(({ type, summary, isPure }) => ({ type, summary, isUncertain: !isPure }));
}

/** All of them in a row, so that what one of them answers passes those before it. */
export function traceFilters(filters: readonly Filter[], head: RequestHead, context: FilterContext): Promise<Traced> {
  return new Promise((resolve) => {
    let by = '';
    const noted = filters
      .filter((each) => canRun(each, context))
      .map(
        (filter): Filter => ({ ...filter, wrap: (next) => note(filter.wrap(next, context), () => (by = filter.type)) }),
      );
    const behind: HttpHandler = {
      request: (changed) => {
        resolve({ head: changed });
        return NO_BODY;
      },
    };
    const ignore = (): void => undefined;
    const reply: ReplySink = {
      onInformational: ignore,
      onHead: ({ status, fields }) => resolve({ answer: { kind: 'answered', status, by, fields } }),
      onData: ignore,
      onEnd: ignore,
      onAbort: (error) => resolve({ error }),
      onDrain: ignore,
    };
    wrapAll(noted, behind, context).request(head, true, reply);
  });
}

/** Code that is not there does nothing but refuse. */
function canRun({ isPure, middleware }: Filter, context: FilterContext): boolean {
  return isPure || (middleware !== undefined && context.middleware(middleware) === undefined);
}

/** Tells that `handler` was asked: the last one asked is the one that answers. */
function note(handler: HttpHandler, onAsked: () => void): HttpHandler {
  return {
    request: (...call) => {
      onAsked();
      return handler.request(...call);
    },
  };
}
