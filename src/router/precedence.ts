/** Precedence: the total order of all matches of all routes that hold for one service and port (Gateway API, HTTPRouteRule). */

import type { HttpMatch, PathMatch } from '../catalog/http-match.ts';
import type { RouteMeta } from '../catalog/meta.ts';
import { firstOfEachName, toPrefixKey } from './match.ts';

/** One match of one rule of one route. */
export interface Candidate {
  readonly route: RouteMeta;
  /** Place of the rule in its route, and of the match in its rule. */
  readonly ruleIndex: number;
  readonly matchIndex: number;
  readonly match: HttpMatch;
}

/** Exact paths first. Where regular expressions stand is left to us: before prefixes, because they say more. */
const PATH_RANK: Readonly<Record<PathMatch['type'], number>> = { Exact: 0, RegularExpression: 1, PathPrefix: 2 };

/** Negative when `a` comes first. Never 0 for two candidates. */
export function comparePrecedence(a: Candidate, b: Candidate): number {
  return (
    PATH_RANK[a.match.path.type] - PATH_RANK[b.match.path.type] ||
    pathLength(b.match.path) - pathLength(a.match.path) ||
    Number(a.match.method === undefined) - Number(b.match.method === undefined) ||
    headerCount(b.match) - headerCount(a.match) ||
    queryCount(b.match) - queryCount(a.match) ||
    compareText(a.route.createdAt, b.route.createdAt) ||
    compareText(`${a.route.namespace}/${a.route.name}`, `${b.route.namespace}/${b.route.name}`) ||
    a.ruleIndex - b.ruleIndex ||
    a.matchIndex - b.matchIndex
  );
}

function pathLength(path: PathMatch): number {
  return path.type === 'PathPrefix' ? toPrefixKey(path).length : path.value.length;
}

function headerCount({ headers }: HttpMatch): number {
  return firstOfEachName(headers, (name) => name.toLowerCase()).length;
}

function queryCount({ queryParams }: HttpMatch): number {
  return firstOfEachName(queryParams, (name) => name).length;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
