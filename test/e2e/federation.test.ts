/** Two meshes of two trust domains, from their files and commands: a bundle over TLS, tokens of partners in requests, an endpoint that goes away. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { startHttpApp } from '../support/local-sidecars.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { TestAuthority } from '../support/nginx.ts';
import { runProgram, runSkein } from '../support/process.ts';

const PARTNER = 'partner.example';
const AUDIENCE = 'https://api.example.com';
const skip = lacking('openssl') || lacking('curl');

describe('Federation', { skip }, () => {
  const ends: (() => unknown)[] = [];
  const t = { after: (end: () => unknown): void => void ends.push(end) };
  let there: TestMesh;
  let here: TestMesh;
  let cart: Sidecar;
  let web: Sidecar;
  let api: Sidecar;
  let endpoint: Server;

  before(async () => {
    if (skip) return;
    const authority = new TestAuthority();
    t.after(() => authority.remove());
    const folder = mkdtempSync(join(tmpdir(), 'skein-federation-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const { keyPath, certificatePath } = authority.issue('endpoint', ['DNS:localhost']);
    there = await TestMesh.start({ args: ['--trust-domain', PARTNER] });
    endpoint = createServer(
      { key: readFileSync(keyPath), cert: readFileSync(certificatePath) },
      (_request, response) => {
        fetch(`http://${there.hubAddress}/.well-known/spiffe-bundle`)
          .then((answer) => answer.text())
          .then((text) => response.end(text))
          .catch(() => response.destroy());
      },
    );
    endpoint.listen(0, '127.0.0.1');
    await once(endpoint, 'listening');
    t.after(() => endpoint.close());
    const { port } = endpoint.address() as AddressInfo;
    const config = join(folder, 'hub.yaml');
    writeFileSync(
      config,
      `federation:\n  - { trustDomain: ${PARTNER}, bundleEndpoint: 'https://localhost:${port}/bundle', profile: https_web }\n`,
    );
    here = await TestMesh.start({
      args: ['--config', config],
      env: { NODE_EXTRA_CA_CERTS: authority.certificatePath },
    });
    const app = await startHttpApp(t, ({ headers }, response) =>
      response.end(String(headers['x-partner'] ?? 'nobody')),
    );
    api = await here.startSidecar({ name: 'api', services: ['api'], expose: [`api=http://${app.address}`] });
    web = await here.startSidecar({ name: 'web', services: ['web'] });
    cart = await there.startSidecar({ name: 'cart', services: ['cart'] });
    await api.program.waitForLog(({ text }) => /trust-domains-changed.*partner/.test(text));
    const file = join(folder, 'partners.yaml');
    writeFileSync(
      file,
      `kind: RequestAuthentication
metadata: { name: partners }
spec:
  targetRefs: [{ name: api }]
  jwtRules:
    - trustDomain: ${PARTNER}
      audiences: ['${AUDIENCE}']
      outputClaimToHeaders: [{ header: x-partner, claim: sub }]
---
kind: AuthorizationPolicy
metadata: { name: partners, namespace: mesh }
spec:
  deny:
    - to: [{ paths: ['/partners/{**}'] }]
      when: [{ key: 'request.auth.claims[spiffe.trust_domain]', notValues: [${PARTNER}] }]
`,
    );
    await here.admin('apply', '-f', file);
    await api.program.waitForLog(({ text }) => /policies-changed.*partners.*partners/.test(text));
  });
  after(async () => {
    await there?.close();
    await here?.close();
    for (const end of ends.reverse()) await end();
  });

  async function tokenOf(sidecar: Sidecar, audience = AUDIENCE): Promise<string> {
    const env = { SKEIN_SIDECAR_ADMIN_TOKEN: sidecar.adminToken() };
    const args = ['token', 'svid', '--audience', audience, '--sidecar', sidecar.addresses.admin ?? ''];
    const { code, program } = await runSkein(args, { env });
    assert.equal(code, 0, program.tail());
    return program.stdout.trim();
  }

  /** Status and body. */
  async function curl(path: string, token?: string): Promise<string> {
    const field = token === undefined ? [] : ['-H', `Authorization: Bearer ${token}`];
    const all = ['-sS', '-w', '\n%{http_code}', '--max-time', '30', '--proxy', `http://${web.http}`, ...field];
    const [body = '', status = ''] = (await runProgram('curl', [...all, `http://api.mesh${path}`])).split(/\n(?=\d+$)/);
    return status === '200' ? `200 ${body}` : status;
  }

  async function verify(sidecar: Sidecar, token: string): Promise<string> {
    const response = await fetch(`${sidecar.addresses.admin}/v1/token/verify`, {
      method: 'POST',
      headers: { authorization: `Bearer ${sidecar.adminToken()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ token, audience: AUDIENCE }),
    });
    return response.ok ? ((await response.json()) as { id: string }).id : String(response.status);
  }

  const CART = `spiffe://${PARTNER}/ns/default/sa/cart`;

  it('A token of a partner is believed where it is for us, and nowhere else', async () => {
    const token = await tokenOf(cart);
    assert.equal(await verify(web, token), CART);
    assert.equal(await curl('/partners/1', token), `200 ${CART}`);
    assert.equal(await curl('/partners/1'), '403');
    assert.equal(await curl('/'), '200 nobody');
    assert.equal(await curl('/', await tokenOf(cart, 'https://other.example.com')), '401');
    assert.equal(await curl('/', await tokenOf(web)), '401', 'our own trust domain has no rule');
    assert.notEqual(await verify(cart, await tokenOf(web)), `spiffe://skein.mesh/ns/default/sa/web`, 'one way only');
  });

  it('The bundle is a resource: shown, sealed, and with public keys for bearer tokens alone', async () => {
    const shown = await here.admin('get', 'FederatedTrustDomain', '-n', 'mesh', '-o', 'json');
    assert.match(shown, new RegExp(`"trustDomain": ?"${PARTNER}"`));
    assert.doesNotMatch(shown, /wit-svid|"d"/);
  });

  it('While the endpoint is away, and the hub starts again without it, the keys that were got last hold', async () => {
    endpoint.closeAllConnections();
    endpoint.close();
    await here.hub.kill();
    await here.startHub();
    const fetched = await here.hub.waitForLog(({ event }) => event === 'federated-bundle-not-fetched');
    assert.equal(fetched.level, 'warn');
    const late = await here.startSidecar({ name: 'late', services: ['late'] });
    await late.program.waitForLog(({ text }) => /trust-domains-changed.*partner/.test(text));
    const token = await tokenOf(cart);
    assert.equal(await verify(late, token), CART);
    assert.equal(await curl('/partners/1', token), `200 ${CART}`);
    printFigures('federation', { endpoint: 'away', believed: true });
  });

  it('Nothing crashed', () => assert.deepEqual([...there.accidents(), ...here.accidents()], []));
});
