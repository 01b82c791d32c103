/** Tests inside an AuthorizationPolicy: who asks what of whom, and whether that must be allowed when all policies are in force. */

import * as v from 'valibot';
import { type SpiffeId, tryParseSpiffeId } from '../core/spiffe-id.ts';
import type { Issue } from './issue.ts';
import { claimsOf, fieldName, grpcMethod, methodName, port } from './policy-rule.ts';
import { MESH_NAMESPACE, tryParseServiceName } from './service.ts';

const MAX_TESTS = 256;
/** Where HTTP is spoken when nobody says. */
const DEFAULT_PORT = 80;

const claimValue = v.union([v.string(), v.pipe(v.array(v.string()), v.maxLength(256))]);

const request = v.pipe(
  v.strictObject({
    method: v.optional(methodName),
    path: v.optional(v.pipe(v.string(), v.regex(/^(?:\/[\x21-\x7e]{0,4095}|\*)$/, 'is not a path as it is sent'))),
    host: v.optional(v.pipe(v.string(), v.regex(/^[\x21-\x7e]{0,255}$/, 'is not a host'))),
    headers: v.optional(
      v.pipe(
        v.array(v.strictObject({ name: fieldName, value: v.pipe(v.string(), v.maxLength(4096)) })),
        v.maxLength(64),
      ),
    ),
    grpc: v.optional(grpcMethod),
  }),
  v.check(
    ({ grpc, method, path }) => grpc === undefined || (method === undefined && path === undefined),
    'gives method or path beside grpc, which says both',
  ),
);

const test = v.strictObject({
  from: v.pipe(
    v.string(),
    v.check((text) => tryParseSpiffeId(text) !== undefined, 'is not a SPIFFE id'),
  ),
  claims: v.optional(claimsOf(claimValue)),
  service: v.optional(
    v.pipe(
      v.string(),
      v.check((text) => tryParseServiceName(text, 'default') !== undefined, 'is not the name of a service'),
    ),
  ),
  port: v.optional(port),
  request: v.optional(request),
  expect: v.picklist(['allow', 'deny']),
});

export const tests = v.optional(v.pipe(v.array(test), v.maxLength(MAX_TESTS)));

export type PolicyTest = v.InferOutput<typeof test>;

/** A test with everything in its place. */
export interface ResolvedTest {
  readonly caller: SpiffeId;
  /** `name.namespace` */
  readonly service: string;
  readonly port: number;
  /** undefined: a connection of which only the ends are known. */
  readonly http:
    | {
        readonly method: string;
        readonly path: string;
        readonly host: string;
        readonly fields: readonly string[];
        readonly claims: Readonly<Record<string, string | readonly string[]>> | undefined;
      }
    | undefined;
}

interface TestedPolicy {
  readonly namespace: string;
  readonly spec: {
    readonly targets?:
      | readonly { readonly service: string; readonly ports?: readonly number[] | undefined }[]
      | undefined;
    readonly tests?: readonly PolicyTest[] | undefined;
  };
}

/** Tests of which nobody could say whom they ask. */
export function findTestFaults(policy: TestedPolicy): readonly Issue[] {
  return (policy.spec.tests ?? []).flatMap((each, i) => {
    const found = resolveTest(policy, each);
    return typeof found === 'string'
      ? [{ path: `spec.tests[${i}].service`, message: found, rule: 'test-service' }]
      : [];
  });
}

/** @returns what is wrong with it, when nobody could say whom it asks */
export function resolveTest(
  { namespace, spec: { targets = [] } }: TestedPolicy,
  test: PolicyTest,
): ResolvedTest | string {
  const { from, claims, request: asked, service: named, port: at } = test;
  const own = new Set(targets.map(({ service }) => service));
  const [only] = own;
  const isMesh = namespace === MESH_NAMESPACE;
  if (isMesh && named?.includes('.') !== true) return 'is missing: write it as name.namespace';
  const name = named ?? (own.size === 1 ? only : undefined);
  if (name === undefined) return 'is missing: the policy is for several services';
  const service = tryParseServiceName(name, namespace);
  const caller = tryParseSpiffeId(from);
  if (service === undefined || caller === undefined) return 'is not the name of a service';
  if (!isMesh && service.namespace !== namespace)
    return 'is of another namespace, with which this policy has nothing to do';
  const ports = targets.find((target) => target.service === service.name)?.ports;
  return {
    caller,
    service: service.key,
    port: at ?? ports?.[0] ?? DEFAULT_PORT,
    http: asked && toHttp(asked, service.key, claims),
  };
}

function toHttp(
  { method = 'GET', path = '/', host, headers = [], grpc }: v.InferOutput<typeof request>,
  service: string,
  claims: PolicyTest['claims'],
): ResolvedTest['http'] {
  const fields = headers.flatMap(({ name, value }) => [name, value]);
  const shared = { host: host ?? `${service}.mesh`, claims };
  if (grpc === undefined) return { ...shared, method, path, fields };
  const call = `/${grpc.service ?? 'any.Service'}/${grpc.method ?? 'Any'}`;
  return { ...shared, method: 'POST', path: call, fields: [...fields, 'content-type', 'application/grpc'] };
}
