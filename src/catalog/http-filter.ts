/**
 * Filters of routes, in the words of Gateway API: what happens to a request on its way and to the answer on its way back. A
 * filter that this version does not have is refused, because a route without it would be another route.
 */

import * as v from 'valibot';
import { isReserved } from '../core/reserved-fields.ts';
import { fieldName, findPathFault, METHODS } from './http-match.ts';
import { backendObjectRef, hasPortIfService, kindName, objectName, PORT_MISSING, port } from './meta.ts';

const MAX_FIELDS = 16;
const MAX_FIELD_VALUE = 4096;
const MAX_PATH = 1024;
const MAX_ORIGINS = 64;
const MAX_FILTERS = 16;
/** Preflight answers are kept by browsers for so long when nobody says (Gateway API, HTTPCORSFilter). */
const MAX_AGE_SECONDS = 5;

const settableName = v.pipe(
  fieldName,
  v.check((name) => !isReserved(name.toLowerCase()), 'is a field that only the mesh, or who frames a message, may set'),
);

const fieldValue = v.pipe(
  v.string(),
  v.minLength(1, 'is empty'),
  v.maxLength(MAX_FIELD_VALUE, `is longer than ${MAX_FIELD_VALUE} characters`),
  v.check((text) => !hasControl(text) && text.trim() === text, 'holds a control character, or white space around it'),
);

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}

/** `set`, `add` and the like: fields with their values. */
export const headerFields = v.optional(
  v.pipe(
    v.array(v.strictObject({ name: settableName, value: fieldValue })),
    v.maxLength(MAX_FIELDS, `has more than ${MAX_FIELDS} entries`),
  ),
  [],
);

const headerModifier = v.pipe(
  v.strictObject({
    set: headerFields,
    add: headerFields,
    remove: v.optional(
      v.pipe(v.array(settableName), v.maxLength(MAX_FIELDS, `has more than ${MAX_FIELDS} entries`)),
      [],
    ),
  }),
  v.check(({ set, add, remove }) => {
    const names = [...[...set, ...add].map(({ name }) => name), ...remove].map((name) => name.toLowerCase());
    return new Set(names).size === names.length;
  }, 'names one field twice'),
);

/** RFC 1123, without a wildcard. */
const hostname = v.pipe(
  v.string(),
  v.maxLength(253),
  v.regex(
    /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/,
    'is not a host name in lower case',
  ),
);

const fullPath = v.pipe(
  v.string(),
  v.maxLength(MAX_PATH),
  v.check(
    (text) => findPathFault(text) === undefined,
    ({ input }) => findPathFault(input) ?? '',
  ),
);
const prefixPath = v.union([v.literal(''), fullPath], ({ input }) => findPathFault(String(input)) ?? 'is no path');

const pathModifier = v.variant(
  'type',
  [
    v.strictObject({ type: v.literal('ReplaceFullPath'), replaceFullPath: fullPath }),
    v.strictObject({ type: v.literal('ReplacePrefixMatch'), replacePrefixMatch: prefixPath }),
  ],
  'is neither ReplaceFullPath nor ReplacePrefixMatch',
);

const redirect = v.strictObject({
  scheme: v.optional(v.picklist(['http', 'https'])),
  hostname: v.optional(hostname),
  path: v.optional(pathModifier),
  port: v.optional(port),
  statusCode: v.optional(v.picklist([301, 302, 303, 307, 308]), 302),
});

const natural = v.pipe(v.number(), v.integer(), v.minValue(0));
const percent = v.pipe(natural, v.maxValue(100));
const fraction = v.pipe(
  v.strictObject({
    numerator: natural,
    denominator: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 100),
  }),
  v.check(({ numerator, denominator }) => numerator <= denominator, 'is more than the whole'),
);

const mirror = v.pipe(
  v.strictObject({
    backendRef: v.pipe(
      v.strictObject(backendObjectRef),
      v.check((ref) => hasPortIfService(ref), PORT_MISSING),
    ),
    percent: v.optional(percent),
    fraction: v.optional(fraction),
  }),
  v.check((value) => value.percent === undefined || value.fraction === undefined, 'gives both percent and fraction'),
);

const origin = v.pipe(
  v.string(),
  v.maxLength(253),
  v.regex(
    /^(?:\*|[a-zA-Z][a-zA-Z0-9+.-]*:\/\/(?:\*|(?:\*\.)?[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*)(?::[0-9]{1,5})?)$/,
    'is neither "*" nor scheme://host[:port], whose host may begin with "*."',
  ),
);
const isAlone = (values: readonly string[]): boolean => !values.includes('*') || values.length === 1;
const NOT_ALONE = 'has "*" beside others';
const names = v.optional(
  v.pipe(
    v.array(v.union([v.literal('*'), fieldName], 'is not the name of a header field')),
    v.maxLength(MAX_ORIGINS),
    v.check((values) => isAlone(values), NOT_ALONE),
  ),
  [],
);

const cors = v.strictObject({
  allowOrigins: v.optional(
    v.pipe(
      v.array(origin),
      v.maxLength(MAX_ORIGINS),
      v.check((values) => isAlone(values), NOT_ALONE),
    ),
    [],
  ),
  allowCredentials: v.optional(v.boolean(), false),
  allowMethods: v.optional(
    v.pipe(
      v.array(v.picklist([...METHODS, '*'])),
      v.check((values) => isAlone(values), NOT_ALONE),
    ),
    [],
  ),
  allowHeaders: names,
  exposeHeaders: names,
  maxAge: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), MAX_AGE_SECONDS),
});

const extensionRef = v.strictObject({ group: v.string(), kind: kindName, name: objectName });

const requestHeaderFilter = v.strictObject({
  type: v.literal('RequestHeaderModifier'),
  requestHeaderModifier: headerModifier,
});
const responseHeaderFilter = v.strictObject({
  type: v.literal('ResponseHeaderModifier'),
  responseHeaderModifier: headerModifier,
});
const mirrorFilter = v.strictObject({ type: v.literal('RequestMirror'), requestMirror: mirror });
const extensionFilter = v.strictObject({ type: v.literal('ExtensionRef'), extensionRef });
const UNKNOWN_FILTER = 'is no type of filter that this version has';

const filter = v.variant(
  'type',
  [
    requestHeaderFilter,
    responseHeaderFilter,
    v.strictObject({ type: v.literal('RequestRedirect'), requestRedirect: redirect }),
    v.strictObject({
      type: v.literal('URLRewrite'),
      urlRewrite: v.strictObject({ hostname: v.optional(hostname), path: v.optional(pathModifier) }),
    }),
    mirrorFilter,
    v.strictObject({ type: v.literal('CORS'), cors }),
    extensionFilter,
  ],
  UNKNOWN_FILTER,
);

const ONCE = ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestRedirect', 'URLRewrite', 'CORS'] as const;

/** `filters` of a rule or of a backendRef. */
export const httpFilters = v.optional(
  v.pipe(
    v.array(filter),
    v.maxLength(MAX_FILTERS, `has more than ${MAX_FILTERS} entries`),
    v.check(
      (list) => findRepeated(list) === undefined,
      ({ input }) => `has ${findRepeated(input)} twice`,
    ),
    v.check(
      (list) => countOf(list, 'RequestRedirect') === 0 || countOf(list, 'URLRewrite') === 0,
      'has both RequestRedirect and URLRewrite',
    ),
  ),
  [],
);

/** The same in a GRPCRoute, where URLs mean nothing. */
export const grpcFilters = v.optional(
  v.pipe(
    v.array(
      v.variant('type', [requestHeaderFilter, responseHeaderFilter, mirrorFilter, extensionFilter], UNKNOWN_FILTER),
    ),
    v.maxLength(MAX_FILTERS, `has more than ${MAX_FILTERS} entries`),
    v.check(
      (list) => findRepeated(list) === undefined,
      ({ input }) => `has ${findRepeated(input)} twice`,
    ),
  ),
  [],
);

export type HttpFilter = v.InferOutput<typeof filter>;
export type HeaderModifier = v.InferOutput<typeof headerModifier>;
export type PathModifier = v.InferOutput<typeof pathModifier>;
export type Redirect = v.InferOutput<typeof redirect>;
export type Mirror = v.InferOutput<typeof mirror>;
export type Cors = v.InferOutput<typeof cors>;
export type ExtensionRef = v.InferOutput<typeof extensionRef>;

function findRepeated(filters: readonly HttpFilter[]): string | undefined {
  return ONCE.find((type) => countOf(filters, type) > 1);
}

export function countOf(filters: readonly HttpFilter[], type: HttpFilter['type']): number {
  return filters.filter((each) => each.type === type).length;
}

/** Does a filter replace the prefix that has matched? Then there must be exactly one. */
export function replacesPrefix(filters: readonly HttpFilter[]): boolean {
  return filters.some(
    (each) =>
      (each.type === 'RequestRedirect' && each.requestRedirect.path?.type === 'ReplacePrefixMatch') ||
      (each.type === 'URLRewrite' && each.urlRewrite.path?.type === 'ReplacePrefixMatch'),
  );
}
