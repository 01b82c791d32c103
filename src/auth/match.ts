/** Compiled conditions of a policy rule: every source and operation becomes a list of small tests. */

import {
  type PolicyOperation,
  type PolicyRule,
  type PolicySource,
  SAME_NAMESPACE,
} from '../catalog/authorization-policy.ts';
import { matchesSpiffePattern, type SpiffePattern, tryParseSpiffePattern } from '../catalog/spiffe-pattern.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';

/** One stream as policy sees it. The L7 members are undefined on a stream that is not HTTP. */
export interface Access {
  readonly caller: SpiffeId;
  readonly method: string | undefined;
  /** Decision path (`decision-path.ts`). */
  readonly path: string | undefined;
  readonly pathAmbiguous: boolean;
  /** Host without port, lower case. */
  readonly host: string | undefined;
  /** Flat name/value list; names lower case. */
  readonly fields: readonly string[] | undefined;
}

/** What a rule says: the third word is for conditions that cannot be decided, and the caller chooses the safe reading. */
export type Match = 'yes' | 'no' | 'unknown';

export interface CompiledRule {
  readonly from: readonly ((id: SpiffeId) => boolean)[];
  readonly to: readonly ((access: Access) => Match)[];
}

export function compileRule(rule: PolicyRule, policyNamespace: string): CompiledRule {
  return {
    from: (rule.from ?? []).map((source) => compileSource(source, policyNamespace)),
    to: (rule.to ?? []).map(compileOperation),
  };
}

/** No `from` means everybody in the mesh, no `to` every operation. */
export function matchRule(rule: CompiledRule, access: Access): Match {
  if (rule.from.length > 0 && !rule.from.some((matches) => matches(access.caller))) return 'no';
  if (rule.to.length === 0) return 'yes';
  let result: Match = 'no';
  for (const operation of rule.to) {
    const match = operation(access);
    if (match === 'yes') return 'yes';
    if (match === 'unknown') result = 'unknown';
  }
  return result;
}

function compileSource(source: PolicySource, policyNamespace: string): (id: SpiffeId) => boolean {
  const ids = source.ids?.map(toPattern);
  const notIds = source.notIds?.map(toPattern);
  const resolve = (name: string): string => (name === SAME_NAMESPACE ? policyNamespace : name);
  const namespaces = source.namespaces && new Set(source.namespaces.map(resolve));
  const notNamespaces = source.notNamespaces && new Set(source.notNamespaces.map(resolve));
  const trustDomains = source.trustDomains && new Set(source.trustDomains);
  return (id) => {
    if (ids && !ids.some((pattern) => matchesSpiffePattern(pattern, id))) return false;
    if (notIds?.some((pattern) => matchesSpiffePattern(pattern, id))) return false;
    if (namespaces && (id.namespace === undefined || !namespaces.has(id.namespace))) return false;
    if (notNamespaces && id.namespace !== undefined && notNamespaces.has(id.namespace)) return false;
    return !trustDomains || trustDomains.has(id.trustDomain);
  };
}

function compileOperation(operation: PolicyOperation): (access: Access) => Match {
  const methods = operation.methods && new Set(operation.methods);
  const notMethods = operation.notMethods && new Set(operation.notMethods);
  const paths = operation.paths?.map(compilePath);
  const notPaths = operation.notPaths?.map(compilePath);
  const hosts = operation.hosts?.map((host) => compileGlob(host.toLowerCase()));
  const headers = operation.headers?.map(({ name, values }) => ({ name, values: values?.map(compileGlob) }));
  const needsPath = paths !== undefined || notPaths !== undefined;
  return ({ method, path, pathAmbiguous, host, fields }) => {
    if (method === undefined || path === undefined) return 'unknown';
    if (methods && !methods.has(method)) return 'no';
    if (notMethods?.has(method)) return 'no';
    if (hosts && !hosts.some((matches) => matches(host ?? ''))) return 'no';
    if (headers && !headers.every(({ name, values }) => hasField(fields ?? [], name, values))) return 'no';
    if (needsPath && pathAmbiguous) return 'unknown';
    if (paths && !paths.some((matches) => matches(path))) return 'no';
    return notPaths?.some((matches) => matches(path)) ? 'no' : 'yes';
  };
}

function toPattern(text: string): SpiffePattern {
  const pattern = tryParseSpiffePattern(text);
  if (pattern === undefined)
    throw new SkeinError('SKEIN_RESOURCE_INVALID', 'Cannot compile policy: malformed SPIFFE id pattern');
  return pattern;
}

/** Exact, `prefix*`, `*suffix`, or `*` for anything that is there. */
function compileGlob(text: string): (value: string) => boolean {
  if (text === '*') return (value) => value !== '';
  if (text.endsWith('*')) return (value) => value.startsWith(text.slice(0, -1));
  if (text.startsWith('*')) return (value) => value.endsWith(text.slice(1));
  return (value) => value === text;
}

function compilePath(text: string): (path: string) => boolean {
  if (!text.includes('{')) return compileGlob(text);
  const wanted = text.slice(1).split('/');
  const open = wanted[wanted.length - 1] === '{**}';
  const named = open ? wanted.slice(0, -1) : wanted;
  return (path) => {
    const segments = path.slice(1).split('/');
    if (open ? segments.length < named.length : segments.length !== named.length) return false;
    return named.every((name, i) => (name === '{*}' ? segments[i] !== '' : name === segments[i]));
  };
}

/** Whether any field of that name has a wanted value; without values, whether there is one at all. */
function hasField(
  fields: readonly string[],
  name: string,
  values: readonly ((value: string) => boolean)[] | undefined,
): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== name) continue;
    const value = fields[i + 1] as string;
    if (values === undefined || values.some((matches) => matches(value))) return true;
  }
  return false;
}
