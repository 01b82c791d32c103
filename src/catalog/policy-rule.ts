/**
 * Rules of an AuthorizationPolicy: who (`from`), for what (`to`), under which conditions (`when`), in the structure of Istio. Fields of
 * one source and of one operation must all hold; of a list one value must; of `not…` none may.
 */

import * as v from 'valibot';
import { isTrustDomain } from '../core/spiffe-id.ts';
import { isLabel } from './service.ts';
import { tryParseSpiffePattern } from './spiffe-pattern.ts';

/** Stands for the namespace of the service that is called in `from[].namespaces`. */
export const SAME_NAMESPACE = '$same';
const MAX_RULES = 512;
const MAX_VALUES = 256;

const EMPTY_LIST = 'is empty, which would match nothing';
export const list = <T extends v.GenericSchema>(item: T) =>
  v.optional(v.pipe(v.array(item), v.minLength(1, EMPTY_LIST), v.maxLength(MAX_VALUES)));

const idPattern = v.pipe(
  v.string(),
  v.check((text) => tryParseSpiffePattern(text) !== undefined, 'is not a SPIFFE id pattern'),
);
const namespace = v.pipe(
  v.string(),
  v.check((text) => text === SAME_NAMESPACE || isLabel(text), 'is neither a namespace nor "$same"'),
);
const trustDomain = v.pipe(v.string(), v.check(isTrustDomain, 'is not a trust domain'));
export const methodName = v.pipe(
  v.string(),
  v.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/, 'is not an HTTP method'),
  v.check((text) => !/^(?:get|head|post|put|delete|connect|options|trace|patch)$/.test(text), 'is not in capitals'),
);
const glob = v.pipe(v.string(), v.check(isGlob, 'may hold one "*", at its start or its end'));
const path = v.pipe(
  v.string(),
  v.check(isPathPattern, 'is not "/exact", "/prefix*", "*suffix", or a template with "{name}" and a last "{**}"'),
  v.check(
    isReachablePath,
    'can match nothing: paths are compared decoded, without ".", "..", "//", parameters, query and fragment',
  ),
);
const host = v.pipe(
  glob,
  v.check((text) => !/:[0-9]*$|\.$/.test(text), 'can match nothing: hosts are compared without port and last dot'),
);
export const fieldName = v.pipe(
  v.string(),
  v.regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/, 'is not a lower-case field name'),
);
export const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const header = v.strictObject({ name: fieldName, values: list(glob), notValues: list(glob) });
export const grpcMethod = v.pipe(
  v.strictObject({
    service: v.optional(v.pipe(v.string(), v.regex(/^[a-z_]\w*(?:\.[a-z_]\w*)*$/i, 'is not the name of a service'))),
    method: v.optional(v.pipe(v.string(), v.regex(/^[a-z_]\w*$/i, 'is not the name of a method'))),
  }),
  v.check(({ service, method }) => service !== undefined || method !== undefined, 'gives neither service nor method'),
);
const claimName = v.pipe(v.string(), v.regex(/^[^[\]\s]{1,256}$/, 'is not the name of a claim'));

/** The schema of records would drop these names without a word, and a rule that loses a condition means something else. */
const DROPPED = ['__proto__', 'prototype', 'constructor'];
export const claimsOf = <T extends v.GenericSchema>(value: T) =>
  v.pipe(
    v.unknown(),
    v.check((claims) => DROPPED.every((name) => !Object.hasOwn(Object(claims), name)), `holds ${DROPPED.join(' or ')}`),
    v.record(claimName, value),
  );

const source = v.strictObject({
  ids: list(idPattern),
  notIds: list(idPattern),
  namespaces: list(namespace),
  notNamespaces: list(namespace),
  trustDomains: list(trustDomain),
  notTrustDomains: list(trustDomain),
  /** Of the end user on whose behalf the request comes: for each claim one of the values. */
  claims: v.optional(
    v.pipe(
      claimsOf(v.pipe(v.array(glob), v.minLength(1, EMPTY_LIST), v.maxLength(MAX_VALUES))),
      v.check((claims) => Object.keys(claims).length > 0, EMPTY_LIST),
    ),
  ),
});

const operation = v.strictObject({
  methods: list(methodName),
  notMethods: list(methodName),
  paths: list(path),
  notPaths: list(path),
  hosts: list(host),
  notHosts: list(host),
  ports: list(port),
  notPorts: list(port),
  headers: list(header),
  grpc: list(grpcMethod),
});

/** What a condition looks at. */
export type ConditionKey =
  | { readonly kind: 'header' | 'claim'; readonly name: string }
  | { readonly kind: 'namespace' | 'id' | 'port' };

const KEYS = 'request.headers[name], request.auth.claims[name], source.namespace, source.principal, destination.port';

export function tryParseConditionKey(key: string): ConditionKey | undefined {
  const [, attribute = '', name = ''] =
    /^(request\.headers|request\.auth\.claims)\[([^[\]\s]{1,256})\]$/.exec(key) ?? [];
  if (attribute === 'request.headers') return { kind: 'header', name: name.toLowerCase() };
  if (attribute === 'request.auth.claims') return { kind: 'claim', name };
  if (key === 'source.namespace') return { kind: 'namespace' };
  if (key === 'source.principal') return { kind: 'id' };
  return key === 'destination.port' ? { kind: 'port' } : undefined;
}

const VALUES = { header: glob, claim: glob, namespace, id: idPattern, port: v.pipe(v.string(), v.regex(/^\d{1,5}$/)) };

/** What is wrong with a value, for what it is compared with. */
function findValueFault(key: string, values: readonly string[] | undefined): string | undefined {
  const parsed = tryParseConditionKey(key);
  if (parsed === undefined) return undefined;
  for (const value of values ?? []) {
    const { issues } = v.safeParse(VALUES[parsed.kind], value);
    if (issues !== undefined) return `holds ${JSON.stringify(value)}, which ${issues[0].message}`;
  }
  return undefined;
}

const conditionValues = list(v.pipe(v.string(), v.maxLength(4096)));
const condition = v.pipe(
  v.strictObject({
    key: v.pipe(
      v.string(),
      v.check((key) => tryParseConditionKey(key) !== undefined, `is not a key this version knows (${KEYS})`),
    ),
    values: conditionValues,
    notValues: conditionValues,
  }),
  v.check(
    ({ values, notValues }) => values !== undefined || notValues !== undefined,
    'has neither values nor notValues',
  ),
  v.forward(
    v.check(
      ({ key, values }) => findValueFault(key, values) === undefined,
      ({ input }) => findValueFault(input.key, input.values) ?? '',
    ),
    ['values'],
  ),
  v.forward(
    v.check(
      ({ key, notValues }) => findValueFault(key, notValues) === undefined,
      ({ input }) => findValueFault(input.key, input.notValues) ?? '',
    ),
    ['notValues'],
  ),
);

const rule = v.strictObject({ from: list(source), to: list(operation), when: list(condition) });

export const rules = v.optional(v.pipe(v.array(rule), v.maxLength(MAX_RULES)));

export type PolicySource = v.InferOutput<typeof source>;
export type PolicyOperation = v.InferOutput<typeof operation>;
export type PolicyCondition = v.InferOutput<typeof condition>;
export type PolicyRule = v.InferOutput<typeof rule>;
export type GrpcMethod = v.InferOutput<typeof grpcMethod>;

/** Members of an operation that a stream can have which is not HTTP. */
const LAYER_4: ReadonlySet<string> = new Set(['ports', 'notPorts']);

/** Does it look at what only requests have? */
export function looksAtRequests(operation: PolicyOperation): boolean {
  return Object.entries(operation).some(([name, value]) => value !== undefined && !LAYER_4.has(name));
}

/** Does the rule hold for a connection of which only the ends are known? */
export function needsRequests({ from = [], to = [], when = [] }: PolicyRule): boolean {
  return (
    (from.length > 0 && from.every(({ claims }) => claims !== undefined)) ||
    (to.length > 0 && to.every(looksAtRequests)) ||
    when.some(({ key }) => ['header', 'claim'].includes(tryParseConditionKey(key)?.kind ?? ''))
  );
}

function isGlob(text: string): boolean {
  const star = text.indexOf('*');
  return text !== '' && (star < 0 || (text.lastIndexOf('*') === star && (star === 0 || star === text.length - 1)));
}

function isPathPattern(text: string): boolean {
  if (!text.includes('{')) return isGlob(text) && (text.startsWith('/') || text.startsWith('*'));
  if (!text.startsWith('/')) return false;
  const segments = text.slice(1).split('/');
  return segments.every((segment, i) => {
    if (segment === '{**}') return i === segments.length - 1;
    return /^\{(?:\*|[A-Za-z_][A-Za-z0-9_]*)\}$/.test(segment) || !/[{}*]/.test(segment);
  });
}

/** A rule that can never match is a mistake of its writer: one that denies would be thought to protect something. */
function isReachablePath(text: string): boolean {
  return !/\/\/|\/\.\.?(?:\/|$)|[;?#\\]|%[0-9a-f]{2}/i.test(text) && !hasControl(text);
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x20 || text.charCodeAt(i) === 0x7f) return true;
  return false;
}
