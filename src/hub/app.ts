/** The hub's HTTP: health, metrics, public keys, and the admin API behind a bearer token; the only door to hono in the hub. */

import { type Context, Hono } from 'hono';
import { manifestKey } from '../catalog/resource.ts';
import { REFLECTION_PATH, type Reflections } from '../control/reflection.ts';
import { isBearer } from '../core/bearer.ts';
import { readBody } from '../core/body.ts';
import { decodeUtf8 } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { isLoopbackAddress, isLoopbackName } from '../core/loopback.ts';
import { isAskedByPage } from '../core/page.ts';
import type { Crypto, RequestInfo } from '../core/platform.ts';
import type { Redacted } from '../core/redacted.ts';
import { PERMISSIVE_FIELD } from '../core/reserved-fields.ts';
import { METRICS_CONTENT_TYPE, type Metrics } from '../telemetry/prometheus.ts';
import type { Admin } from './admin.ts';
import type { Audit, AuditedChange } from './audit.ts';
import type { ApplyOutcome } from './resources.ts';

export interface AppOptions {
  readonly admin: Admin;
  readonly adminToken: Redacted<string>;
  readonly crypto: Crypto;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly audit: Audit;
  readonly isReady: () => boolean;
  /** Keys that verify SVIDs, as JWKS (`jwt-svid` only) and as SPIFFE bundle; undefined in a hub that is no issuer. */
  readonly jwks: () => unknown;
  readonly bundle: () => unknown;
  /** Host names under which proxies reach this hub, beside the loopback ones. */
  readonly hosts: readonly string[];
  readonly maxBodyBytes: number;
  /** Tells who asks where it is seen from. */
  readonly reflections: Reflections;
}

export interface App {
  fetch(request: Request, info: RequestInfo): Promise<Response>;
  /** What it answers, for those who must know all of it. */
  readonly routes: readonly { readonly method: string; readonly path: string }[];
}

type Env = {
  Bindings: RequestInfo;
  Variables: {
    isAdmin: boolean;
    /** What a change was about, for the audit. */
    what: AuditedChange['what'];
  };
};

/** Those that change nothing. A change is never made by one of them: a page may send them without asking first. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

const NO_STORE = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;
/** For those who were refused: what they still send is not waited for. */
const GOODBYE = { ...NO_STORE, connection: 'close' } as const;

export function createApp(options: AppOptions): App {
  const { admin, metrics } = options;
  const app = new Hono<Env>();

  app.get('/healthz', (c) => c.text('ok\n', 200, NO_STORE));
  app.get('/readyz', (c) =>
    options.isReady() ? c.text('ready\n', 200, NO_STORE) : c.text('not ready\n', 503, NO_STORE),
  );
  app.get(REFLECTION_PATH, (c) => {
    const { remoteAddress, isProxied } = c.env;
    const reflection = options.reflections.answer(remoteAddress, isProxied);
    return reflection === undefined ? c.body(null, 429, NO_STORE) : c.text(reflection, 200, NO_STORE);
  });
  app.get('/.well-known/jwks.json', (c) => publish(c, options.jwks()));
  app.get('/.well-known/spiffe-bundle', (c) => publish(c, options.bundle()));
  app.get('/metrics', async (c) => {
    // Numbers only, but of everybody: for those on this machine, and for those with the token.
    if (!isOfThisMachine(c)) authorize(c, options);
    return c.body(await metrics.render(), 200, { 'content-type': METRICS_CONTENT_TYPE, ...NO_STORE });
  });

  app.use('/v1/*', async (c, next) => {
    await next();
    if (!SAFE_METHODS.has(c.req.method)) await options.audit.note(toAudited(c));
  });
  app.use('/v1/*', async (c, next) => {
    refuseForeignPages(c);
    authorize(c, options);
    c.set('isAdmin', true);
    if (!SAFE_METHODS.has(c.req.method)) requireJson(c);
    await next();
    const permissive = admin.permissive();
    if (permissive !== undefined) c.header(PERMISSIVE_FIELD, permissive);
  });
  app.post('/v1/tokens', async (c) => {
    const made = await admin.createToken(await readJson(c, options));
    c.set('what', { token: made.id, expiresAt: made.expiresAt });
    return c.json(made, 201, NO_STORE);
  });
  app.get('/v1/services', (c) => c.json(admin.services() as object, 200, NO_STORE));
  app.get('/v1/status', (c) => c.json(admin.status() as object, 200, NO_STORE));
  app.get('/v1/resources', async (c) => c.json(await admin.resources(), 200, NO_STORE));
  app.post('/v1/resources', async (c) => tellChange(c, await admin.apply(await readJson(c, options), c.req.query())));
  app.get('/v1/resources/:kind/:namespace/:name', async (c) => {
    const { kind, namespace, name } = c.req.param();
    return c.json(await admin.resource(kind, namespace, name), 200, NO_STORE);
  });
  app.delete('/v1/resources/:kind/:namespace/:name', async (c) => {
    const { kind, namespace, name } = c.req.param();
    return tellChange(c, await admin.delete([manifestKey(kind, namespace, name)], c.req.query()));
  });
  app.post('/v1/resources/delete', async (c) =>
    tellChange(c, await admin.delete(await readJson(c, options), c.req.query())),
  );

  app.get('/v1/revisions', async (c) => c.json(await admin.revisions(), 200, NO_STORE));
  app.post('/v1/revisions/rollback', async (c) =>
    tellChange(c, await admin.rollback(await readJson(c, options), c.req.query())),
  );

  app.get('/v1/audit', async (c) => c.json(await admin.audit(c.req.query('after')), 200, NO_STORE));
  app.get('/v1/revocations', (c) => c.json(admin.revocations(), 200, NO_STORE));
  app.post('/v1/revocations', async (c) => {
    const { closed, ...made } = await admin.revoke(await readJson(c, options));
    c.set('what', { ...made.revoked, closed });
    return c.json({ ...made, closed }, 201, NO_STORE);
  });
  app.post('/v1/revocations/undo', async (c) => {
    const undone = await admin.undoRevocation(await readJson(c, options));
    c.set('what', undone.undone);
    return c.json(undone, 200, NO_STORE);
  });

  app.get('/v1/keys', (c) => c.json(admin.keys.list(), 200, NO_STORE));
  app.post('/v1/keys/rotate', async (c) => {
    const listed = await admin.keys.rotate(await readJson(c, options));
    c.set('what', { sequence: listed.sequence });
    return c.json(listed, 200, NO_STORE);
  });
  app.post('/v1/keys/remove', async (c) => {
    const removed = await admin.keys.remove(await readJson(c, options));
    c.set('what', { kid: removed.removed, revoked: removed.revoked, sequence: removed.sequence });
    return c.json(removed, 200, NO_STORE);
  });

  app.notFound((c) => failure(c, new SkeinError('SKEIN_BAD_REQUEST', 'Cannot answer: no such page', { status: 404 })));
  app.onError((thrown, c) => {
    if (thrown instanceof SkeinError) return failure(c, thrown);
    options.log.log('error', 'admin-request-failed', { path: c.req.path, error: toSkeinError(thrown).message });
    return failure(c, new SkeinError('SKEIN_INTERNAL', 'Cannot answer: internal error'));
  });

  return {
    routes: app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => ({ method, path })),
    fetch: async (request, info) => {
      const error = checkHost(request.headers.get('host'), info, options.hosts);
      if (error !== undefined) return Response.json(toBody(error), { status: error.status, headers: GOODBYE });
      return app.fetch(request, info);
    },
  };
}

/**
 * A page of the web can make a browser ask this machine under a name that its author controls (DNS rebinding). Whoever
 * comes over loopback must therefore mean this machine, or the name that a proxy in front of it is known by.
 */
function checkHost(
  field: string | null,
  { remoteAddress }: RequestInfo,
  hosts: readonly string[],
): SkeinError | undefined {
  if (!isLoopbackAddress(remoteAddress)) return undefined;
  const host = hostName(field ?? '');
  if (isLoopbackName(host) || hosts.includes(host)) return undefined;
  return new SkeinError('SKEIN_MISDIRECTED', 'Cannot answer: this hub is not known by that host name');
}

/** Asked on this machine, and not by a proxy on it for somebody else. */
function isOfThisMachine(c: Context<Env>): boolean {
  if (!isLoopbackAddress(c.env.remoteAddress) || !isLoopbackName(hostName(c.req.header('host') ?? ''))) return false;
  return PROXY_FIELDS.every((name) => c.req.header(name) === undefined);
}

const PROXY_FIELDS = ['forwarded', 'via', 'x-forwarded-for', 'x-real-ip'] as const;

function hostName(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase();
}

/** There is no page that may call this API: a browser that names one is being used. */
function refuseForeignPages(c: Context<Env>): void {
  if (!isAskedByPage((name) => c.req.header(name))) return;
  throw new SkeinError('SKEIN_DENIED', 'Cannot use admin API: it is not for pages');
}

function authorize(c: Context<Env>, { adminToken, crypto }: AppOptions): void {
  if (isBearer(c.req.header('authorization'), adminToken, crypto)) return;
  throw new SkeinError('SKEIN_TOKEN_INVALID', 'Cannot use admin API: the bearer token is missing or wrong');
}

/** Its type is required of every change that has a body, because a page may send others without asking first. */
function requireJson(c: Context<Env>): void {
  const type = c.req.header('content-type');
  if (type === undefined && c.req.method === 'DELETE') return;
  if (type?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json') return;
  throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot read request: it is not application/json', { status: 415 });
}

async function readJson(c: Context<Env>, { maxBodyBytes }: AppOptions): Promise<unknown> {
  const body = await readBody(
    c.req.raw,
    maxBodyBytes,
    () => new SkeinError('SKEIN_BAD_REQUEST', `Cannot read request: more than ${maxBodyBytes} bytes`, { status: 413 }),
  );
  try {
    return JSON.parse(decodeUtf8(body));
  } catch {
    throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot read request: it is no JSON');
  }
}

function publish(c: Context<Env>, document: unknown): Response {
  if (document === undefined) {
    return failure(c, new SkeinError('SKEIN_BAD_REQUEST', 'Cannot answer: this hub is no issuer', { status: 404 }));
  }
  return c.json(document as object, 200, { ...NO_STORE, 'cache-control': 'public, max-age=60' });
}

function failure(c: Context<Env>, error: SkeinError): Response {
  if (error.status === 401) c.header('www-authenticate', 'Bearer');
  const isAdmin = c.get('isAdmin') === true;
  if (!SAFE_METHODS.has(c.req.method)) c.set('what', { ...c.get('what'), code: error.code, error: error.message });
  return c.json(toBody(error), error.status as 400, isAdmin ? NO_STORE : GOODBYE);
}

function tellChange(c: Context<Env>, answer: ApplyOutcome): Response {
  const { revision, results } = answer;
  const dryRun = c.req.query('dryRun');
  const changed = results.filter(({ status }) => status !== 'unchanged').map(({ key }) => key);
  c.set('what', { revision, changed, ...(dryRun === 'true' ? { dryRun: true } : {}) });
  return c.json(answer, 200, NO_STORE);
}

function toAudited(c: Context<Env>): AuditedChange {
  const { code, ...what } = c.get('what') ?? {};
  return {
    action: `${c.req.method} ${c.req.path.slice(0, MAX_AUDITED_PATH)}`,
    by: c.get('isAdmin') === true ? 'admin-token' : 'nobody',
    from: c.env.remoteAddress,
    outcome: typeof code === 'string' ? code : 'done',
    status: c.res.status,
    what,
  };
}

const MAX_AUDITED_PATH = 512;

function toBody({ code, message, details }: SkeinError): object {
  return { code, message, details };
}
