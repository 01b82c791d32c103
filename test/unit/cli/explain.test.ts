/** `skein explain`: of files, and of a running sidecar with what its hub adds. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { runCommand, type Said } from '../../support/command.ts';
import { folder } from '../../support/folder.ts';
import { LocalMesh, policy } from '../../support/local-mesh.ts';
import { ANY_PORT, startHttpApp, startSidecar } from '../../support/local-sidecars.ts';

const ROUTES = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders }
spec:
  parentRefs: [{ group: "", kind: Service, name: api }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /orders } }]
      backendRefs: [{ name: v1, port: 80, weight: 9 }, { name: v2, port: 80, weight: 1 }]
    - name: new
      matches: [{ path: { type: PathPrefix, value: /orders }, headers: [{ name: x-version, value: two }] }]
      filters:
        - type: URLRewrite
          urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /v2 } }
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: x-route, value: new }], remove: [x-version] }
      backendRefs: [{ name: v2, port: 80 }]
      timeouts: { request: 5s, backendRequest: 1s }
      retry: { attempts: 2, codes: [503], backoff: 50ms }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: admin }
spec:
  parentRefs: [{ group: "", kind: Service, name: api, port: 8080 }]
  rules: [{ backendRefs: [{ name: v1, port: 80 }] }]
---
kind: AuthorizationPolicy
metadata: { name: web-only }
spec: { allow: [{ from: [{ ids: ["spiffe://skein.mesh/ns/default/sa/web"] }] }] }
`;

const explain = (folder: string, ...argv: readonly string[]): Promise<Said> =>
  runCommand(['explain', ...argv], { folder });

async function folderWith(t: TestContext, content: string): Promise<string> {
  const path = folder(t);
  await writeFile(join(path, 'routes.yaml'), content);
  return path;
}

test('Of files: which rule takes a request, what it makes of it, who may, and why no other', async (t) => {
  const folder = await folderWith(t, ROUTES);
  const { code, out, err } = await explain(
    folder,
    ...['GET', 'api/orders/7?q=1', '-H', 'X-Version: two', '--from', 'web', '-f', 'routes.yaml'],
  );
  equal(code, 0, err);
  for (const line of [
    /^GET api\/orders\/7\?q=1: goes to v2\.default:80$/,
    /^from +spiffe:\/\/skein\.mesh\/ns\/default\/sa\/web$/,
    /^service +api\.default, port 80$/,
    /^rule +HTTPRoute\/default\/orders new, attached to Service api\.default$/,
    /^match +PathPrefix \/orders, header x-version = two$/,
    /^filter +URLRewrite: prefix \/orders by "\/v2"$/,
    /^filter +RequestHeaderModifier: set x-route: new, remove x-version$/,
    /^time +5s by timeouts\.request; each attempt 1s$/,
    /^retries +up to 2; also on 503; at least 50ms apart; within the budget also when /,
    /^v2\.default:80 \(next\) +1 +100 % +goes to v2\.default:80 +allowed by AuthorizationPolicy\/default\/web-only allow\[0\]$/,
    /^ +path \/v2\/7\?q=1$/,
    /^ +\+ x-route: new$/,
    /^ +- x-version: two$/,
    /^HTTPRoute\/default\/orders rules\[0\] +PathPrefix \/orders +it holds too, but the chosen one has more conditions on header fields$/,
    /^HTTPRoute\/default\/admin +Service api\.default port 8080 +it is for port 8080$/,
  ]) {
    match(out, new RegExp(line.source, 'm'));
  }
});

test('Of files: shares, denials, and requests that no rule takes', async (t) => {
  const folder = await folderWith(t, ROUTES);
  const shared = await explain(folder, 'GET', 'api.default/orders', '-f', 'routes.yaml', '-o', 'json');
  const told = JSON.parse(shared.out);
  deepEqual(
    told.backends.map(({ label, share }: { label: string; share: number }) => [label, share]),
    [
      ['v1.default', 90],
      ['v2.default', 10],
    ],
  );
  deepEqual(told.verdicts, [null, null]);
  const denied = await explain(folder, 'GET', 'api/orders', '--from', 'other', '-f', 'routes.yaml');
  match(denied.out, /^GET api\/orders: 403 authz at v1\.default:80, by default-deny \(this backend gets 90 %\)$/m);
  const lost = await explain(folder, 'GET', '/else', '-H', 'Host: api.mesh', '-f', 'routes.yaml');
  match(lost.out, /^GET api\.mesh\/else: 404 no-route\./);
  match(lost.out, /rules\[0\] +PathPrefix \/orders +the path is not at or below "\/orders"$/m);
  const foreign = await explain(folder, 'GET', 'http://example.com/', '-f', 'routes.yaml');
  match(foreign.out, /^GET example\.com\/: 403 not-a-mesh-name\./);
});

test('Mistakes are usage errors that say what is missing', async (t) => {
  const folder = await folderWith(t, 'kind: HTTPRoute\nmetadata: { name: r }\nspec: { rules: 7 }\n');
  const nobody = await explain(folder, 'GET', 'api/');
  deepEqual([nobody.code, /neither a sidecar nor a file/.test(nobody.err)], [2, true]);
  const nameless = await explain(folder, 'GET', '/', '-f', 'routes.yaml');
  deepEqual([nameless.code, /names no service/.test(nameless.err)], [2, true]);
  const caller = await explain(folder, 'GET', 'api/', '-f', 'routes.yaml', '--from', 'a b');
  deepEqual([caller.code, /--from/.test(caller.err)], [2, true]);
  const gone = await explain(folder, 'GET', 'api/', '--sidecar', '127.0.0.1:1');
  equal(gone.code, 3, gone.err);
});

test('What the hub would refuse is refused, every issue of every file with its line', async (t) => {
  const folder = await folderWith(
    t,
    `kind: HTTPRoute
metadata: { name: orders }
spec:
  rules: 7
  more: 1
---
kind: AuthorizationPolicy
metadata: { name: p }
spec:
  allow: [{ fro: [] }]
`,
  );
  await writeFile(join(folder, 'more.yaml'), 'kind: Nonsense\nmetadata: { name: n }\n');
  const { code, err } = await explain(folder, 'GET', 'api/', '-f', 'routes.yaml', '-f', 'more.yaml');
  equal(code, 2, err);
  match(err, /^error: Cannot use routes\.yaml, more\.yaml: 4 issues \(SKEIN_CONFIG\)$/m);
  for (const line of [
    /^ {2}routes\.yaml:4: HTTPRoute\/orders: spec\.rules: /,
    /^ {2}routes\.yaml:5: HTTPRoute\/orders: spec\.more: /,
    /^ {2}routes\.yaml:10: AuthorizationPolicy\/p: spec\.allow\[0\]\.fro: /,
    /^ {2}more\.yaml:1: Nonsense\/n: kind: /,
  ]) {
    match(err, new RegExp(line.source, 'm'));
  }
  await writeFile(join(folder, 'twice.yaml'), `${ROUTES}---\n${ROUTES}`);
  const twice = await explain(folder, 'GET', 'api/', '-f', 'twice.yaml');
  equal(twice.code, 2);
  match(twice.err, /HTTPRoute\/orders: metadata\.name: is in twice\.yaml#1 as well$/m);
});

test('Of a sidecar: its instances and its hub’s policies, from the table by which it routes', async (t) => {
  const store = new MemoryStore();
  // Of a younger hub on the same store: this version cannot read it, and it says nothing about who may.
  const future = { kind: 'FutureRoute', metadata: { name: 'f', namespace: 'default' }, spec: {} };
  await store.compareAndSet('resource/FutureRoute/default/f', 0, JSON.stringify(future));
  const mesh = await LocalMesh.start(t, { store });
  const app = await startHttpApp(t, (request, response) => response.end(`${request.url}`));
  await startSidecar(t, mesh, { services: ['v2'], expose: [{ service: 'v2', target: `http://${app.address}` }] });
  const { sidecar } = await startSidecar(t, mesh, { services: ['web'], listen: { http: ANY_PORT }, admin: ANY_PORT });
  const folder = await folderWith(t, ROUTES);
  await mesh.hub.apply([policy({ deny: [{ to: [{ paths: ['/v2/secret*'] }] }], allow: [{}] })]);
  await mesh.hub.apply([
    {
      kind: 'HTTPRoute',
      metadata: { name: 'orders', namespace: 'default' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'api' }],
        rules: [
          {
            filters: [
              {
                type: 'URLRewrite',
                urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/v2' } },
              },
            ],
            matches: [{ path: { type: 'PathPrefix', value: '/orders' } }],
            backendRefs: [{ name: 'v2', port: 80 }],
          },
        ],
      },
    },
  ]);
  const address = sidecar.addresses.admin ?? '';
  const own = { SKEIN_SIDECAR_ADMIN_TOKEN: sidecar.adminToken.reveal() };
  const ask = (...args: string[]) =>
    runCommand(['explain', 'GET', ...args, '--sidecar', address], { folder, env: own });
  const stranger = await explain(folder, 'GET', 'api/orders/7', '--sidecar', address);
  match(stranger.err, /no admin token given.*\n.*SKEIN_SIDECAR_ADMIN_TOKEN/s);
  const alone = await ask('api/orders/7');
  equal(alone.code, 0, alone.err);
  match(alone.out, /^GET api\/orders\/7: goes to v2\.default:80$/m);
  match(alone.out, /v2\.default:80 \(next\) .* not known here$/m);
  match(alone.out, /^v2\.default:80 +\S+ +usable +unknown +[\d.]+ ms +100 % +0 +1$/m);
  const token = mesh.hub.adminToken.reveal();
  const argv = ['explain', 'GET', 'api/orders/secret', '--hub', mesh.hub.url];
  const denied = await runCommand(argv, { folder, env: { ...own, SKEIN_ADMIN_TOKEN: token, SKEIN_SIDECAR: address } });
  equal(denied.code, 0, denied.err);
  match(denied.out, /: 403 authz at v2\.default:80, by AuthorizationPolicy\/default\/allow-same-namespace deny\[0\]$/m);
  const elsewhere = await ask('api/', '--from', 'web.shop');
  match(elsewhere.err, /for callers of namespace "default"/);
});
