/**
 * AuthorizationPolicy: who may call what. The parser refuses the whole policy on any bad entry, because a policy that
 * loses a line means something else (docs/security.md). Unknown members are refused for the same reason.
 */

import * as v from 'valibot';
import { isTrustDomain } from '../core/spiffe-id.ts';
import { type Parsed, toIssues } from './issue.ts';
import type { Manifest } from './resource.ts';
import { isLabel } from './service.ts';
import { tryParseSpiffePattern } from './spiffe-pattern.ts';

export const AUTHORIZATION_POLICY = 'AuthorizationPolicy';
/** Stands for the namespace of the policy itself in `from[].namespaces`. */
export const SAME_NAMESPACE = '$same';
const MAX_RULES = 512;
const MAX_VALUES = 256;

const EMPTY_LIST = 'is empty, which would match nothing';
const list = <T extends v.GenericSchema>(item: T) =>
  v.optional(v.pipe(v.array(item), v.minLength(1, EMPTY_LIST), v.maxLength(MAX_VALUES)));

const label = v.pipe(v.string(), v.check(isLabel, 'is not a DNS label'));
const idPattern = v.pipe(
  v.string(),
  v.check((text) => tryParseSpiffePattern(text) !== undefined, 'is not a SPIFFE id pattern'),
);
const namespace = v.pipe(
  v.string(),
  v.check((text) => text === SAME_NAMESPACE || isLabel(text), 'is neither a namespace nor "$same"'),
);
const trustDomain = v.pipe(v.string(), v.check(isTrustDomain, 'is not a trust domain'));
const method = v.pipe(
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
const header = v.strictObject({
  name: v.pipe(v.string(), v.regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/, 'is not a lower-case field name')),
  values: list(glob),
});

const source = v.strictObject({
  ids: list(idPattern),
  notIds: list(idPattern),
  namespaces: list(namespace),
  notNamespaces: list(namespace),
  trustDomains: list(trustDomain),
});

const operation = v.strictObject({
  methods: list(method),
  notMethods: list(method),
  paths: list(path),
  notPaths: list(path),
  hosts: list(host),
  headers: v.optional(v.pipe(v.array(header), v.minLength(1), v.maxLength(MAX_VALUES))),
});

const rule = v.strictObject({
  from: v.optional(v.pipe(v.array(source), v.minLength(1, EMPTY_LIST), v.maxLength(MAX_VALUES))),
  to: v.optional(v.pipe(v.array(operation), v.minLength(1, EMPTY_LIST), v.maxLength(MAX_VALUES))),
});

const rules = v.optional(v.pipe(v.array(rule), v.maxLength(MAX_RULES)));
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));

const spec = v.pipe(
  v.strictObject({
    targets: list(v.strictObject({ service: label, ports: v.optional(v.pipe(v.array(port), v.minLength(1))) })),
    deny: rules,
    allow: rules,
    shadowDeny: rules,
    mode: v.optional(v.picklist(['enforce', 'audit'])),
  }),
  v.check(
    (value) => value.deny !== undefined || value.allow !== undefined || value.shadowDeny !== undefined,
    'has none of deny, allow and shadowDeny',
  ),
);

/** Fields of one source and of one operation must all match; of a list, one value must; `not…`: none may. */
export type PolicySource = v.InferOutput<typeof source>;
export type PolicyOperation = v.InferOutput<typeof operation>;
export type PolicyRule = v.InferOutput<typeof rule>;
export type PolicySpec = v.InferOutput<typeof spec>;

export interface AuthorizationPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly spec: PolicySpec;
}

/** Every issue, or the policy. `metadata` was checked by `parse.ts`. */
export function parseAuthorizationPolicy(manifest: Manifest): Parsed<AuthorizationPolicy> {
  const result = v.safeParse(spec, manifest.spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  return { value: { name: manifest.metadata.name, namespace: manifest.metadata.namespace, spec: result.output } };
}

/** What a new hub holds: members of the namespace `default` may call each other, nobody else may. */
export const STARTER_POLICY: Manifest = {
  apiVersion: 'skein.dev/v1',
  kind: AUTHORIZATION_POLICY,
  metadata: { name: 'allow-same-namespace', namespace: 'default' },
  spec: { allow: [{ from: [{ namespaces: [SAME_NAMESPACE] }] }] },
};

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
