/** What a large catalogue costs a sidecar that uses little of it. Real processes; the many services are members of this process. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createMesh, type Mesh } from '../../src/node.ts';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';

const USED = ['one', 'two', 'three', 'four', 'five'];
const SERVICES = 10_000;
const SERVICES_PER_MEMBER = 250;
/** Routes and policies of services that nobody here uses. */
const RESOURCES = 1_000;
const REQUESTS_EACH = 200;
/** Sidecars of each kind: what the collector leaves lying about differs from process to process. */
const SIDECARS = 3;
const ALLOWED_KIB = 10 * 1024;
/** How far V8's young generation grows, 2 MiB or 48, depends on the moment of each collection: it is no memory that is in use. */
const ENVIRONMENT = { NODE_OPTIONS: '--max-semi-space-size=1' };

describe('A catalogue of 10,000 services', () => {
  let mesh: TestMesh;
  const folder = mkdtempSync(join(tmpdir(), 'skein-test-'));
  const members: Mesh[] = [];

  before(async () => {
    const config = join(folder, 'hub.yaml');
    writeFileSync(config, `quotas: { maxServicesPerInstance: ${SERVICES_PER_MEMBER} }\n`);
    mesh = await TestMesh.start({ args: ['--config', config] });
    const origin = await mesh.startOrigin();
    const expose = USED.map((name) => `${name}=${origin.http}`);
    await mesh.startSidecar({ name: 'callee', services: USED, expose, http: false });
  });
  after(async () => {
    await Promise.all(members.map((member) => member.close()));
    await mesh?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function registerMany(): Promise<void> {
    for (let first = 0; first < SERVICES; first += SERVICES_PER_MEMBER) {
      const names = Array.from({ length: SERVICES_PER_MEMBER }, (_, i) => `unused-${first + i}`);
      const { token } = (await mesh.post('/v1/tokens', { services: names })) as { token: string };
      const member = await createMesh({ hub: mesh.hubUrl, token, direct: false });
      members.push(member);
      await Promise.all(names.map((name) => member.serve(name, () => new Response('unused'))));
    }
    for (let first = 0; first < RESOURCES; first += 100) {
      await mesh.post(
        '/v1/resources',
        Array.from({ length: 100 }, (_, i) => route(`unused-${first + i}`)),
      );
    }
  }

  async function startUser(name: string): Promise<Sidecar> {
    const sidecar = await mesh.startSidecar({ name, services: [name], env: ENVIRONMENT });
    await use(sidecar);
    return sidecar;
  }

  /** Calls each of the five. */
  async function use(sidecar: Sidecar): Promise<void> {
    for (const service of USED) {
      for (let i = 0; i < REQUESTS_EACH; i++) {
        const { status } = await ask({ through: sidecar.http, host: `${service}.mesh`, path: '/' });
        assert.equal(status, 200);
      }
    }
  }

  it('Costs a sidecar that uses 5 of them no more than 10 MiB', { skip: lacking('/proc') }, async () => {
    const start = async (kind: string): Promise<Sidecar[]> => {
      const started: Sidecar[] = [];
      for (let i = 0; i < SIDECARS; i++) started.push(await startUser(`${kind}-${i}`));
      return started;
    };
    const early = await start('early');
    const small = early.map(({ program }) => program.rssKib());
    await registerMany();
    const late = await start('late');
    const large = late.map(({ program }) => program.rssKib());
    for (const sidecar of early) await use(sidecar);
    const stayed = early.map(({ program }) => program.rssKib());
    const services = JSON.parse(await mesh.admin('services', '-o', 'json')) as unknown;
    const known = countServices(services);
    printFigures('catalogue of 10,000 services', {
      ...{ services: known, resources: RESOURCES, used: USED.length, hubRssKib: mesh.hub.rssKib() },
      ...{ rssKibWith5: small, rssKibWith10000: large, rssKibWhoStayed: stayed },
      ...{ moreKib: median(large) - median(small), moreKibWhoStayed: median(stayed) - median(small) },
    });
    assert.ok(known >= SERVICES + USED.length, `${known} services`);
    for (const kib of [large, stayed]) {
      const more = median(kib) - median(small);
      assert.ok(more <= ALLOWED_KIB, `${more} KiB more than with 5 services`);
    }
  });
});

function route(service: string): object {
  return {
    kind: 'HTTPRoute',
    metadata: { name: service },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: service }],
      rules: [{ matches: [{ path: { value: '/v1' } }], backendRefs: [{ name: service, port: 80 }] }],
    },
  };
}

function countServices(answer: unknown): number {
  const list = Array.isArray(answer) ? answer : Object.values(answer as object).find(Array.isArray);
  return Array.isArray(list) ? list.length : 0;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
