/**
 * Matching: what of a request a match looks at, and whether it holds. Paths and values are compared byte by byte, as the
 * client sent them; only query parameters are decoded first, because they have no other form.
 */

import type { HttpMatch, PathMatch, ValueMatch } from '../catalog/http-match.ts';
import type { RegularExpressions, TextTest } from '../catalog/regular-expression.ts';
import { toByteText } from '../core/text.ts';
import type { Fields, RequestHead } from '../http/head.ts';

/** One request as matches see it; what nobody looks at is not worked out. */
export class RequestView {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly #head: RequestHead;
  readonly #query: string;
  #parameters: ReadonlyMap<string, string> | undefined;

  constructor(head: RequestHead) {
    const mark = head.path.indexOf('?');
    this.#head = head;
    this.method = head.method;
    this.path = mark < 0 ? head.path : head.path.slice(0, mark);
    this.#query = mark < 0 ? '' : head.path.slice(mark + 1);
  }

  /** The value of a field (lower-case name), all of its lines combined (RFC 9110 §5.3); `host` is the authority. */
  field(name: string): string | undefined {
    return name === 'host' ? this.#head.authority : combineFields(this.#head.fields, name);
  }

  /** The first value of a query parameter, decoded. */
  parameter(name: string): string | undefined {
    this.#parameters ??= parseQuery(this.#query);
    return this.#parameters.get(name);
  }
}

function combineFields(fields: Fields, name: string): string | undefined {
  let value: string | undefined;
  // RFC 9113 §8.2.3: a cookie that was split is joined by another sign than everything else.
  const separator = name === 'cookie' ? '; ' : ', ';
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== name) continue;
    value = value === undefined ? (fields[i + 1] as string) : `${value}${separator}${fields[i + 1]}`;
  }
  return value;
}

/** Names and values as in HTML forms (`+` is a space), one character per byte; of a name that comes twice the first value. */
function parseQuery(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const part of query === '' ? [] : query.split('&')) {
    const mark = part.indexOf('=');
    const name = decode(mark < 0 ? part : part.slice(0, mark));
    if (!parameters.has(name)) parameters.set(name, mark < 0 ? '' : decode(part.slice(mark + 1)));
  }
  return parameters;
}

/** What is no escape stands for itself, so that every query can be read, and a rule that denies cannot be slipped past. */
function decode(text: string): string {
  if (!/[%+]/.test(text)) return text;
  return text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-fA-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/** Does a match's path hold, asked by itself; `path-index.ts` answers it for many at once. */
function takesPath(match: PathMatch, path: string, expressions: RegularExpressions): boolean {
  if (!path.startsWith('/')) return false;
  if (match.type === 'RegularExpression') return expressions.compile(match.value)(path);
  if (match.type === 'Exact') return path === match.value;
  const prefix = toPrefixKey(match);
  return path === prefix || path.startsWith(`${prefix}/`);
}

/** The first condition of a match that does not hold, in words; undefined when all hold. */
export function findMismatch(
  { path, method, headers, queryParams }: HttpMatch,
  request: RequestView,
  expressions: RegularExpressions,
): string | undefined {
  if (!takesPath(path, request.path, expressions)) return `the path ${PATH_FAULTS[path.type]} "${path.value}"`;
  if (method !== undefined && request.method !== method) return `the method is not ${method}`;
  return findFieldMismatch(headers, request, expressions) ?? findQueryMismatch(queryParams, request, expressions);
}

const PATH_FAULTS: Readonly<Record<PathMatch['type'], string>> = {
  Exact: 'is not',
  PathPrefix: 'is not at or below',
  RegularExpression: 'does not match',
};

export function findFieldMismatch(
  headers: readonly ValueMatch[],
  request: RequestView,
  expressions: RegularExpressions,
): string | undefined {
  const wanted = firstOfEachName(headers, (name) => name.toLowerCase());
  const failed = wanted.find((each) => !compileFields([each], expressions).every((test) => test(request)));
  return failed && describeMismatch('header', failed, request.field(failed.name.toLowerCase()));
}

function findQueryMismatch(
  parameters: readonly ValueMatch[],
  request: RequestView,
  expressions: RegularExpressions,
): string | undefined {
  const wanted = firstOfEachName(parameters, (name) => name);
  const failed = wanted.find(
    (each) =>
      !compileValues([each], toByteText, expressions).every(({ name, test }) => holds(request.parameter(name), test)),
  );
  return failed && describeMismatch('query parameter', failed, request.parameter(toByteText(failed.name)));
}

function describeMismatch(what: string, { name, type, value }: ValueMatch, found: string | undefined): string {
  if (found === undefined) return `there is no ${what} "${name}"`;
  return `${what} "${name}" ${type === 'RegularExpression' ? 'does not match' : 'is not'} "${value}"`;
}

export type ConditionTest = (request: RequestView) => boolean;

/** Everything of a match but its path; undefined when that holds for every request. */
export function compileConditions(
  { method, headers, queryParams }: HttpMatch,
  expressions: RegularExpressions,
): ConditionTest | undefined {
  const tests: ConditionTest[] = [];
  if (method !== undefined) tests.push((request) => request.method === method);
  tests.push(...compileFields(headers, expressions));
  for (const { name, test } of compileValues(queryParams, toByteText, expressions)) {
    tests.push((request) => holds(request.parameter(name), test));
  }
  return allOf(tests);
}

/** A test for each condition on a header field. */
export function compileFields(headers: readonly ValueMatch[], expressions: RegularExpressions): ConditionTest[] {
  return compileValues(headers, (name) => name.toLowerCase(), expressions).map(
    ({ name, test }) =>
      (request) =>
        holds(request.field(name), test),
  );
}

/** All of them together; undefined when there are none. */
export function allOf(tests: readonly ConditionTest[]): ConditionTest | undefined {
  const [first, ...others] = tests;
  if (first === undefined || others.length === 0) return first;
  return (request) => tests.every((test) => test(request));
}

function holds(value: string | undefined, test: TextTest): boolean {
  return value !== undefined && test(value);
}

/** Of conditions on one name only the first counts (Gateway API, HTTPHeaderMatch and HTTPQueryParamMatch). */
export function firstOfEachName(values: readonly ValueMatch[], toKey: (name: string) => string): readonly ValueMatch[] {
  const seen = new Set<string>();
  return values.filter(({ name }) => {
    const key = toKey(name);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function compileValues(
  values: readonly ValueMatch[],
  toKey: (name: string) => string,
  { compile }: RegularExpressions,
): { readonly name: string; readonly test: TextTest }[] {
  return firstOfEachName(values, toKey).map(({ name, type, value }) => {
    if (type === 'RegularExpression') return { name: toKey(name), test: compile(value) };
    const wanted = toByteText(value);
    return { name: toKey(name), test: (text) => text === wanted };
  });
}

/** The form in which a prefix is looked up: a slash at its end means nothing. */
export function toPrefixKey({ value }: PathMatch): string {
  return value.endsWith('/') ? value.slice(0, -1) : value;
}
