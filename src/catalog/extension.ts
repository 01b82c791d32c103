/** Filters of our own that routes refer to by ExtensionRef: DirectResponse and FaultInjection. */

import * as v from 'valibot';
import { headerFields } from './http-filter.ts';
import { type Parsed, toIssues } from './issue.ts';
import { duration } from './meta.ts';
import type { Manifest } from './resource.ts';

/** API group of our own kinds. */
export const EXTENSION_GROUP = 'skein.dev';
export const DIRECT_RESPONSE = 'DirectResponse';
export const FAULT_INJECTION = 'FaultInjection';
/** Code of the member itself; nothing of it is in the catalogue. */
export const MIDDLEWARE = 'Middleware';

/** Such an answer is for a notice or a small document, not for a file. */
const MAX_BODY = 16 * 1024;

const directResponse = v.strictObject({
  status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
  contentType: v.optional(
    v.pipe(v.string(), v.regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?$/)),
    'text/plain; charset=utf-8',
  ),
  body: v.optional(v.pipe(v.string(), v.maxLength(MAX_BODY, `is longer than ${MAX_BODY} characters`)), ''),
  headers: headerFields,
});

const percent = v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100)), 100);

const faultInjection = v.pipe(
  v.strictObject({
    delay: v.optional(v.strictObject({ duration, percent })),
    abort: v.optional(
      v.pipe(
        v.strictObject({
          status: v.optional(v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(599))),
          grpcStatus: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(16))),
          percent,
        }),
        v.check(
          ({ status, grpcStatus }) => (status === undefined) !== (grpcStatus === undefined),
          'gives neither status nor grpcStatus, or both',
        ),
      ),
    ),
  }),
  v.check(({ delay, abort }) => delay !== undefined || abort !== undefined, 'has neither delay nor abort'),
);

export type DirectResponse = v.InferOutput<typeof directResponse>;
export type FaultInjection = v.InferOutput<typeof faultInjection>;

/** A resource that an ExtensionRef may refer to. */
export type Extension =
  | { readonly kind: typeof DIRECT_RESPONSE; readonly spec: DirectResponse }
  | { readonly kind: typeof FAULT_INJECTION; readonly spec: FaultInjection };

export function parseDirectResponse({ spec }: Manifest): Parsed<Extension> {
  const result = v.safeParse(directResponse, spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  return { value: { kind: DIRECT_RESPONSE, spec: result.output } };
}

export function parseFaultInjection({ spec }: Manifest): Parsed<Extension> {
  const result = v.safeParse(faultInjection, spec);
  if (!result.success) return { issues: toIssues(result.issues, 'spec') };
  return { value: { kind: FAULT_INJECTION, spec: result.output } };
}
