/** Names of resources as people type them: `Kind/name`, and the kinds in the spellings that fingers know. */

import { DEFAULT_NAMESPACE } from '../catalog/service.ts';
import { SkeinError } from '../core/errors.ts';

/** Spelling in lower case → kind. */
const KINDS: Readonly<Record<string, string>> = {
  authorizationpolicy: 'AuthorizationPolicy',
  authorizationpolicies: 'AuthorizationPolicy',
  policy: 'AuthorizationPolicy',
  policies: 'AuthorizationPolicy',
  requestauthentication: 'RequestAuthentication',
  requestauthentications: 'RequestAuthentication',
  federatedtrustdomain: 'FederatedTrustDomain',
  federatedtrustdomains: 'FederatedTrustDomain',
  httproute: 'HTTPRoute',
  httproutes: 'HTTPRoute',
  route: 'HTTPRoute',
  routes: 'HTTPRoute',
  grpcroute: 'GRPCRoute',
  grpcroutes: 'GRPCRoute',
  tcproute: 'TCPRoute',
  tcproutes: 'TCPRoute',
  export: 'Export',
  exports: 'Export',
  backendtrafficpolicy: 'BackendTrafficPolicy',
  backendtrafficpolicies: 'BackendTrafficPolicy',
};

export interface ResourceQuery {
  readonly kind: string;
  /** Undefined: all of the kind. */
  readonly name: string | undefined;
}

/** Reads `Kind`, `Kind/name`, `policies` … @throws SkeinError SKEIN_CONFIG */
export function parseResourceQuery(text: string): ResourceQuery {
  const [spelling = '', name, ...rest] = text.split('/');
  const kind = KINDS[spelling.toLowerCase()] ?? (/^[A-Z][A-Za-z0-9]{0,62}$/.test(spelling) ? spelling : undefined);
  if (kind === undefined || rest.length > 0 || name === '') {
    throw new SkeinError(
      'SKEIN_CONFIG',
      `Cannot read resource "${text}": expected Kind or Kind/name, such as policies or HTTPRoute/api`,
    );
  }
  return { kind, name };
}

/** Where the hub keeps it. */
export function resourcePath(kind: string, namespace: string, name: string): string {
  return `/v1/resources/${[kind, namespace, name].map(encodeURIComponent).join('/')}`;
}

/** `HTTPRoute/api in shop` of `HTTPRoute/shop/api`. */
export function formatResource(key: string): string {
  const [kind = '', namespace = '', name = ''] = key.split('/');
  return `${kind}/${name} in ${namespace}`;
}

export interface ResourceMetadata {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
}

/** Kind, namespace and name of a manifest as far as it has them. */
export function metadataOf(manifest: unknown, namespace: string = DEFAULT_NAMESPACE): ResourceMetadata {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const { kind, metadata } = { kind: undefined, metadata: undefined, ...asObject(manifest) };
  const meta = { name: undefined, namespace: undefined, ...asObject(metadata) };
  return { kind: text(kind), name: text(meta.name), namespace: text(meta.namespace) || namespace };
}

function asObject(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}
