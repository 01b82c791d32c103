/** How long a rule waits, and what it tries again (Gateway API: HTTPRouteTimeouts, HTTPRouteRetry). */

import * as v from 'valibot';
import { duration } from './meta.ts';

const timeouts = v.pipe(
  v.strictObject({ request: v.optional(duration), backendRequest: v.optional(duration) }),
  v.check(
    ({ request = 0, backendRequest = 0 }) => request === 0 || backendRequest <= request,
    'gives backendRequest longer than request',
  ),
);

const retry = v.strictObject({
  codes: v.optional(v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(599)))), []),
  attempts: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  backoff: v.optional(duration),
});

export const httpTimeouts = v.optional(timeouts, {});
export const httpRetry = v.optional(retry);
export type HttpRetry = v.InferOutput<typeof retry>;
