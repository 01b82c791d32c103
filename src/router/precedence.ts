/** Precedence: the total order of all matches of all routes that hold for one service and port (Gateway API). */

import { GRPC_ROUTE, type GrpcMatch } from '../catalog/grpc-route.ts';
import type { HttpMatch, PathMatch } from '../catalog/http-match.ts';
import { HTTP_ROUTE } from '../catalog/http-route.ts';
import { compareAge, type RouteMeta } from '../catalog/meta.ts';
import type { RouteKind } from '../catalog/route.ts';
import { firstOfEachName, toPrefixKey } from './match.ts';
import type { Rule } from './rule.ts';

/** One match of one rule of one route; of a TCPRoute, one rule. */
export interface Candidate<M = unknown> {
  readonly route: RouteMeta;
  readonly rule: Rule;
  /** Place of the rule in its route, and of the match in its rule. */
  readonly ruleIndex: number;
  readonly matchIndex: number;
  readonly match: M;
}

/** Where a match stands among others, whatever its rule does. */
export type Placed<M> = Omit<Candidate<M>, 'rule'>;

/** Exact paths first. Where regular expressions stand is left to us: before prefixes, because they say more. */
const PATH_RANK: Readonly<Record<PathMatch['type'], number>> = { Exact: 0, RegularExpression: 1, PathPrefix: 2 };

/** One step of the order, which decides where all before it see no difference. */
interface Criterion<M> {
  /** What is true of the one that comes first. */
  readonly says: string;
  /** Negative when `a` comes first. */
  compare(a: Placed<M>, b: Placed<M>): number;
}

/** Where the matches say the same: the oldest route, the first name, the first rule, the first match. */
const ORIGIN_ORDER: readonly Criterion<unknown>[] = [
  {
    says: 'is of the older route, or of the one whose name comes first',
    compare: (a, b) => compareAge(a.route, b.route),
  },
  {
    says: 'stands before it in the route',
    compare: (a, b) => a.ruleIndex - b.ruleIndex || a.matchIndex - b.matchIndex,
  },
];

const HTTP_ORDER: readonly Criterion<HttpMatch>[] = [
  {
    says: 'says more of the path: exact before a pattern, that before a prefix',
    compare: (a, b) => PATH_RANK[a.match.path.type] - PATH_RANK[b.match.path.type],
  },
  { says: 'has the longer path', compare: (a, b) => pathLength(b.match.path) - pathLength(a.match.path) },
  {
    says: 'names a method',
    compare: (a, b) => Number(a.match.method === undefined) - Number(b.match.method === undefined),
  },
  { says: 'has more conditions on header fields', compare: (a, b) => headerCount(b.match) - headerCount(a.match) },
  { says: 'has more conditions on the query', compare: (a, b) => queryCount(b.match) - queryCount(a.match) },
  ...ORIGIN_ORDER,
];

/** The same for a GRPCRoute. */
const GRPC_ORDER: readonly Criterion<GrpcMatch>[] = [
  {
    says: 'has the longer name of a service',
    compare: (a, b) => (b.match.method?.service ?? '').length - (a.match.method?.service ?? '').length,
  },
  {
    says: 'has the longer name of a method',
    compare: (a, b) => (b.match.method?.method ?? '').length - (a.match.method?.method ?? '').length,
  },
  { says: 'has more conditions on header fields', compare: (a, b) => headerCount(b.match) - headerCount(a.match) },
  ...ORIGIN_ORDER,
];

/** Negative when `a` comes first. Never 0 for two candidates. */
export function compareHttp(a: Placed<HttpMatch>, b: Placed<HttpMatch>): number {
  return compareBy(HTTP_ORDER, a, b);
}

export function compareGrpc(a: Placed<GrpcMatch>, b: Placed<GrpcMatch>): number {
  return compareBy(GRPC_ORDER, a, b);
}

/** The same for matches of routes of `kind`. */
export function comparePlaces(kind: RouteKind, a: Placed<unknown>, b: Placed<unknown>): number {
  return compareBy(orderOf(kind), a, b);
}

/** For matches of that kind alone. */
function orderOf(kind: RouteKind): readonly Criterion<unknown>[] {
  const order = kind === HTTP_ROUTE ? HTTP_ORDER : kind === GRPC_ROUTE ? GRPC_ORDER : ORIGIN_ORDER;
  return order as readonly Criterion<unknown>[];
}

function compareBy<M>(order: readonly Criterion<M>[], a: Placed<M>, b: Placed<M>): number {
  for (const { compare } of order) {
    const difference = compare(a, b);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Why the first of two candidates for the same requests comes first. */
export function whyFirst(kind: RouteKind, first: Placed<unknown>, other: Placed<unknown>): string {
  return orderOf(kind).find(({ compare }) => compare(first, other) !== 0)?.says ?? '';
}

function pathLength(path: PathMatch): number {
  return path.type === 'PathPrefix' ? toPrefixKey(path).length : path.value.length;
}

function headerCount({ headers }: Pick<HttpMatch, 'headers'>): number {
  return firstOfEachName(headers, (name) => name.toLowerCase()).length;
}

function queryCount({ queryParams }: HttpMatch): number {
  return firstOfEachName(queryParams, (name) => name).length;
}
