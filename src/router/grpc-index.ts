/** Candidates of GRPCRoutes: by the name of the service where a match gives one, so that a call looks at those of its own service only. */

import type { GrpcMatch } from '../catalog/grpc-route.ts';
import type { RegularExpressions, TextTest } from '../catalog/regular-expression.ts';
import { allOf, type ConditionTest, compileFields, findFieldMismatch, type RequestView } from './match.ts';
import { type Candidate, compareGrpc } from './precedence.ts';

interface Entry {
  readonly candidate: Candidate<GrpcMatch>;
  /** Place in the order of precedence. */
  readonly rank: number;
  readonly takesService: TextTest;
  readonly takesMethod: TextTest;
  readonly conditions: ConditionTest | undefined;
}

export class GrpcIndex {
  readonly #byService = new Map<string, Entry[]>();
  /** Those that name no service, or a pattern of names. */
  readonly #others: Entry[] = [];

  constructor(candidates: readonly Candidate<GrpcMatch>[], expressions: RegularExpressions) {
    for (const [rank, candidate] of [...candidates].sort(compareGrpc).entries()) {
      const { method, headers } = candidate.match;
      const isExact = method?.type === 'Exact';
      const entry: Entry = {
        candidate,
        rank,
        takesService: compileName(method?.service, isExact, expressions),
        takesMethod: compileName(method?.method, isExact, expressions),
        conditions: allOf(compileFields(headers, expressions)),
      };
      const service = isExact ? (method.service ?? '') : '';
      if (service === '') this.#others.push(entry);
      else this.#byService.set(service, [...(this.#byService.get(service) ?? []), entry]);
    }
  }

  /** The first candidate, in the order of precedence, that takes the call. */
  find(request: RequestView): Candidate<GrpcMatch> | undefined {
    const call = parseCall(request.path);
    if (call === undefined) return undefined;
    const { service, method } = call;
    const own = findFirst(this.#byService.get(service), service, method, request);
    const other = findFirst(this.#others, service, method, request);
    if (own === undefined || other === undefined) return (own ?? other)?.candidate;
    return (own.rank < other.rank ? own : other).candidate;
  }
}

/** The first condition of a match that does not hold, in words; undefined when all hold. */
export function findGrpcMismatch(
  { method, headers }: GrpcMatch,
  request: RequestView,
  expressions: RegularExpressions,
): string | undefined {
  const call = parseCall(request.path);
  if (call === undefined) return 'the path is not that of a call: /service/method';
  const isExact = method?.type === 'Exact';
  if (!compileName(method?.service, isExact, expressions)(call.service))
    return `the service is not "${method?.service}"`;
  if (!compileName(method?.method, isExact, expressions)(call.method)) return `the method is not "${method?.method}"`;
  return findFieldMismatch(headers, request, expressions);
}

/** "/" Service-Name "/" {method name}: two parts, no more (gRPC over HTTP/2, Requests). */
function parseCall(path: string): { readonly service: string; readonly method: string } | undefined {
  const [before, service, method, ...rest] = path.split('/');
  if (before !== '' || service === undefined || method === undefined || rest.length > 0) return undefined;
  return { service, method };
}

function compileName(name: string | undefined, isExact: boolean, { compile }: RegularExpressions): TextTest {
  if (name === undefined || name === '') return () => true;
  return isExact ? (text) => text === name : compile(name);
}

function findFirst(
  entries: readonly Entry[] | undefined,
  service: string,
  method: string,
  request: RequestView,
): Entry | undefined {
  return entries?.find(
    ({ takesService, takesMethod, conditions }) =>
      takesService(service) && takesMethod(method) && (conditions === undefined || conditions(request)),
  );
}
