/** What of a request an HTTPRoute looks at: path, method, header fields, query parameters; with the rules of Gateway API. */

import * as v from 'valibot';

/** Names of request methods that a match may give (HTTPMethod). */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;

const MAX_PATH = 1024;
const MAX_FIELD_VALUE = 4096;
const MAX_QUERY_VALUE = 1024;
const MAX_CONDITIONS = 16;

/** A header field's name: a token (RFC 9110 §5.1). */
export const fieldName = v.pipe(
  v.string(),
  v.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/, 'is not the name of a header field'),
);

const pathMatch = v.pipe(
  v.strictObject({
    type: v.optional(v.picklist(['Exact', 'PathPrefix', 'RegularExpression']), 'PathPrefix'),
    value: v.optional(v.pipe(v.string(), v.maxLength(MAX_PATH, `is longer than ${MAX_PATH} characters`)), '/'),
  }),
  v.forward(
    v.check(
      (match) => findPathMatchFault(match) === undefined,
      ({ input }) => findPathMatchFault(input) ?? '',
    ),
    ['value'],
  ),
);

function findPathMatchFault({ type, value }: { readonly type: string; readonly value: string }): string | undefined {
  return type === 'RegularExpression' ? undefined : findPathFault(value);
}

/** What is wrong with an exact path or a prefix (CEL of HTTPPathMatch), or undefined. */
export function findPathFault(value: string): string | undefined {
  if (!value.startsWith('/')) return 'does not begin with "/"';
  const part = /\/\/|\/\.\.?\/|%2f|%2F|#/.exec(value)?.[0];
  if (part !== undefined) return `must not contain "${part}"`;
  const end = /\/\.\.?$/.exec(value)?.[0];
  if (end !== undefined) return `must not end with "${end}"`;
  if (!/^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/.test(value)) {
    return 'holds a character that no path has: write it as %XX';
  }
  return undefined;
}

const conditions = <T extends v.GenericSchema>(item: T) =>
  v.optional(v.pipe(v.array(item), v.maxLength(MAX_CONDITIONS, `has more than ${MAX_CONDITIONS} entries`)), []);

/** @param name schema of the name of what is looked at */
const valueMatch = (name: v.GenericSchema<string>, maxLength: number) =>
  v.strictObject({
    type: v.optional(v.picklist(['Exact', 'RegularExpression']), 'Exact'),
    name,
    value: v.pipe(v.string(), v.minLength(1, 'is empty'), v.maxLength(maxLength)),
  });

/** `headers` of a match, for HTTPRoute and GRPCRoute alike. */
export const fieldMatches = conditions(valueMatch(fieldName, MAX_FIELD_VALUE));

/** A query parameter's name is any text; it is compared as it is, capitals included. */
const queryName = v.pipe(v.string(), v.minLength(1, 'is empty'), v.maxLength(256));
const queryMatches = conditions(valueMatch(queryName, MAX_QUERY_VALUE));

export const httpMatch = v.strictObject({
  path: v.optional(pathMatch, {}),
  headers: fieldMatches,
  queryParams: queryMatches,
  method: v.optional(v.picklist(METHODS)),
});

export type PathMatch = v.InferOutput<typeof pathMatch>;
/** A condition on a named value: a header field or a query parameter. */
export interface ValueMatch {
  readonly type: 'Exact' | 'RegularExpression';
  readonly name: string;
  readonly value: string;
}
export type HttpMatch = v.InferOutput<typeof httpMatch>;
