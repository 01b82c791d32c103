/** Precedence: the total order of all matches of all routes that hold for one service and port (Gateway API). */

import type { GrpcMatch } from '../catalog/grpc-route.ts';
import type { HttpMatch, PathMatch } from '../catalog/http-match.ts';
import { compareAge, type RouteMeta } from '../catalog/meta.ts';
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

/** Negative when `a` comes first. Never 0 for two candidates. */
export function compareHttp(a: Placed<HttpMatch>, b: Placed<HttpMatch>): number {
  return (
    PATH_RANK[a.match.path.type] - PATH_RANK[b.match.path.type] ||
    pathLength(b.match.path) - pathLength(a.match.path) ||
    Number(a.match.method === undefined) - Number(b.match.method === undefined) ||
    headerCount(b.match) - headerCount(a.match) ||
    queryCount(b.match) - queryCount(a.match) ||
    compareOrigin(a, b)
  );
}

/** The same for a GRPCRoute: most characters of the service, then of the method, then header matches. */
export function compareGrpc(a: Placed<GrpcMatch>, b: Placed<GrpcMatch>): number {
  return (
    (b.match.method?.service ?? '').length - (a.match.method?.service ?? '').length ||
    (b.match.method?.method ?? '').length - (a.match.method?.method ?? '').length ||
    headerCount(b.match) - headerCount(a.match) ||
    compareOrigin(a, b)
  );
}

/** What decides where the matches say the same: the oldest route, the first name, the first rule, the first match. */
export function compareOrigin(a: Placed<unknown>, b: Placed<unknown>): number {
  return compareAge(a.route, b.route) || a.ruleIndex - b.ruleIndex || a.matchIndex - b.matchIndex;
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
