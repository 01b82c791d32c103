/** The sidecar's admin port: health, readiness, metrics, status; nothing can be changed here. The only door to hono in the sidecar. */

import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { isLoopbackName } from '../core/loopback.ts';
import type { HttpServerOptions } from '../core/platform.ts';
import { tryParseAuthority } from '../http/target.ts';
import type { Metrics } from '../telemetry/prometheus.ts';

export interface AdminAppOptions {
  readonly metrics: Metrics;
  readonly isReady: () => boolean;
  readonly status: () => object;
  readonly paths: () => object;
  readonly backends: () => object;
  /** @throws SkeinError SKEIN_BAD_REQUEST */
  readonly explain: (query: unknown) => Promise<object>;
}

/** More than any head that a listener takes. */
const MAX_QUERY_BYTES = 262_144;

const NO_STORE = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;

export function createAdminApp({
  metrics,
  isReady,
  status,
  paths,
  backends,
  explain,
}: AdminAppOptions): HttpServerOptions['fetch'] {
  const app = new Hono();
  app.get('/healthz', (c) => c.text('ok\n', 200, NO_STORE));
  app.get('/readyz', (c) => (isReady() ? c.text('ready\n', 200, NO_STORE) : c.text('not ready\n', 503, NO_STORE)));
  app.get('/metrics', async (c) =>
    c.body(await metrics.render(), 200, { 'content-type': metrics.contentType, ...NO_STORE }),
  );
  app.get('/v1/status', (c) => c.json(status(), 200, NO_STORE));
  app.get('/v1/paths', (c) => c.json(paths(), 200, NO_STORE));
  app.get('/v1/backends', (c) => c.json(backends(), 200, NO_STORE));
  // It asks and changes nothing; POST, because a head is more than an address holds.
  app.post(
    '/v1/explain',
    bodyLimit({
      maxSize: MAX_QUERY_BYTES,
      onError: (c) => c.json(toBody('SKEIN_LIMIT', 'Cannot explain: the request is too long'), 413, NO_STORE),
    }),
    async (c) => {
      try {
        return c.json(await explain(await c.req.json().catch(() => undefined)), 200, NO_STORE);
      } catch (thrown) {
        const { code, message, status: httpStatus } = toSkeinError(thrown);
        return Response.json(toBody(code, message), { status: httpStatus, headers: NO_STORE });
      }
    },
  );
  app.notFound((c) => c.json(toBody('SKEIN_BAD_REQUEST', 'Cannot answer: no such page'), 404, NO_STORE));
  app.onError((_, c) => c.json(toBody('SKEIN_INTERNAL', 'Cannot answer: internal error'), 500, NO_STORE));
  return (request) => {
    const error = checkOrigin(request);
    if (error === undefined) return app.fetch(request);
    const { code, message, status: httpStatus } = error;
    return Response.json(toBody(code, message), { status: httpStatus, headers: NO_STORE });
  };
}

/**
 * Without a token, because who may open local ports may also use the sidecar's listeners, which is more. A page of the
 * web may not: neither under a name of its own that leads here (DNS rebinding), nor across origins.
 */
function checkOrigin({ headers }: Request): SkeinError | undefined {
  const host = tryParseAuthority(headers.get('host') ?? '')?.host;
  if (host === undefined || !isLoopbackName(host)) {
    return new SkeinError('SKEIN_MISDIRECTED', 'Cannot answer: this sidecar is not known by that host name');
  }
  const site = headers.get('sec-fetch-site');
  if (headers.has('origin') || (site !== null && site !== 'none')) {
    return new SkeinError('SKEIN_DENIED', 'Cannot answer: this port is not for pages');
  }
  return undefined;
}

function toBody(code: string, message: string): object {
  return { code, message };
}
