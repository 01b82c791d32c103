import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';

/** `skein` was refused: identity or policy. */
const REFUSED = 4;

describe('Identity', () => {
  let mesh: TestMesh;
  let caller: Sidecar;
  let callee: Sidecar;
  let origin: { http: string };
  let callerToken: string;

  before(async () => {
    mesh = await TestMesh.start();
    origin = await mesh.startOrigin();
    callee = await mesh.startSidecar({
      name: 'callee',
      services: ['api'],
      expose: [`api=${origin.http}`],
      data: join(mesh.folder, 'callee'),
    });
    callerToken = await mesh.createToken(['shop']);
    caller = await mesh.startSidecar({ name: 'caller', token: callerToken });
  });
  after(() => mesh?.close());

  it('A second use of a join token is refused with exit code 4, and logged by the hub', async () => {
    const thief = await mesh.launchSidecar({ name: 'thief', token: callerToken });
    const { code } = await thief.waitForExit();
    assert.equal(code, REFUSED, thief.tail());
    assert.match(thief.tail(), /SKEIN_TOKEN_USED/);
    const line = await mesh.hub.waitForLog(({ event }) => event === 'token-reused');
    assert.equal(line.level, 'warn');
    const status = await mesh.admin('status');
    printFigures('second use of a token', { exit: code, logged: line.event, sidecars: status.length });
  });

  it('A changed token is refused before it is shown to the hub of its text', async () => {
    const token = await mesh.createToken(['shop']);
    for (const changed of [
      `${token}x`,
      token.slice(0, -2),
      token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      'nonsense',
    ]) {
      const thief = await mesh.launchSidecar({ name: 'thief', token: changed });
      const { code } = await thief.waitForExit();
      assert.ok(code === REFUSED || code === 2, `${changed} ended with ${code}\n${thief.tail()}`);
    }
  });

  it('A token for api cannot expose web', async () => {
    const token = await mesh.createToken(['api']);
    const rogue = await mesh.launchSidecar({ name: 'rogue', token, expose: [`web=${origin.http}`] });
    const { code } = await rogue.waitForExit();
    assert.equal(code, REFUSED, rogue.tail());
    assert.match(rogue.tail(), /SKEIN_NAME_NOT_GRANTED/);
    const answer = await ask({ through: caller.http, host: 'web.mesh' });
    assert.equal(answer.status, 404);
    assert.equal(answer.headers['x-skein-reason'], 'no-such-service');
  });

  it('A WIT-SVID without its key opens no session', async () => {
    const stolen = join(mesh.folder, 'stolen');
    cpSync(join(mesh.folder, 'callee'), stolen, { recursive: true });
    // That names the process of the callee, which lives.
    rmSync(join(stolen, 'sidecar.lock'));
    replacePrivateKeys(stolen);
    const before = mesh.hub.count('sidecar-joined');
    const thief = await mesh.launchSidecar({ name: 'thief', data: stolen, expose: [`api=${origin.http}`] });
    const { code } = await thief.waitForExit();
    assert.equal(code, REFUSED, thief.tail());
    assert.equal(mesh.hub.count('sidecar-joined'), before, 'the hub let it in');
  });

  it('The callee sees the SPIFFE id of the caller, and no id that the caller claims', async () => {
    const answer = await ask({
      through: caller.http,
      host: 'api.mesh',
      path: '/echo',
      headers: { 'x-skein-client-id': 'spiffe://evil/ns/default/sa/admin', 'X-SKEIN-Client-Id': 'spiffe://evil/again' },
    });
    const { rawHeaders } = JSON.parse(answer.body.toString()) as { rawHeaders: string[] };
    const ids = rawHeaders.filter((_, i) => rawHeaders[i - 1]?.toLowerCase() === 'x-skein-client-id' && i % 2 === 1);
    assert.equal(ids.length, 1);
    assert.match(ids[0] ?? '', /^spiffe:\/\/[^/]+\/ns\/default\/sa\/shop(?:\/|$)/);
    printFigures('identity', { seen: ids[0] });
  });

  it('A denied request gets 403 with a reason, and the callee logs the rule', async () => {
    const policy = join(mesh.folder, 'deny.yaml');
    writeFileSync(
      policy,
      `kind: AuthorizationPolicy
metadata: { name: keep-shop-out, namespace: default }
spec:
  targets: [{ service: api }]
  deny:
    - from: [{ ids: ['spiffe://*/ns/default/sa/shop'] }]
      to: [{ methods: [DELETE], paths: ['/orders/{id}'] }]
`.replace('spiffe://*', `spiffe://${await trustDomain()}`),
    );
    await mesh.admin('apply', '-f', policy);
    const denied = await askUntil({ method: 'DELETE', path: '/orders/7' }, 403);
    assert.equal(denied.headers['x-skein-reason'], 'authz');
    const line = await callee.program.waitForLog(({ text }) => /request-denied.*keep-shop-out/.test(text));
    assert.match(line.text, /deny\[0\]/);
    assert.match(line.text, /sa\/shop/);
    assert.equal(
      (await ask({ through: caller.http, host: 'api.mesh', method: 'GET', path: '/status/200' })).status,
      200,
    );
    const { requests } = JSON.parse(
      (await ask({ through: new URL(origin.http).host, host: 'origin', form: 'host', path: '/stats' })).body.toString(),
    ) as { requests: number };
    assert.ok(requests < 10, 'the application was not asked what was denied');

    await mesh.admin('delete', 'AuthorizationPolicy/keep-shop-out');
    await askUntil({ method: 'DELETE', path: '/orders/7' }, 404);
  });

  it('Without any policy all is denied', async () => {
    await mesh.admin('delete', 'AuthorizationPolicy/allow-same-namespace');
    const denied = await askUntil({ path: '/' }, 403);
    assert.equal(denied.headers['x-skein-reason'], 'authz');
    await callee.program.waitForLog(({ text }) => text.includes('default-deny'));
    assert.deepEqual(mesh.accidents(), []);
  });

  /** Asks until the answer has this status: a policy needs a moment to reach the callee. */
  async function askUntil(request: { method?: string; path: string }, status: number) {
    const deadline = performance.now() + 15_000;
    for (;;) {
      const answer = await ask({ through: caller.http, host: 'api.mesh', ...request });
      if (answer.status === status) return answer;
      assert.ok(performance.now() < deadline, `still ${answer.status}\n${callee.program.tail()}`);
    }
  }

  async function trustDomain(): Promise<string> {
    const line = await mesh.hub.waitForLog(({ event }) => event === 'sidecar-joined');
    return new URL(String(line.id)).host;
  }
});

/** Puts another key wherever a file in the folder holds a private EC key, as a thief of the certificate alone would have to. */
function replacePrivateKeys(folder: string): void {
  const { d, x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  let replaced = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const text = readFileSync(path, 'utf8');
    if (!/"d"\s*:/.test(text)) continue;
    const replace = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(replace);
      if (typeof value !== 'object' || value === null) return value;
      if ('d' in value && 'x' in value) {
        replaced++;
        return { ...value, d, x, y };
      }
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, replace(each)]));
    };
    writeFileSync(path, JSON.stringify(replace(JSON.parse(text))));
  }
  assert.ok(replaced > 0, 'there was a key to replace');
}
