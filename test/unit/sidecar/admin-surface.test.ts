/** Every route of a sidecar's admin port, asked over a socket in every way that must be refused. */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type AdminAppOptions, createAdminApp } from '../../../src/sidecar/admin.ts';
import { checkAdminPort } from '../../support/admin-surface.ts';
import { ask } from '../../support/load.ts';
import { LocalMesh } from '../../support/local-mesh.ts';
import { ANY_PORT, startSidecar } from '../../support/local-sidecars.ts';

const { routes } = createAdminApp({} as AdminAppOptions);

test('Every route of the admin port refuses strangers, pages of the web, foreign names, and bodies that are not JSON', async (t) => {
  const mesh = await LocalMesh.start(t);
  const { sidecar } = await startSidecar(t, mesh, { services: ['web'], admin: ANY_PORT });
  const through = new URL(sidecar.addresses.admin ?? '').host;
  const asked = await checkAdminPort({
    routes,
    open: ['/healthz', '/readyz', '/metrics'],
    token: sidecar.adminToken.reveal(),
    ask: async (method, path, { host = through, headers = {}, body } = {}) => {
      const answer = await ask({ through, host, form: 'host', path, method, headers, ...(body ? { body } : {}) });
      const fields = Object.entries(answer.headers).map(([name, value]) => [name, String(value)] as [string, string]);
      return new Response(new Uint8Array(answer.body), { status: answer.status, headers: fields });
    },
    // A sidecar has nothing that its admin port could change but itself.
    readState: async () => [sidecar.id, sidecar.instance, Object.keys(sidecar.addresses)],
  });
  ok(asked > 8 * routes.length, `${asked} questions about ${routes.length} routes`);
});

test('An admin token of the owner is the one that counts', async (t) => {
  const mesh = await LocalMesh.start(t);
  const { sidecar } = await startSidecar(t, mesh, { services: ['web'], admin: ANY_PORT, adminToken: 'of-the-owner' });
  const get = async (authorization: string): Promise<number> =>
    (await fetch(`${sidecar.addresses.admin}/v1/status`, { headers: { authorization } })).status;
  equal(await get('Bearer of-the-owner'), 200);
  equal(await get('bearer of-the-owner'), 200);
  equal(await get('Basic of-the-owner'), 401);
});
