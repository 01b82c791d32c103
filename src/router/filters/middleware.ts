/** Middleware: code of the member's own between a request and its backend. Where it is missing, no request passes. */

import { SkeinError } from '../../core/errors.ts';
import { refuseLater } from '../../http/refusal.ts';
import type { Filter } from './filter.ts';

export function createMiddleware(name: string): Filter {
  return {
    type: 'Middleware',
    summary: `calls "${name}"`,
    isPure: false,
    middleware: name,
    wrap: (next, { middleware }) => middleware(name)?.(next) ?? refuseAll(`this member has no middleware "${name}"`),
  };
}

/** What stands for a filter that cannot be found: it must not be skipped (Gateway API, HTTPRouteFilter). */
export function createMissing(type: string, state: string): Filter {
  return { type, summary: `fails: ${state}`, isPure: true, wrap: () => refuseAll(state) };
}

function refuseAll(state: string): ReturnType<Filter['wrap']> {
  return {
    request: (_head, _complete, reply) =>
      refuseLater(reply, new SkeinError('SKEIN_ROUTE_INVALID', `Cannot route request: ${state}`)),
  };
}
