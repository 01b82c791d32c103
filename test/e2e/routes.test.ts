/** Routes, from the file that is applied to the answer that changes: real processes and commands, curl as the client. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';

describe('Routes', () => {
  let mesh: TestMesh;
  let caller: Sidecar;

  before(async () => {
    mesh = await TestMesh.start();
    for (const name of ['api', 'api-v1', 'api-v2']) {
      const origin = await mesh.startOrigin(name);
      await mesh.startSidecar({ name, services: [name], expose: [`${name}=${origin.http}`], http: false });
    }
    caller = await mesh.startSidecar({ name: 'caller', services: ['web'] });
  });
  after(() => mesh?.close());

  async function apply(yaml: string): Promise<string> {
    const path = join(mesh.folder, 'routes.yaml');
    writeFileSync(path, yaml);
    const count = routesChanged();
    const printed = await mesh.admin('apply', '-f', path);
    await caller.program.waitForLog(() => routesChanged() > count);
    return printed;
  }

  const routesChanged = (): number => caller.program.count('routes-changed');

  /** Who answers, or the reason of the mesh. */
  async function answer(path: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const { status, body, headers: fields } = await ask({ through: caller.http, host: 'api.mesh', path, headers });
    return status === 200 ? body.toString().trim() : `${status} ${fields['x-skein-reason']}`;
  }

  it('A route that is applied changes the answer, and one that is deleted gives it back', async () => {
    assert.equal(await answer('/'), 'hello from api');
    const printed = await apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: versions }
spec:
  parentRefs: [{ group: '', kind: Service, name: api, port: 80 }]
  rules:
    - matches: [{ path: { type: Exact, value: / }, headers: [{ name: X-Version, value: two }] }]
      backendRefs: [{ name: api-v2, port: 80 }]
    - matches: [{ path: { type: Exact, value: / } }]
      backendRefs: [{ name: api-v1, port: 80 }]
`);
    assert.equal(printed, 'HTTPRoute/versions in default: created\n');
    assert.equal(await answer('/'), 'hello from api-v1');
    assert.equal(await answer('/', { 'x-version': 'two' }), 'hello from api-v2');
    assert.equal(await answer('/else'), '404 no-route');
    const count = routesChanged();
    await mesh.admin('delete', 'HTTPRoute/versions');
    await caller.program.waitForLog(() => routesChanged() > count);
    assert.equal(await answer('/'), 'hello from api');
  });

  it('Weights share the requests exactly', async () => {
    await apply(`
kind: HTTPRoute
metadata: { name: canary }
spec:
  parentRefs: [{ group: '', kind: Service, name: api }]
  rules:
    - backendRefs: [{ name: api-v1, port: 80, weight: 90 }, { name: api-v2, port: 80, weight: 10 }]
`);
    const answers: string[] = [];
    for (let i = 0; i < 100; i++) answers.push(await answer('/'));
    const ofSecond = answers.filter((text) => text === 'hello from api-v2').length;
    printFigures('weights 90 to 10', { requests: answers.length, second: ofSecond });
    assert.equal(ofSecond, 10);
    assert.equal(answers.filter((text) => text === 'hello from api-v1').length, 90);
  });

  it('A route with a mistake is refused whole, every issue with its path, and what was good stays', async () => {
    const path = join(mesh.folder, 'bad.yaml');
    writeFileSync(
      path,
      `
kind: HTTPRoute
metadata: { name: canary }
spec:
  parentRefs: [{ group: '', kind: Service, name: api }]
  rules:
    - matches: [{ path: { value: no-slash } }]
      backendRefs: [{ name: api-v2 }]
`,
    );
    await assert.rejects(mesh.admin('apply', '-f', path), (error: Error) => {
      assert.match(error.message, /spec\.rules\[0\]\.matches\[0\]\.path\.value: does not begin with "\/"/);
      assert.match(error.message, /spec\.rules\[0\]\.backendRefs\[0\]: refers to a Service without a port/);
      return true;
    });
    const counts = new Set<string>();
    for (let i = 0; i < 10; i++) counts.add(await answer('/'));
    assert.deepEqual([...counts].sort(), ['hello from api-v1', 'hello from api-v2']);
  });
});
