/** Everything that a route refers to, with the place where it does. */

import type { ExtensionRef, HttpFilter } from './http-filter.ts';
import type { BackendObjectRef } from './meta.ts';
import type { Route } from './route.ts';
import { TCP_ROUTE } from './tcp-route.ts';

export interface RouteReference<T = BackendObjectRef> {
  /** `spec.rules[0].backendRefs[1]` */
  readonly path: string;
  readonly ref: T;
}

interface PlacedFilter {
  readonly path: string;
  readonly filter: HttpFilter;
}

/** Services that requests, or copies of them, go to. */
export function backendReferences(route: Route): readonly RouteReference[] {
  const backends = route.rules.flatMap(({ backendRefs }, i) =>
    backendRefs.map((ref, j) => ({ path: `spec.rules[${i}].backendRefs[${j}]`, ref })),
  );
  const mirrors = filtersOf(route).flatMap(({ path, filter }) =>
    filter.type === 'RequestMirror'
      ? [{ path: `${path}.requestMirror.backendRef`, ref: filter.requestMirror.backendRef }]
      : [],
  );
  return [...backends, ...mirrors];
}

/** Filters that are resources of their own, or code of a member. */
export function extensionReferences(route: Route): readonly RouteReference<ExtensionRef>[] {
  return filtersOf(route).flatMap(({ path, filter }) =>
    filter.type === 'ExtensionRef' ? [{ path: `${path}.extensionRef`, ref: filter.extensionRef }] : [],
  );
}

function filtersOf(route: Route): readonly PlacedFilter[] {
  if (route.kind === TCP_ROUTE) return [];
  return route.rules.flatMap(({ filters, backendRefs }, i) => [
    ...place(filters, `spec.rules[${i}]`),
    ...backendRefs.flatMap((ref, j) => place(ref.filters, `spec.rules[${i}].backendRefs[${j}]`)),
  ]);
}

function place(filters: readonly HttpFilter[], at: string): readonly PlacedFilter[] {
  return filters.map((filter, i) => ({ path: `${at}.filters[${i}]`, filter }));
}
