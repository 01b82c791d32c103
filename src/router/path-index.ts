/** Candidates by path: a request finds the first that takes it in steps that grow with its path, not with the number of routes. */

import type { HttpMatch } from '../catalog/http-match.ts';
import type { RegularExpressions, TextTest } from '../catalog/regular-expression.ts';
import { type ConditionTest, compileConditions, type RequestView, toPrefixKey } from './match.ts';
import { type Candidate, compareHttp } from './precedence.ts';

interface Entry {
  readonly candidate: Candidate<HttpMatch>;
  /** undefined: holds for every request with that path. */
  readonly conditions: ConditionTest | undefined;
}

export class PathIndex {
  readonly #exact = new Map<string, Entry[]>();
  readonly #patterns: { readonly test: TextTest; readonly entry: Entry }[] = [];
  readonly #prefixes = new Map<string, Entry[]>();
  /** Longer prefixes of a path need not be looked up, however many slashes somebody sends. */
  #longestPrefix = 0;

  constructor(candidates: readonly Candidate<HttpMatch>[], expressions: RegularExpressions) {
    for (const candidate of [...candidates].sort(compareHttp)) {
      const { path } = candidate.match;
      const entry = { candidate, conditions: compileConditions(candidate.match, expressions) };
      if (path.type === 'Exact') append(this.#exact, path.value, entry);
      else if (path.type === 'PathPrefix') this.#addPrefix(toPrefixKey(path), entry);
      else this.#patterns.push({ test: expressions.compile(path.value), entry });
    }
  }

  /** The first candidate, in the order of precedence, that takes the request. */
  find(request: RequestView): Candidate<HttpMatch> | undefined {
    const { path } = request;
    // The form "*" of OPTIONS and the empty one of CONNECT are no paths.
    if (path.charCodeAt(0) !== 0x2f) return undefined;
    return (
      findFirst(this.#exact.get(path), request) ?? this.#findByPattern(request) ?? this.#findByPrefix(request, path)
    );
  }

  #findByPattern(request: RequestView): Candidate<HttpMatch> | undefined {
    for (const { test, entry } of this.#patterns) {
      if (test(request.path) && (entry.conditions === undefined || entry.conditions(request))) return entry.candidate;
    }
    return undefined;
  }

  #addPrefix(key: string, entry: Entry): void {
    append(this.#prefixes, key, entry);
    this.#longestPrefix = Math.max(this.#longestPrefix, key.length);
  }

  /** Prefixes end where a path element ends: the longest is the whole path, the shortest is nothing. */
  #findByPrefix(request: RequestView, path: string): Candidate<HttpMatch> | undefined {
    const limit = this.#longestPrefix;
    let end = path.length <= limit ? path.length : path.lastIndexOf('/', limit);
    for (; end >= 0; end = end === 0 ? -1 : path.lastIndexOf('/', end - 1)) {
      const found = findFirst(this.#prefixes.get(path.slice(0, end)), request);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function append<T>(map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}

function findFirst(entries: readonly Entry[] | undefined, request: RequestView): Candidate<HttpMatch> | undefined {
  if (entries === undefined) return undefined;
  for (const { candidate, conditions } of entries) {
    if (conditions === undefined || conditions(request)) return candidate;
  }
  return undefined;
}
