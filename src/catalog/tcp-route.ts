/** TCPRoute of Gateway API: type and parser. Of the rules that hold for a service and port only the first is used. */

import * as v from 'valibot';
import { type Parsed, toIssues } from './issue.ts';
import {
  backendObjectRef,
  hasPortIfService,
  hasUniqueNames,
  MAX_BACKENDS,
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
import type { Manifest } from './resource.ts';

export const TCP_ROUTE = 'TCPRoute';

const backendRef = v.pipe(
  v.strictObject({ ...backendObjectRef, weight }),
  v.check((ref) => hasPortIfService(ref), PORT_MISSING),
);

const rule = v.strictObject({
  name: v.optional(subdomain),
  backendRefs: v.pipe(
    v.array(backendRef),
    v.minLength(1, 'is empty'),
    v.maxLength(MAX_BACKENDS, `has more than ${MAX_BACKENDS} entries`),
  ),
});

const spec = v.strictObject({
  parentRefs,
  rules: v.pipe(
    v.array(rule),
    v.minLength(1, 'is empty'),
    v.maxLength(MAX_RULES, `has more than ${MAX_RULES} entries`),
    v.check((rules) => hasUniqueNames(rules), NAME_TWICE),
  ),
});

export type TcpRule = v.InferOutput<typeof rule>;

export interface TcpRoute extends RouteMeta {
  readonly kind: typeof TCP_ROUTE;
  readonly parentRefs: readonly ParentRef[];
  readonly rules: readonly TcpRule[];
}

/** Every issue, or the route. `metadata` was checked by `parse.ts`. */
export function parseTcpRoute(manifest: Manifest): Parsed<TcpRoute> {
  const result = v.safeParse(spec, manifest.spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  return { value: { ...toRouteMeta(manifest), kind: TCP_ROUTE, ...result.output } };
}
