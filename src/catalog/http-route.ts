/** HTTPRoute of Gateway API: type and parser, with the rules that a cluster would check at admission. */

import * as v from 'valibot';
import { countOf, httpFilters, replacesPrefix } from './http-filter.ts';
import { type HttpMatch, httpMatch } from './http-match.ts';
import { httpRetry, httpTimeouts } from './http-retry.ts';
import { type Parsed, toIssues } from './issue.ts';
import {
  backendObjectRef,
  hasPortIfService,
  hasUniqueNames,
  hostnames,
  MAX_BACKENDS,
  MAX_MATCHES,
  MAX_MATCHES_PER_RULE,
  MAX_RULES,
  NAME_TWICE,
  type ParentRef,
  PORT_MISSING,
  parentRefs,
  type RouteMeta,
  subdomain,
  toRouteMeta,
  weight,
} from './meta.ts';
import { findPatternFaults } from './pattern-faults.ts';
import type { RegularExpressions } from './regular-expression.ts';
import type { Manifest } from './resource.ts';

export const HTTP_ROUTE = 'HTTPRoute';

const backendRef = v.pipe(
  v.strictObject({ ...backendObjectRef, weight, filters: httpFilters }),
  v.check((ref) => hasPortIfService(ref), PORT_MISSING),
);

/** A rule without matches takes every path. */
const EVERYTHING: HttpMatch[] = [{ path: { type: 'PathPrefix', value: '/' }, headers: [], queryParams: [] }];

const ONE_PREFIX = 'replaces the matched prefix: then the rule must have exactly one match, a PathPrefix';

const rule = v.pipe(
  v.strictObject({
    name: v.optional(subdomain),
    matches: v.optional(
      v.pipe(
        v.array(httpMatch),
        v.maxLength(MAX_MATCHES_PER_RULE, `has more than ${MAX_MATCHES_PER_RULE} entries`),
        v.transform((matches) => (matches.length === 0 ? EVERYTHING : matches)),
      ),
      [],
    ),
    filters: httpFilters,
    backendRefs: v.optional(
      v.pipe(v.array(backendRef), v.maxLength(MAX_BACKENDS, `has more than ${MAX_BACKENDS} entries`)),
      [],
    ),
    timeouts: httpTimeouts,
    retry: httpRetry,
  }),
  v.check(
    ({ filters, backendRefs }) => countOf(filters, 'RequestRedirect') === 0 || backendRefs.length === 0,
    'has both RequestRedirect and backendRefs',
  ),
  v.check(({ filters, matches }) => !replacesPrefix(filters) || isOnePrefix(matches), ONE_PREFIX),
  v.check(
    ({ backendRefs, matches }) => isOnePrefix(matches) || !backendRefs.some((ref) => replacesPrefix(ref.filters)),
    `has a backendRef that ${ONE_PREFIX}`,
  ),
);

function isOnePrefix(matches: readonly HttpMatch[]): boolean {
  return matches.length === 1 && matches[0]?.path.type === 'PathPrefix';
}

const spec = v.strictObject({
  parentRefs,
  hostnames,
  rules: v.optional(
    v.pipe(
      v.array(rule),
      v.minLength(1, 'is empty'),
      v.maxLength(MAX_RULES, `has more than ${MAX_RULES} entries`),
      v.check(
        (rules) => rules.reduce((sum, { matches }) => sum + matches.length, 0) <= MAX_MATCHES,
        `has more than ${MAX_MATCHES} matches in all`,
      ),
      v.check((rules) => hasUniqueNames(rules), NAME_TWICE),
    ),
    [{}],
  ),
});

export type HttpRule = v.InferOutput<typeof rule>;

export interface HttpRoute extends RouteMeta {
  readonly kind: typeof HTTP_ROUTE;
  readonly parentRefs: readonly ParentRef[];
  readonly hostnames: readonly string[];
  readonly rules: readonly HttpRule[];
}

/** Every issue, or the route. `metadata` was checked by `parse.ts`. */
export function parseHttpRoute(manifest: Manifest, expressions: RegularExpressions): Parsed<HttpRoute> {
  const result = v.safeParse(spec, manifest.spec ?? {});
  const issues = result.typed ? findPatternFaults(result.output.rules, expressions) : [];
  if (!result.success || issues.length > 0) return { issues: [...toIssues(result.issues ?? [], 'spec'), ...issues] };
  return { value: { ...toRouteMeta(manifest), kind: HTTP_ROUTE, ...result.output } };
}
