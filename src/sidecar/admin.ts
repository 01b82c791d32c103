/** The sidecar's admin port: health, readiness, metrics, and behind a token what it knows, and tokens to show elsewhere; nothing can be changed here. The only door to hono in the sidecar. */

import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { isBearer } from '../core/bearer.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { isLoopbackName } from '../core/loopback.ts';
import { isAskedByPage } from '../core/page.ts';
import type { Crypto } from '../core/platform.ts';
import type { Redacted } from '../core/redacted.ts';
import { PERMISSIVE_FIELD } from '../core/reserved-fields.ts';
import { tryParseAuthority } from '../http/target.ts';
import { METRICS_CONTENT_TYPE } from '../telemetry/prometheus.ts';
import type { AdminSources } from './admin-sources.ts';

export interface AdminAppOptions extends AdminSources {
  readonly token: Redacted<string>;
  readonly crypto: Pick<Crypto, 'sha256'>;
  readonly log: Logger;
  readonly isReady: () => boolean;
}

export interface AdminApp {
  fetch(request: Request): Response | Promise<Response>;
  /** What it answers, for those who must know all of it. */
  readonly routes: readonly { readonly method: string; readonly path: string }[];
}

/** More than any head that a listener takes. */
const MAX_QUERY_BYTES = 262_144;

const NO_STORE = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;
/** For those who were refused: what they still send is not waited for. */
const GOODBYE = { ...NO_STORE, connection: 'close' } as const;

export function createAdminApp(options: AdminAppOptions): AdminApp {
  const { log, metrics, isReady, status, paths, backends } = options;
  const app = new Hono();
  app.get('/healthz', (c) => c.text('ok\n', 200, NO_STORE));
  app.get('/readyz', (c) => (isReady() ? c.text('ready\n', 200, NO_STORE) : c.text('not ready\n', 503, NO_STORE)));
  app.get('/metrics', async (c) =>
    c.body(await metrics.render(), 200, { 'content-type': METRICS_CONTENT_TYPE, ...NO_STORE }),
  );
  // Who may open local ports may use the sidecar's listeners too, but not read who its peers are and what policies say.
  app.use('/v1/*', async (c, next) => {
    authorize(c, options);
    await next();
    const permissive = await options.permissive();
    if (permissive !== undefined) c.header(PERMISSIVE_FIELD, permissive);
  });
  app.get('/v1/status', async (c) => c.json(await status(), 200, NO_STORE));
  app.get('/v1/paths', async (c) => c.json(await paths(), 200, NO_STORE));
  app.get('/v1/backends', async (c) => c.json(await backends(), 200, NO_STORE));
  app.get('/v1/audit', async (c) => c.json(await options.audit(), 200, NO_STORE));
  app.get('/v1/policies', async (c) => c.json(await options.policies(c.req.query('window')), 200, NO_STORE));
  // They ask and change nothing; POST, because a head is more than an address holds, and a token does not belong into one.
  const { explain, issueToken, verifyToken } = options;
  const questions = { '/v1/explain': explain, '/v1/token': issueToken, '/v1/token/verify': verifyToken };
  for (const [path, answer] of Object.entries(questions)) {
    app.post(
      path,
      async (c, next) => {
        requireJson(c);
        await next();
      },
      bodyLimit({
        maxSize: MAX_QUERY_BYTES,
        onError: () => {
          throw new SkeinError('SKEIN_LIMIT', 'Cannot answer: the request is too long', { status: 413 });
        },
      }),
      async (c) => c.json(await answer(await c.req.json().catch(() => undefined)), 200, NO_STORE),
    );
  }
  app.notFound((c) => c.json(toBody('SKEIN_BAD_REQUEST', 'Cannot answer: no such page'), 404, NO_STORE));
  app.onError((thrown, c) => {
    if (thrown instanceof SkeinError) return refuse(thrown);
    log.log('error', 'admin-request-failed', { path: c.req.path, error: toSkeinError(thrown).message });
    return refuse(new SkeinError('SKEIN_INTERNAL', 'Cannot answer: internal error'));
  });
  return {
    routes: app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => ({ method, path })),
    fetch: (request) => {
      const error = checkOrigin(request);
      return error === undefined ? app.fetch(request) : refuse(error);
    },
  };
}

/** A page of the web may ask neither under a name of its own that leads here (DNS rebinding), nor across origins. */
function checkOrigin({ headers }: Request): SkeinError | undefined {
  const host = tryParseAuthority(headers.get('host') ?? '')?.host;
  if (host === undefined || !isLoopbackName(host)) {
    return new SkeinError('SKEIN_MISDIRECTED', 'Cannot answer: this sidecar is not known by that host name');
  }
  if (!isAskedByPage((name) => headers.get(name))) return undefined;
  return new SkeinError('SKEIN_DENIED', 'Cannot answer: this port is not for pages');
}

function authorize(c: Context, { token, crypto }: AdminAppOptions): void {
  if (isBearer(c.req.header('authorization'), token, crypto)) return;
  throw new SkeinError('SKEIN_TOKEN_INVALID', 'Cannot use admin port: the bearer token is missing or wrong');
}

function requireJson(c: Context): void {
  const type = c.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === 'application/json') return;
  throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot read request: it is not application/json', { status: 415 });
}

function refuse({ code, message, status }: SkeinError): Response {
  const challenge: Record<string, string> = status === 401 ? { 'www-authenticate': 'Bearer' } : {};
  return Response.json(toBody(code, message), { status, headers: { ...GOODBYE, ...challenge } });
}

function toBody(code: string, message: string): object {
  return { code, message };
}
