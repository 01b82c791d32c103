/** Routes of a service, of the kinds that a mesh that has grown has, and load that asks for all of them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestMesh } from '../../test/support/mesh.ts';

/** A resource holds up to 16 rules. */
const RULES_PER_RESOURCE = 10;
const RESOURCES_AT_ONCE = 50;

/** Of every four routes three want more than a path, or no more than one. */
const MATCHES: readonly ((prefix: string) => object)[] = [
  (value) => ({ path: { type: 'PathPrefix', value } }),
  (value) => ({ path: { type: 'PathPrefix', value }, method: 'GET' }),
  (value) => ({ path: { type: 'PathPrefix', value }, headers: [{ name: 'x-tenant', value: 'bench' }] }),
  (prefix) => ({ path: { type: 'Exact', value: `${prefix}/orders` } }),
];

/** `count` routes of the service `app`, a rule each. */
export async function applyRoutes(mesh: TestMesh, count: number): Promise<void> {
  const resources = [];
  for (let first = 0; first < count; first += RULES_PER_RESOURCE) {
    const rules = Array.from({ length: Math.min(RULES_PER_RESOURCE, count - first) }, (_, i) => toRule(first + i));
    resources.push({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: `routes-${first}` },
      spec: { parentRefs: [{ group: '', kind: 'Service', name: 'app' }], rules },
    });
  }
  for (let first = 0; first < resources.length; first += RESOURCES_AT_ONCE) {
    await mesh.post('/v1/resources', resources.slice(first, first + RESOURCES_AT_ONCE));
  }
}

function toRule(index: number): object {
  const match = MATCHES[index % MATCHES.length] as (prefix: string) => object;
  return { matches: [match(`/team-${index}`)], backendRefs: [{ name: 'app', port: 80 }] };
}

/** For wrk: one of the routes after the other. @returns its path */
export function writeScript(mesh: TestMesh, count: number): string {
  return write(
    mesh,
    `wrk.headers["x-tenant"] = "bench"
request = function()
  i = (i + 7) % ${count}
  return wrk.format("GET", "/team-" .. i .. "/orders")
end`,
  );
}

/** For wrk: `app-0` to `app-(count - 1)`, one after the other. @returns its path */
export function writeServicesScript(mesh: TestMesh, count: number): string {
  return write(
    mesh,
    `request = function()
  i = (i + 7) % ${count}
  wrk.headers["Host"] = "app-" .. i .. ".mesh"
  return wrk.format("GET", "/")
end`,
  );
}

function write(mesh: TestMesh, request: string): string {
  const path = join(mesh.folder, 'wrk.lua');
  writeFileSync(path, `local i = 0\n${request}\n`);
  return path;
}
