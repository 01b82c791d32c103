/**
 * Compiled conditions of a policy rule. Where it is unclear whether a condition holds — the path reads in two ways, the
 * stream is not HTTP — a rule that denies matches and a rule that allows does not; that is decided here, at compile time.
 */

import {
  type GrpcMethod,
  type PolicyCondition,
  type PolicyOperation,
  type PolicySource,
  SAME_NAMESPACE,
  tryParseConditionKey,
} from '../catalog/policy-rule.ts';
import { matchesSpiffePattern, type SpiffePattern, tryParseSpiffePattern } from '../catalog/spiffe-pattern.ts';
import { SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import { getField } from '../http/head.ts';
import { hasGrpcType } from '../http/reply.ts';

/** What an end user has been found to be: values of claims by name. */
export type Claims = Readonly<Record<string, string | readonly string[]>>;

/**
 * What policies are to think where no token was verified, because nothing was sent: claims that are given are believed; without any no
 * token comes, which is known only where somebody looks for one.
 */
export function assumeClaims(given: Claims | undefined, isLookedFor: boolean): Claims | undefined {
  return given ?? (isLookedFor ? {} : undefined);
}

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
  /** undefined: nobody has looked for any. */
  readonly claims: Claims | undefined;
}

/** `same` is the namespace of the service that is called. */
export type SourceTest = (caller: SpiffeId, same: string) => boolean;

/** One condition on a stream. */
export interface Check {
  /** As its writer calls it: `methods`, `headers[x-team]`, `claims[role]`. */
  readonly name: string;
  /** @param http undefined: the stream is not HTTP */
  readonly holds: (port: number, http: HttpView | undefined) => boolean;
}

/** All of them must hold. */
export type Checks = readonly Check[];

type TextTest = (text: string) => boolean;

/** The part of a source that the caller decides, by the names of its members. */
export function compileSource(source: PolicySource): readonly { readonly name: string; readonly holds: SourceTest }[] {
  const tests: { readonly name: string; readonly holds: SourceTest }[] = [];
  const add = <T>(
    name: string,
    values: readonly T[] | undefined,
    holds: (values: readonly T[]) => SourceTest,
  ): void => {
    if (values !== undefined) tests.push({ name, holds: holds(values) });
  };
  add('ids', source.ids, (ids) => hasId(ids));
  add('notIds', source.notIds, (ids) => not(hasId(ids)));
  add('namespaces', source.namespaces, (names) => hasNamespace(names));
  add('notNamespaces', source.notNamespaces, (names) => not(hasNamespace(names)));
  add('trustDomains', source.trustDomains, (names) => hasTrustDomain(names));
  add('notTrustDomains', source.notTrustDomains, (names) => not(hasTrustDomain(names)));
  return tests;
}

function not(test: SourceTest): SourceTest {
  return (caller, same) => !test(caller, same);
}

function hasId(texts: readonly string[]): SourceTest {
  const patterns = texts.map(toPattern);
  return (caller) => patterns.some((pattern) => matchesSpiffePattern(pattern, caller));
}

function hasNamespace(texts: readonly string[]): SourceTest {
  const names = new Set(texts);
  return ({ namespace }, same) =>
    namespace !== undefined && (names.has(namespace) || (namespace === same && names.has(SAME_NAMESPACE)));
}

function hasTrustDomain(texts: readonly string[]): SourceTest {
  const names = new Set(texts);
  return ({ trustDomain }) => names.has(trustDomain);
}

/** The part of a source that the request decides. @param denies whether it holds when in doubt */
export function compileClaims({ claims = {} }: PolicySource, denies: boolean): Checks {
  return Object.entries(claims).map(([name, values]) => {
    const tests = values.map(compileGlob);
    return onRequest(`claims[${name}]`, denies, ({ claims: proven }) =>
      proven === undefined ? denies : hasClaim(proven, name, tests),
    );
  });
}

/** @param denies whether it holds when in doubt */
export function compileOperation(operation: PolicyOperation, denies: boolean): Checks {
  const { methods, notMethods, paths, notPaths, hosts, notHosts, ports, notPorts, headers = [], grpc } = operation;
  const on = (name: string, test: (http: HttpView) => boolean): Check => onRequest(name, denies, test);
  const onPath = (name: string, test: TextTest): Check =>
    on(name, (http) => (http.pathAmbiguous ? denies : test(http.path)));
  const none =
    (test: TextTest): TextTest =>
    (text) =>
      !test(text);
  return [
    ...each(ports, (values) => ({ name: 'ports', holds: (port: number) => values.includes(port) })),
    ...each(notPorts, (values) => ({ name: 'notPorts', holds: (port: number) => !values.includes(port) })),
    ...each(methods, (values) => on('methods', ({ method }) => values.includes(method))),
    ...each(notMethods, (values) => on('notMethods', ({ method }) => !values.includes(method))),
    ...each(hosts && anyHost(hosts), (test) => on('hosts', ({ host }) => test(host))),
    ...each(notHosts && anyHost(notHosts), (test) => on('notHosts', ({ host }) => !test(host))),
    ...headers.flatMap(({ name, values, notValues }) => compileHeader(name, values, notValues, on)),
    ...each(grpc, (calls) => compileCalls(calls, denies, on)),
    ...each(paths && compilePaths(paths, denies), (test) => onPath('paths', test)),
    ...each(notPaths && compilePaths(notPaths, !denies), (test) => onPath('notPaths', none(test))),
  ];
}

/** A condition, about the caller or about the stream. */
export function compileCondition(
  { key, values, notValues }: PolicyCondition,
  denies: boolean,
): { readonly caller: SourceTest } | { readonly checks: Checks } {
  const parsed = tryParseConditionKey(key);
  if (parsed === undefined) throw malformed('condition');
  switch (parsed.kind) {
    case 'namespace':
      return { caller: both(values && hasNamespace(values), notValues && hasNamespace(notValues)) };
    case 'id':
      return { caller: both(values && hasId(values), notValues && hasId(notValues)) };
    case 'port':
      return {
        checks: [
          ...each(values, (ports) => ({ name: key, holds: (port: number) => ports.includes(String(port)) })),
          ...each(notValues, (ports) => ({ name: key, holds: (port: number) => !ports.includes(String(port)) })),
        ],
      };
    case 'header': {
      const on = (_name: string, test: (http: HttpView) => boolean): Check => onRequest(key, denies, test);
      return { checks: compileHeader(parsed.name, values, notValues, on) };
    }
    case 'claim': {
      const on = (texts: readonly string[], wanted: boolean): Check => {
        const tests = texts.map(compileGlob);
        return onRequest(key, denies, ({ claims }) =>
          claims === undefined ? denies : hasClaim(claims, parsed.name, tests) === wanted,
        );
      };
      return { checks: [...each(values, (texts) => on(texts, true)), ...each(notValues, (texts) => on(texts, false))] };
    }
  }
}

function both(wanted: SourceTest | undefined, unwanted: SourceTest | undefined): SourceTest {
  return (caller, same) => wanted?.(caller, same) !== false && unwanted?.(caller, same) !== true;
}

function onRequest(name: string, denies: boolean, test: (http: HttpView) => boolean): Check {
  return { name, holds: (_port, http) => (http === undefined ? denies : test(http)) };
}

function each<T, R>(value: T | undefined, make: (value: T) => R): R[] {
  return value === undefined ? [] : [make(value)];
}

function anyHost(hosts: readonly string[]): TextTest {
  const tests = hosts.map((host) => compileGlob(host.toLowerCase()));
  return (host) => tests.some((matches) => matches(host));
}

/** Without any values: the field is there. */
function compileHeader(
  name: string,
  values: readonly string[] | undefined,
  notValues: readonly string[] | undefined,
  on: (name: string, test: (http: HttpView) => boolean) => Check,
): Check[] {
  const label = `headers[${name}]`;
  if (values === undefined && notValues === undefined) {
    return [on(label, ({ fields }) => getField(fields, name) !== undefined)];
  }
  return [
    ...each(values?.map(compileGlob), (tests) => on(label, ({ fields }) => hasField(fields, name, tests))),
    ...each(notValues?.map(compileGlob), (tests) => on(label, ({ fields }) => !hasField(fields, name, tests))),
  ];
}

/**
 * A call of gRPC is a POST of its type to `/service/method`. What denies looks at the path alone: servers answer other protocols
 * (gRPC-Web, Connect) there too.
 */
function compileCalls(
  calls: readonly GrpcMethod[],
  denies: boolean,
  on: (name: string, test: (http: HttpView) => boolean) => Check,
): Check {
  const isThere = compilePaths(
    calls.map(({ service = '{*}', method = '{*}' }) => `/${service}/${method}`),
    denies,
  );
  if (denies) return on('grpc', ({ path, pathAmbiguous }) => pathAmbiguous || isThere(path));
  return on('grpc', ({ method, path, pathAmbiguous, fields }) => {
    return method === 'POST' && !pathAmbiguous && isThere(path) && hasGrpcType(fields);
  });
}

/** Of a claim that is a list one member is enough. */
function hasClaim(claims: Claims, name: string, tests: readonly TextTest[]): boolean {
  if (!Object.hasOwn(claims, name)) return false;
  const value = claims[name] ?? [];
  const texts = typeof value === 'string' ? [value] : value;
  return texts.some((text) => tests.some((matches) => matches(text)));
}

/** Holds for every stream, also one that is not HTTP. */
export function isUnconditional(operation: PolicyOperation): boolean {
  return Object.values(operation).every((condition) => condition === undefined);
}

export function readsPath({ paths, notPaths, grpc }: PolicyOperation): boolean {
  return paths !== undefined || notPaths !== undefined || grpc !== undefined;
}

function toPattern(text: string): SpiffePattern {
  const pattern = tryParseSpiffePattern(text);
  if (pattern === undefined) throw malformed('SPIFFE id pattern');
  return pattern;
}

function malformed(what: string): SkeinError {
  return new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot compile policy: malformed ${what}`);
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

function hasField(fields: readonly string[], name: string, values: readonly TextTest[]): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== name) continue;
    const value = fields[i + 1] as string;
    if (values.some((matches) => matches(value))) return true;
  }
  return false;
}
