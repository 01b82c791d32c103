/** The routes of one service and port, all of one kind: which rule takes a request, or a connection. */

import { GRPC_ROUTE, type GrpcMatch } from '../catalog/grpc-route.ts';
import type { HttpMatch } from '../catalog/http-match.ts';
import { HTTP_ROUTE, type HttpRoute } from '../catalog/http-route.ts';
import type { RegularExpressions } from '../catalog/regular-expression.ts';
import type { Route, RouteKind } from '../catalog/route.ts';
import { TCP_ROUTE } from '../catalog/tcp-route.ts';
import type { RequestHead } from '../http/head.ts';
import { isGrpc } from '../http/reply.ts';
import { GrpcIndex } from './grpc-index.ts';
import { RequestView } from './match.ts';
import { PathIndex } from './path-index.ts';
import { type Candidate, comparePlaces } from './precedence.ts';
import { compileRule, type References, type Rule } from './rule.ts';

export class PortRoutes {
  readonly kind: RouteKind;
  /** What reads the patterns of matches. */
  readonly expressions: RegularExpressions;
  readonly #http: PathIndex | undefined;
  readonly #grpc: GrpcIndex | undefined;
  readonly #tcp: Rule | undefined;
  readonly #all: readonly Candidate[];

  /** @param routes at least one, and all of one kind */
  constructor(routes: readonly Route[], references: References, expressions: RegularExpressions) {
    this.expressions = expressions;
    this.kind = (routes[0] as Route).kind;
    const all = routes.flatMap((route) => toCandidates(route, references));
    this.#all = all;
    if (this.kind === HTTP_ROUTE) this.#http = new PathIndex(all as Candidate<HttpMatch>[], expressions);
    else if (this.kind === GRPC_ROUTE) this.#grpc = new GrpcIndex(all as Candidate<GrpcMatch>[], expressions);
    else this.#tcp = this.ordered()[0]?.rule;
  }

  /** The rule that takes a request, with the match that does. */
  match(head: RequestHead): Candidate | undefined {
    if (this.#http !== undefined) return this.#http.find(new RequestView(head));
    return isGrpc(head) ? this.#grpc?.find(new RequestView(head)) : undefined;
  }

  /** Everything that could take a request, in the order of precedence. */
  ordered(): readonly Candidate[] {
    return [...this.#all].sort((a, b) => comparePlaces(this.kind, a, b));
  }

  /** The rule that takes connections; undefined where the routes are for requests. */
  get connections(): Rule | undefined {
    return this.#tcp;
  }
}

function toCandidates(route: Route, references: References): Candidate[] {
  switch (route.kind) {
    case HTTP_ROUTE:
      return route.rules.flatMap((source, ruleIndex) => {
        const rule = compileRule(route, source, ruleIndex, toPrefix(source), references);
        return source.matches.map((match, matchIndex) => ({ route, rule, ruleIndex, matchIndex, match }));
      });
    case GRPC_ROUTE:
      return route.rules.flatMap((source, ruleIndex) => {
        const rule = compileRule(route, source, ruleIndex, '', references);
        return source.matches.map((match, matchIndex) => ({ route, rule, ruleIndex, matchIndex, match }));
      });
    case TCP_ROUTE:
      return route.rules.map((source, ruleIndex) => {
        const rule = compileRule(route, source, ruleIndex, '', references);
        return { route, rule, ruleIndex, matchIndex: 0, match: undefined };
      });
  }
}

function toPrefix({ matches }: HttpRoute['rules'][number]): string {
  const path = matches.length === 1 ? matches[0]?.path : undefined;
  return path?.type === 'PathPrefix' ? path.value : '';
}
