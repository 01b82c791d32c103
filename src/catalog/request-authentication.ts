/**
 * RequestAuthentication: whose tokens of end users services believe, and what they learn of them, in the words of Istio. It lets nobody
 * in: AuthorizationPolicies decide by the claims. The parser refuses the whole resource on any bad entry, as it does policies.
 */

import * as v from 'valibot';
import { tryParseJson } from '../core/json.ts';
import { isReserved } from '../core/reserved-fields.ts';
import { isSafeUrl } from '../core/safe-url.ts';
import { isTrustDomain } from '../core/spiffe-id.ts';
import { type Parsed, toIssues } from './issue.ts';
import { objectName } from './meta.ts';
import { fieldName } from './policy-rule.ts';
import type { Manifest } from './resource.ts';
import { isLabel, MESH_NAMESPACE, namespaceOf } from './service.ts';

export const REQUEST_AUTHENTICATION = 'RequestAuthentication';

const MAX_TARGETS = 16;
const MAX_RULES = 16;
const MAX_AUDIENCES = 16;
const MAX_LOCATIONS = 8;
const MAX_OUTPUTS = 16;
const MAX_KEYS = 100;
/** JWT-SVID §2.1; `none`, HMAC and EdDSA are left out on purpose. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'] as const;
/** What claims may not be written into: what a body is, and what says itself who somebody is. */
const NOT_FOR_CLAIMS: ReadonlySet<string> = new Set(['authorization', 'content-encoding', 'content-type', 'cookie']);
/** Members that only private and shared keys have (RFC 7518 §6). */
const SECRET_MEMBERS = ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];

const text = v.pipe(v.string(), v.minLength(1, 'is empty'), v.maxLength(512));
const url = v.pipe(
  v.string(),
  v.maxLength(2048),
  v.check(isSafeUrl, 'is no https URL (http only of this machine), or holds a name, a password or a fragment'),
);
const ownField = v.pipe(
  fieldName,
  v.check((name) => !isReserved(name), 'is a field that only the mesh or HTTP itself may set'),
);

const targetRef = v.strictObject({
  group: v.optional(v.literal('', 'is not "": only services can be targets'), ''),
  kind: v.optional(v.literal('Service', 'is not Service: nothing else can be a target'), 'Service'),
  name: v.pipe(objectName, v.check(isLabel, 'is not a DNS label')),
});

/** An object, or the text of one, as Istio has it. */
const jwks = v.pipe(
  v.union([v.string(), v.record(v.string(), v.unknown())]),
  v.transform((value): unknown => (typeof value === 'string' ? tryParseJson(value) : value)),
  v.check((value) => toKeys(value) !== undefined, `is no JWK Set of 1 to ${MAX_KEYS} keys, each with a kid`),
  v.check((value) => toKeys(value)?.some(isSecret) !== true, 'holds a private or shared key: publish none'),
  v.check((value) => {
    const ids = (toKeys(value) ?? []).map(({ kid }) => kid);
    return new Set(ids).size === ids.length;
  }, 'gives one kid to two keys'),
);

const rule = v.pipe(
  v.strictObject({
    /** `iss` of the tokens. */
    issuer: v.optional(text),
    /** Or the trust domain whose JWT-SVIDs they are. */
    trustDomain: v.optional(v.pipe(v.string(), v.check(isTrustDomain, 'is not a trust domain'))),
    /** One of them must be in `aud`. */
    audiences: v.pipe(
      v.array(text),
      v.minLength(1, 'is empty: say for whom tokens are, or one for anybody would be taken'),
      v.maxLength(MAX_AUDIENCES),
    ),
    jwksUri: v.optional(url),
    jwks: v.optional(jwks),
    algorithms: v.optional(v.pipe(v.array(v.picklist(ALGORITHMS)), v.minLength(1, 'is empty'))),
    fromHeaders: v.optional(
      v.pipe(
        v.array(
          v.strictObject({
            name: ownField,
            prefix: v.optional(v.pipe(v.string(), v.regex(/^[\x21-\x7e ]{0,64}$/)), ''),
          }),
        ),
        v.minLength(1, 'is empty'),
        v.maxLength(MAX_LOCATIONS),
      ),
    ),
    /** The application is shown the token as well. */
    forwardOriginalToken: v.optional(v.boolean(), false),
    outputClaimToHeaders: v.optional(
      v.pipe(
        v.array(
          v.strictObject({
            header: v.pipe(
              ownField,
              v.check((name) => !NOT_FOR_CLAIMS.has(name), 'is a field that claims may not be written into'),
            ),
            claim: v.pipe(v.string(), v.regex(/^[^[\]\s]{1,256}$/, 'is not the name of a claim')),
          }),
        ),
        v.maxLength(MAX_OUTPUTS),
        v.check(
          (outputs) => new Set(outputs.map(({ header }) => toVariable(header))).size === outputs.length,
          'writes one header twice',
        ),
      ),
      [],
    ),
  }),
  v.check(
    ({ issuer, trustDomain }) => (issuer === undefined) !== (trustDomain === undefined),
    'must give one of issuer and trustDomain',
  ),
  v.check(({ jwksUri, jwks: keys }) => jwksUri === undefined || keys === undefined, 'gives jwksUri beside jwks'),
  v.check(
    ({ trustDomain, jwksUri, jwks: keys, algorithms }) =>
      trustDomain === undefined || (jwksUri ?? keys ?? algorithms) === undefined,
    'gives keys or algorithms beside trustDomain, whose bundle says them',
  ),
  v.check(
    ({ issuer, jwksUri, jwks: keys }) =>
      issuer === undefined || (jwksUri ?? keys) !== undefined || (isSafeUrl(issuer) && !issuer.includes('?')),
    'gives neither jwksUri nor jwks, and its issuer is no https URL that could tell its keys',
  ),
);

const spec = v.strictObject({
  targetRefs: v.optional(
    v.pipe(
      v.array(targetRef),
      v.minLength(1, 'is empty, which would match nothing'),
      v.maxLength(MAX_TARGETS),
      v.check((refs) => new Set(refs.map(({ name }) => name)).size === refs.length, 'has one target twice'),
    ),
  ),
  jwtRules: v.pipe(v.array(rule), v.minLength(1, 'is empty'), v.maxLength(MAX_RULES)),
});

export type JwtRule = v.InferOutput<typeof rule>;

export interface RequestAuthentication {
  readonly name: string;
  readonly namespace: string;
  readonly spec: v.InferOutput<typeof spec>;
}

/** Every issue, or the resource. `metadata` was checked by `parse.ts`. */
export function parseRequestAuthentication(manifest: Manifest): Parsed<RequestAuthentication> {
  const result = v.safeParse(spec, manifest.spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  const { name, namespace } = manifest.metadata;
  return { value: { name, namespace, spec: result.output } };
}

/** Those of `manifests` that can be read, other kinds left out. One that cannot closes its namespace in sidecars. */
export function readAuthentications(manifests: readonly Manifest[]): readonly RequestAuthentication[] {
  return manifests.flatMap((manifest) => {
    if (manifest.kind !== REQUEST_AUTHENTICATION) return [];
    const parsed = parseRequestAuthentication(manifest);
    return 'value' in parsed ? [parsed.value] : [];
  });
}

/** The rules for requests to `service` (`name.namespace`): those of its namespace and of the mesh, for it or for all. */
export function jwtRulesOf(resources: readonly RequestAuthentication[], service: string): readonly JwtRule[] {
  const own = namespaceOf(service);
  const name = service.slice(0, service.length - own.length - 1);
  return resources.flatMap(({ namespace, spec: { targetRefs, jwtRules } }) => {
    if (namespace !== own && namespace !== MESH_NAMESPACE) return [];
    return targetRefs === undefined || targetRefs.some((ref) => ref.name === name) ? jwtRules : [];
  });
}

/** Does anybody look for tokens in requests to `service`? */
export function looksForTokens(resources: readonly RequestAuthentication[], service: string): boolean {
  return jwtRulesOf(resources, service).length > 0;
}

/** A field as application servers know it that make variables of names: `x-user` and `x_user` are one. */
export function toVariable(name: string): string {
  return name.replace(/[^a-z0-9]/g, '-');
}

function toKeys(value: unknown): readonly Readonly<Record<string, unknown>>[] | undefined {
  const { keys } = Object(value) as { readonly keys?: unknown };
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > MAX_KEYS) return undefined;
  const isKey = (key: unknown): boolean =>
    typeof key === 'object' && key !== null && typeof (key as { kid?: unknown }).kid === 'string';
  return keys.every(isKey) ? (keys as Readonly<Record<string, unknown>>[]) : undefined;
}

function isSecret(key: Readonly<Record<string, unknown>>): boolean {
  return key.kty === 'oct' || SECRET_MEMBERS.some((name) => Object.hasOwn(key, name));
}
