/**
 * Compiled conditions of a policy rule. Where it is unclear whether a condition holds — the path reads in two ways, the
 * stream is not HTTP — a rule that denies matches and a rule that allows does not; that is decided here, at compile time.
 */

import { type PolicyOperation, type PolicySource, SAME_NAMESPACE } from '../catalog/authorization-policy.ts';
import { matchesSpiffePattern, type SpiffePattern, tryParseSpiffePattern } from '../catalog/spiffe-pattern.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import { getField } from '../http/head.ts';

/** One HTTP request as policy sees it. */
export interface HttpView {
  readonly method: string;
  /** Decision path (`decision-path.ts`), and whether it is the only reading. */
  readonly path: string;
  readonly pathAmbiguous: boolean;
  /** Host without port and last dot, lower case. */
  readonly host: string;
  /** Flat name/value list; names lower case. */
  readonly fields: readonly string[];
}

/** `same` is the namespace of the service that is called. */
export type SourceTest = (caller: SpiffeId, same: string) => boolean;
/** undefined stands for a stream that is not HTTP. */
export type OperationTest = (request: HttpView | undefined) => boolean;

type TextTest = (text: string) => boolean;

export function compileSource(source: PolicySource): SourceTest {
  const ids = source.ids?.map(toPattern);
  const notIds = source.notIds?.map(toPattern);
  const namespaces = source.namespaces && new Set(source.namespaces);
  const notNamespaces = source.notNamespaces && new Set(source.notNamespaces);
  const trustDomains = source.trustDomains && new Set(source.trustDomains);
  return (id, same) => {
    if (ids && !ids.some((pattern) => matchesSpiffePattern(pattern, id))) return false;
    if (notIds?.some((pattern) => matchesSpiffePattern(pattern, id))) return false;
    if (namespaces && !hasNamespace(namespaces, id, same)) return false;
    if (notNamespaces && hasNamespace(notNamespaces, id, same)) return false;
    return !trustDomains || trustDomains.has(id.trustDomain);
  };
}

function hasNamespace(names: ReadonlySet<string>, { namespace }: SpiffeId, same: string): boolean {
  return namespace !== undefined && (names.has(namespace) || (namespace === same && names.has(SAME_NAMESPACE)));
}

/** @param denies whether the rule matches when in doubt; the operation has at least one condition */
export function compileOperation(operation: PolicyOperation, denies: boolean): OperationTest {
  const methods = operation.methods && new Set(operation.methods);
  const notMethods = operation.notMethods && new Set(operation.notMethods);
  const isIn = operation.paths && compilePaths(operation.paths, denies);
  const isOut = operation.notPaths && compilePaths(operation.notPaths, !denies);
  const hosts = operation.hosts?.map((host) => compileGlob(host.toLowerCase()));
  const headers = operation.headers?.map(({ name, values }) => ({ name, values: values?.map(compileGlob) }));
  return (request) => {
    if (request === undefined) return denies;
    if (methods && !methods.has(request.method)) return false;
    if (notMethods?.has(request.method)) return false;
    if (hosts && !hosts.some((matches) => matches(request.host))) return false;
    if (headers && !headers.every(({ name, values }) => hasField(request.fields, name, values))) return false;
    if (isIn === undefined && isOut === undefined) return true;
    if (request.pathAmbiguous) return denies;
    return (isIn === undefined || isIn(request.path)) && (isOut === undefined || !isOut(request.path));
  };
}

/** Holds for every stream, also one that is not HTTP. */
export function isUnconditional(operation: PolicyOperation): boolean {
  return Object.values(operation).every((condition) => condition === undefined);
}

export function readsPath(operation: PolicyOperation): boolean {
  return operation.paths !== undefined || operation.notPaths !== undefined;
}

function toPattern(text: string): SpiffePattern {
  const pattern = tryParseSpiffePattern(text);
  if (pattern === undefined)
    throw new SkeinError('SKEIN_RESOURCE_INVALID', 'Cannot compile policy: malformed SPIFFE id pattern');
  return pattern;
}

/** Exact, `prefix*`, `*suffix`, or `*` for anything that is there. */
function compileGlob(text: string): TextTest {
  if (text === '*') return (value) => value !== '';
  if (text.endsWith('*')) {
    const prefix = text.slice(0, -1);
    return (value) => value.startsWith(prefix);
  }
  if (text.startsWith('*')) {
    const suffix = text.slice(1);
    return (value) => value.endsWith(suffix);
  }
  return (value) => value === text;
}

/**
 * `wide` also takes what a lenient server takes for the same: another case, and one slash more or less at the end
 * (Express does both unless told otherwise). What denies is wide, what allows is not.
 */
function compilePaths(patterns: readonly string[], wide: boolean): TextTest {
  const tests = patterns.map((pattern) => compilePath(wide ? pattern.toLowerCase() : pattern));
  const matches: TextTest = (path) => tests.some((test) => test(path));
  if (!wide) return matches;
  return (path) => {
    const folded = path.toLowerCase();
    return matches(folded) || matches(folded.endsWith('/') ? folded.slice(0, -1) : `${folded}/`);
  };
}

function compilePath(text: string): TextTest {
  if (!text.includes('{')) return compileGlob(text);
  const wanted = text.slice(1).split('/');
  const open = wanted[wanted.length - 1] === '{**}';
  const named = open ? wanted.slice(0, -1) : wanted;
  return (path) => {
    const segments = path.slice(1).split('/');
    if (open ? segments.length < named.length : segments.length !== named.length) return false;
    return named.every((name, i) => (name.startsWith('{') ? segments[i] !== '' : name === segments[i]));
  };
}

/** Whether any field of that name has a wanted value; without values, whether there is one at all. */
function hasField(fields: readonly string[], name: string, values: readonly TextTest[] | undefined): boolean {
  if (values === undefined) return getField(fields, name) !== undefined;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== name) continue;
    const value = fields[i + 1] as string;
    if (values.some((matches) => matches(value))) return true;
  }
  return false;
}
