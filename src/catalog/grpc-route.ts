/** GRPCRoute of Gateway API: type and parser. A method of gRPC is a path of two parts, and a call is a POST (gRPC over HTTP/2). */

import * as v from 'valibot';
import { grpcFilters } from './http-filter.ts';
import { fieldMatches } from './http-match.ts';
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

export const GRPC_ROUTE = 'GRPCRoute';

const MAX_NAME = 1024;
const SERVICE = /^\.?[a-z_][a-z_0-9]*(?:\.[a-z_][a-z_0-9]*)*$/i;
const METHOD = /^[a-z_][a-z_0-9]*$/i;

const name = v.optional(v.pipe(v.string(), v.maxLength(MAX_NAME)));

interface MethodNames {
  readonly type: 'Exact' | 'RegularExpression';
  readonly service?: string | undefined;
  readonly method?: string | undefined;
}

const methodMatch = v.pipe(
  v.strictObject({
    type: v.optional(v.picklist(['Exact', 'RegularExpression']), 'Exact'),
    service: name,
    method: name,
  }),
  v.check(({ service = '', method = '' }) => service !== '' || method !== '', 'gives neither service nor method'),
  v.forward(
    v.check(
      (match) => findFault(match, 'service') === undefined,
      ({ input }) => findFault(input, 'service') ?? '',
    ),
    ['service'],
  ),
  v.forward(
    v.check(
      (match) => findFault(match, 'method') === undefined,
      ({ input }) => findFault(input, 'method') ?? '',
    ),
    ['method'],
  ),
);

function findFault(match: MethodNames, part: 'service' | 'method'): string | undefined {
  const text = match[part];
  if (text === undefined || text === '' || match.type === 'RegularExpression') return undefined;
  return (part === 'service' ? SERVICE : METHOD).test(text) ? undefined : `is not the name of a gRPC ${part}`;
}

const grpcMatch = v.strictObject({ method: v.optional(methodMatch), headers: fieldMatches });

const backendRef = v.pipe(
  v.strictObject({ ...backendObjectRef, weight, filters: grpcFilters }),
  v.check((ref) => hasPortIfService(ref), PORT_MISSING),
);

/** A rule without matches takes every call. */
const EVERYTHING: GrpcMatch[] = [{ headers: [] }];

const rule = v.strictObject({
  name: v.optional(subdomain),
  matches: v.optional(
    v.pipe(
      v.array(grpcMatch),
      v.maxLength(MAX_MATCHES_PER_RULE, `has more than ${MAX_MATCHES_PER_RULE} entries`),
      v.transform((matches) => (matches.length === 0 ? EVERYTHING : matches)),
    ),
    [],
  ),
  filters: grpcFilters,
  backendRefs: v.optional(
    v.pipe(v.array(backendRef), v.maxLength(MAX_BACKENDS, `has more than ${MAX_BACKENDS} entries`)),
    [],
  ),
});

const spec = v.strictObject({
  parentRefs,
  hostnames,
  rules: v.optional(
    v.pipe(
      v.array(rule),
      v.maxLength(MAX_RULES, `has more than ${MAX_RULES} entries`),
      v.check(
        (rules) => rules.reduce((sum, { matches }) => sum + matches.length, 0) <= MAX_MATCHES,
        `has more than ${MAX_MATCHES} matches in all`,
      ),
      v.check((rules) => hasUniqueNames(rules), NAME_TWICE),
    ),
    [],
  ),
});

export type GrpcMatch = v.InferOutput<typeof grpcMatch>;
export type GrpcRule = v.InferOutput<typeof rule>;

export interface GrpcRoute extends RouteMeta {
  readonly kind: typeof GRPC_ROUTE;
  readonly parentRefs: readonly ParentRef[];
  readonly hostnames: readonly string[];
  readonly rules: readonly GrpcRule[];
}

/** Every issue, or the route. `metadata` was checked by `parse.ts`. */
export function parseGrpcRoute(manifest: Manifest, expressions: RegularExpressions): Parsed<GrpcRoute> {
  const result = v.safeParse(spec, manifest.spec ?? {});
  const issues = result.typed ? findPatternFaults(result.output.rules, expressions) : [];
  if (!result.success || issues.length > 0) return { issues: [...toIssues(result.issues ?? [], 'spec'), ...issues] };
  return { value: { ...toRouteMeta(manifest), kind: GRPC_ROUTE, ...result.output } };
}
