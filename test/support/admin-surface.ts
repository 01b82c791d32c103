/** What every route of an admin port must hold, whatever it does: asked of each by name, so that a new one cannot slip past. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';

export interface AdminRoute {
  readonly method: string;
  readonly path: string;
}

export interface AskOptions {
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface AdminPort {
  readonly routes: readonly AdminRoute[];
  /** Paths for everybody who may reach the port at all. */
  readonly open: readonly string[];
  readonly token: string;
  readonly ask: (method: string, path: string, options?: AskOptions) => Promise<Response>;
  /** All that could be changed, in one value that compares. */
  readonly readState: () => Promise<unknown>;
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);
const FOREIGN_HOSTS = ['evil.test', 'localhost.evil.test', '127.0.0.1.evil.test:80', 'evil.test:7000', ''];
const PAGE_SIGNS: readonly Record<string, string>[] = [
  { origin: 'https://evil.test' },
  { origin: 'null' },
  { origin: 'http://127.0.0.1:7000' },
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { 'sec-fetch-site': 'same-origin' },
];

const fill = (path: string): string => path.replace(/:\w+/g, 'x');
const isGuarded = ({ open }: AdminPort, path: string): boolean => !open.includes(path);

/** @returns how many questions were asked */
export async function checkAdminPort(port: AdminPort): Promise<number> {
  const { routes, open, token, readState } = port;
  const unknown = open.filter((path) => !routes.some((route) => route.path === path));
  deepEqual(unknown, [], 'an open path that is not there');
  const auth = { authorization: `Bearer ${token}` };
  let asked = 0;
  const ask = async (route: AdminRoute, options: AskOptions, query = ''): Promise<Response> => {
    asked++;
    const answer = await port.ask(route.method, fill(route.path) + query, options);
    const name = `${route.method} ${route.path} ${JSON.stringify(options)}`;
    deepEqual(
      [...answer.headers.keys()].filter((field) => field.startsWith('access-control-')),
      [],
      `CORS: ${name}`,
    );
    ok(!(await answer.clone().text()).includes(token), `the token comes back: ${name}`);
    return answer;
  };
  for (const route of routes) {
    const { method, path } = route;
    const name = `${method} ${path}`;
    const json = SAFE.has(method) ? {} : { body: '{}', headers: { 'content-type': 'application/json' } };
    const withToken = (headers: Record<string, string> = {}): AskOptions => ({
      ...json,
      headers: { ...json.headers, ...auth, ...headers },
    });
    for (const host of FOREIGN_HOSTS) {
      const { status } = await ask(route, { ...withToken(), host });
      ok(status === 421 || (host === '' && status === 400), `${name} for host "${host}": ${status}`);
    }
    const before = await readState();
    if (isGuarded(port, path)) {
      match(path, /^\/v1\//, `${name} is neither open nor behind the token`);
      const wrongs: Record<string, string>[] = [{}, { authorization: 'Bearer' }, { authorization: `Bearer ${token}x` }];
      for (const wrong of wrongs) {
        const answer = await ask(route, { ...json, headers: { ...json.headers, ...wrong } });
        equal(answer.status, 401, `${name} ${JSON.stringify(wrong)}`);
        equal(answer.headers.get('www-authenticate'), 'Bearer', name);
        equal(answer.headers.get('connection'), 'close', name);
      }
      for (const query of [`?token=${token}`, `?access_token=${token}`]) {
        equal((await ask(route, json, query)).status, 401, `${name} with the token in its address`);
      }
      for (const sign of PAGE_SIGNS) equal((await ask(route, withToken(sign))).status, 403, JSON.stringify(sign));
    }
    if (!SAFE.has(method)) {
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
        equal((await ask(route, withToken({ 'content-type': type }))).status, 415, `${name} as ${type}`);
      }
    }
    equal((await ask({ method: 'OPTIONS', path }, { headers: { origin: 'https://evil.test' } })).ok, false, name);
    if (SAFE.has(method)) await ask(route, withToken());
    deepEqual(await readState(), before, `${name} changes something that it should not`);
  }
  return asked;
}
