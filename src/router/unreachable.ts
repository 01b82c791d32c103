/** Matches and rules that no request can reach, because another one takes all of theirs first. */

import { GRPC_ROUTE, type GrpcMatch } from '../catalog/grpc-route.ts';
import type { HttpMatch, PathMatch, ValueMatch } from '../catalog/http-match.ts';
import { HTTP_ROUTE } from '../catalog/http-route.ts';
import { attachedPorts, isAttached, parentsOf } from '../catalog/reference.ts';
import { ROUTE_KINDS, type Route, type RouteKind } from '../catalog/route.ts';
import { firstOfEachName, toPrefixKey } from './match.ts';
import { comparePlaces, type Placed } from './precedence.ts';

/** A match, or a whole rule, and what takes its requests. */
export interface Unreachable {
  readonly route: Route;
  /** `spec.rules[1]`, or `spec.rules[1].matches[0]` of a rule that can be reached otherwise. */
  readonly path: string;
  /** `HTTPRoute/api spec.rules[0].matches[0]` */
  readonly by: string;
}

interface Place extends Placed<unknown> {
  readonly route: Route;
}

/** Everything in `routes` that can be reached at none of the ports of none of its services. */
export function findUnreachable(routes: readonly Route[]): readonly Unreachable[] {
  /** Where something was found to be reached, or what is before it everywhere so far. */
  const verdicts = new Map<Route, Map<string, Place | 'reached'>>();
  for (const [service, attached] of byService(routes)) {
    const named = attached.flatMap((route) => [...(attachedPorts(route, service) ?? [])]);
    // One port that nobody names stands for all others.
    for (const port of new Set<number | undefined>([...named, undefined])) {
      const here = attached.filter((route) => isAttached(route, service, port));
      for (const namespace of new Set(here.map((route) => route.namespace))) {
        for (const kind of ROUTE_KINDS) {
          judge(
            kind,
            here.filter((route) => route.namespace === namespace && route.kind === kind),
            verdicts,
          );
        }
      }
    }
  }
  return routes.flatMap((route) => toFindings(route, verdicts.get(route)));
}

function byService(routes: readonly Route[]): ReadonlyMap<string, readonly Route[]> {
  const found = new Map<string, Route[]>();
  for (const route of routes) {
    for (const service of parentsOf(route)) {
      const known = found.get(service);
      if (known === undefined) found.set(service, [route]);
      else known.push(route);
    }
  }
  return found;
}

function judge(kind: RouteKind, routes: readonly Route[], verdicts: Map<Route, Map<string, Place | 'reached'>>): void {
  const places = routes.flatMap(toPlaces).sort((a, b) => comparePlaces(kind, a, b));
  for (const [i, place] of places.entries()) {
    const known = verdicts.get(place.route) ?? new Map<string, Place | 'reached'>();
    verdicts.set(place.route, known);
    const key = `${place.ruleIndex}/${place.matchIndex}`;
    if (known.get(key) === 'reached') continue;
    known.set(key, places.slice(0, i).find((before) => covers(kind, before.match, place.match)) ?? 'reached');
  }
}

function toPlaces(route: Route): Place[] {
  return route.rules.flatMap((rule, ruleIndex) => {
    const matches: readonly unknown[] = 'matches' in rule ? rule.matches : [undefined];
    return matches.map((match, matchIndex) => ({ route, ruleIndex, matchIndex, match }));
  });
}

function toFindings(route: Route, known: ReadonlyMap<string, Place | 'reached'> = new Map()): Unreachable[] {
  return route.rules.flatMap((rule, i) => {
    const path = `spec.rules[${i}]`;
    const count = 'matches' in rule ? rule.matches.length : 1;
    const shadows = Array.from({ length: count }, (_, j) => known.get(`${i}/${j}`));
    const places = shadows.map((shadow) => (typeof shadow === 'object' ? describe(shadow) : undefined));
    const [first] = places;
    if (first !== undefined && places.every((place) => place !== undefined)) return [{ route, path, by: first }];
    return places.flatMap((by, j) => (by === undefined ? [] : [{ route, path: `${path}.matches[${j}]`, by }]));
  });
}

function describe({ route, ruleIndex, matchIndex, match }: Place): string {
  const place = match === undefined ? '' : `.matches[${matchIndex}]`;
  return `${route.kind}/${route.name} spec.rules[${ruleIndex}]${place}`;
}

/** Does `a` take every request that `b` takes? False where that cannot be said. */
function covers(kind: RouteKind, a: unknown, b: unknown): boolean {
  if (kind === HTTP_ROUTE) return coversHttp(a as HttpMatch, b as HttpMatch);
  return kind === GRPC_ROUTE ? coversGrpc(a as GrpcMatch, b as GrpcMatch) : true;
}

function coversHttp(a: HttpMatch, b: HttpMatch): boolean {
  return (
    coversPath(a.path, b.path) &&
    (a.method === undefined || a.method === b.method) &&
    coversValues(a.headers, b.headers, (name) => name.toLowerCase()) &&
    coversValues(a.queryParams, b.queryParams, (name) => name)
  );
}

const ANY_PATH: ReadonlySet<string> = new Set(['.*', '/.*']);

function coversPath(a: PathMatch, b: PathMatch): boolean {
  if (a.type === 'RegularExpression') {
    return ANY_PATH.has(a.value) || (b.type === 'RegularExpression' && a.value === b.value);
  }
  if (b.type === 'RegularExpression') return a.type === 'PathPrefix' && toPrefixKey(a) === '';
  if (a.type === 'Exact') return b.type === 'Exact' && a.value === b.value;
  const prefix = toPrefixKey(a);
  const value = b.type === 'Exact' ? b.value : toPrefixKey(b);
  return value === prefix || value.startsWith(`${prefix}/`);
}

function coversGrpc(a: GrpcMatch, b: GrpcMatch): boolean {
  const { service = '', method = '' } = a.method ?? {};
  const isNarrower =
    (service === '' && method === '') ||
    (a.method?.type === b.method?.type &&
      (service === '' || service === b.method?.service) &&
      (method === '' || method === b.method?.method));
  return isNarrower && coversValues(a.headers, b.headers, (name) => name.toLowerCase());
}

function coversValues(a: readonly ValueMatch[], b: readonly ValueMatch[], toKey: (name: string) => string): boolean {
  const others = firstOfEachName(b, toKey);
  return firstOfEachName(a, toKey).every(({ name, type, value }) =>
    others.some((other) => toKey(other.name) === toKey(name) && other.type === type && other.value === value),
  );
}
