/**
 * A matcher of routes as the text of Gateway API reads: every match of every rule of every route is looked at, those that hold
 * are sorted, the first one takes the request. Slow, and written from the specification, not from the router.
 */
import type { GrpcMatch } from '../../src/catalog/grpc-route.ts';
import type { HttpMatch, ValueMatch } from '../../src/catalog/http-match.ts';
import type { Route } from '../../src/catalog/route.ts';

export interface OracleRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly port: number;
  readonly callerNamespace: string;
}

/** What becomes of a request to the service `api.default`. */
export type Verdict =
  | { readonly kind: 'service' }
  | { readonly kind: 'no-match' }
  | { readonly kind: 'match'; readonly route: string; readonly rule: number; readonly match: number };

interface Found {
  readonly route: Route;
  readonly rule: number;
  readonly match: number;
  /** Compared one after the other, larger first. */
  readonly rank: readonly number[];
}

export function decide(routes: readonly Route[], request: OracleRequest): Verdict {
  const attached = routes.filter((route) => isAttached(route, request.port));
  // GEP-1294: routes of the caller's namespace replace those of the service's own; the two are not merged.
  const consumer = attached.filter(({ namespace }) => namespace !== 'default' && namespace === request.callerNamespace);
  const producer = attached.filter(({ namespace }) => namespace === 'default');
  const group = consumer.length > 0 ? consumer : producer;
  if (group.length === 0) return { kind: 'service' };
  // "GRPCRoute > HTTPRoute > TLSRoute > TCPRoute": one kind per port.
  const kind = ['GRPCRoute', 'HTTPRoute', 'TCPRoute'].find((each) => group.some((route) => route.kind === each));
  const found = group.filter((route) => route.kind === kind).flatMap((route) => findAll(route, request));
  const [first] = found.sort(compare);
  if (first === undefined) return { kind: 'no-match' };
  return { kind: 'match', route: `${first.route.namespace}/${first.route.name}`, rule: first.rule, match: first.match };
}

function isAttached(route: Route, port: number): boolean {
  return route.parentRefs.some(
    (ref) =>
      ref.group === '' &&
      ref.kind === 'Service' &&
      ref.name === 'api' &&
      (ref.namespace ?? route.namespace) === 'default' &&
      ref.sectionName === undefined &&
      (ref.port === undefined || ref.port === port),
  );
}

function findAll(route: Route, request: OracleRequest): Found[] {
  const found: Found[] = [];
  if (route.kind === 'TCPRoute') return found; // no route for requests
  for (const [rule, { matches }] of route.rules.entries()) {
    for (const [match, each] of matches.entries()) {
      const rank = 'path' in each ? rankHttp(each, request) : rankGrpc(each, request);
      if (rank !== undefined) found.push({ route, rule, match, rank });
    }
  }
  return found;
}

/** "Ties are broken" … by what the matches say, then: the oldest, the first by namespace/name, the first in the list. */
function compare(a: Found, b: Found): number {
  for (let i = 0; i < a.rank.length; i++) {
    const difference = (b.rank[i] as number) - (a.rank[i] as number);
    if (difference !== 0) return difference;
  }
  const age = [a.route.createdAt, b.route.createdAt] as const;
  if (age[0] !== age[1]) return age[0] < age[1] ? -1 : 1;
  const names = [a, b].map(({ route }) => `${route.namespace}/${route.name}`) as [string, string];
  if (names[0] !== names[1]) return names[0] < names[1] ? -1 : 1;
  return a.rule - b.rule || a.match - b.match;
}

/** undefined when the match does not hold. */
function rankHttp({ path, method, headers, queryParams }: HttpMatch, request: OracleRequest): number[] | undefined {
  const [asked = '', ...query] = request.path.split('?');
  if (!asked.startsWith('/')) return undefined;
  // Ours to define: expressions between exact paths and prefixes, longer ones first. A slash at the end of a prefix is no character.
  let length = path.value.length;
  if (path.type === 'Exact') {
    if (asked !== path.value) return undefined;
    length = 0; // two that hold are the same
  } else if (path.type === 'PathPrefix') {
    const elements = path.value.replace(/\/$/, '').split('/');
    const wanted = asked.split('/');
    if (elements.some((element, i) => element !== wanted[i])) return undefined;
    length = path.value.replace(/\/$/, '').length;
  } else if (!new RegExp(`^(?:${path.value})$`, 's').test(asked)) {
    return undefined;
  }
  if (method !== undefined && method !== request.method) return undefined;
  const conditions = firstOfEach(headers, (name) => name.toLowerCase());
  if (!conditions.every((each) => holds(each, fieldOf(request, each.name)))) return undefined;
  const parameters = new URLSearchParams(query.join('?'));
  const queries = firstOfEach(queryParams, (name) => name);
  if (!queries.every((each) => holds(each, parameters.get(each.name)))) return undefined;
  const type = { Exact: 2, RegularExpression: 1, PathPrefix: 0 }[path.type];
  return [type, length, method === undefined ? 0 : 1, conditions.length, queries.length];
}

/** "the most characters in a matching service, … method, … the most header matches". */
function rankGrpc({ method, headers }: GrpcMatch, request: OracleRequest): number[] | undefined {
  if (fieldOf(request, 'content-type') !== 'application/grpc') return undefined;
  const parts = /^\/([^/]*)\/([^/]*)$/.exec(request.path.split('?')[0] ?? '');
  if (parts === null) return undefined;
  const { service = '', method: name = '', type } = method ?? {};
  const takes = (wanted: string, given: string): boolean =>
    wanted === '' || (type === 'RegularExpression' ? new RegExp(`^(?:${wanted})$`, 's').test(given) : wanted === given);
  if (!takes(service, parts[1] as string) || !takes(name, parts[2] as string)) return undefined;
  const conditions = firstOfEach(headers, (header) => header.toLowerCase());
  if (!conditions.every((each) => holds(each, fieldOf(request, each.name)))) return undefined;
  return [service.length, name.length, conditions.length];
}

/** "If multiple entries specify equivalent names, only the first entry with an equivalent name MUST be considered." */
function firstOfEach(values: readonly ValueMatch[], toKey: (name: string) => string): readonly ValueMatch[] {
  return values.filter((each, i) => values.findIndex(({ name }) => toKey(name) === toKey(each.name)) === i);
}

function fieldOf({ headers }: OracleRequest, name: string): string | null {
  const lines = headers.filter(([header]) => header.toLowerCase() === name.toLowerCase());
  return lines.length === 0 ? null : lines.map(([, value]) => value).join(', ');
}

function holds({ type, value }: ValueMatch, given: string | null): boolean {
  if (given === null) return false;
  return type === 'Exact' ? given === value : new RegExp(`^(?:${value})$`, 's').test(given);
}
