/** Two meshes that differ in how many routes the caller has to look through. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Sidecar, TestMesh } from '../test/support/mesh.ts';
import { Nginx } from '../test/support/nginx.ts';
import { freePort } from '../test/support/port.ts';
import type { Contender } from './contenders.ts';

export interface Routed {
  readonly one: Contender;
  readonly many: Contender;
  close(): Promise<void>;
}

/** Of every ten routes some want more than a path, as in a mesh that has grown. */
const KINDS: readonly ((prefix: string) => string)[] = [
  (prefix) => `path: { type: PathPrefix, value: ${prefix} }`,
  (prefix) => `path: { type: PathPrefix, value: ${prefix} }, method: GET`,
  (prefix) => `path: { type: PathPrefix, value: ${prefix} }, headers: [{ name: x-tenant, value: bench }]`,
  (prefix) => `path: { type: Exact, value: ${prefix}/orders }`,
];

/** Asks for one of the prefixes at a time, in turn; both meshes are asked the same. */
function wrkScript(count: number): string {
  return `local i = 0
wrk.headers["x-tenant"] = "bench"
request = function()
  i = (i + 7) % ${count}
  return wrk.format("GET", "/team-" .. i .. "/orders")
end
`;
}

export async function startRouted(count: number): Promise<Routed> {
  const origin = await startOrigin();
  const meshes: TestMesh[] = [];
  const close = async () => {
    for (const mesh of meshes) await mesh.close();
    await origin.server.stop();
  };
  const start = async (name: string, routes: string): Promise<Contender> => {
    const mesh = await TestMesh.start();
    meshes.push(mesh);
    const script = join(mesh.folder, 'paths.lua');
    writeFileSync(script, wrkScript(count));
    const path = join(mesh.folder, 'routes.yaml');
    writeFileSync(path, routes);
    await mesh.admin('apply', '-f', path);
    const expose = [`app=http://${origin.address}`];
    const callee = await mesh.startSidecar({ name: 'callee', services: ['app'], expose, http: false });
    const caller: Sidecar = await mesh.startSidecar({ name: 'caller', services: ['client'] });
    return {
      name,
      description: name,
      ...{ address: caller.http, host: 'app.mesh', script },
      pids: () => ({ proxies: [caller.program.pid, callee.program.pid], caller: [caller.program.pid] }),
    };
  };
  try {
    const one = await start('1 route', route('all', 'path: { type: PathPrefix, value: / }'));
    const routes = Array.from({ length: count }, (_, i) => route(`team-${i}`, kindOf(i)(`/team-${i}`)));
    const many = await start(`${count} routes`, routes.join('---\n'));
    return { one, many, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function kindOf(index: number): (prefix: string) => string {
  return KINDS[index % KINDS.length] as (prefix: string) => string;
}

function route(name: string, match: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ group: '', kind: Service, name: app }]
  rules: [{ matches: [{ ${match} }], backendRefs: [{ name: app, port: 80 }] }]
`;
}

async function startOrigin(): Promise<{ address: string; server: Nginx }> {
  const address = `127.0.0.1:${await freePort()}`;
  const body = 'skein'.repeat(20);
  const http = `keepalive_requests 1000000000; server { listen ${address}; default_type text/plain; location / { return 200 "${body}"; } }`;
  return { address, server: await Nginx.start({ http }) };
}
