/** Tokens of end users through two sidecars, as curl sends them, from an issuer over TLS that the test is. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { startHttpApp } from '../support/local-sidecars.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { TestAuthority } from '../support/nginx.ts';
import { type Claims, OidcIssuer } from '../support/oidc-issuer.ts';
import { runProgram } from '../support/process.ts';

const AUDIENCE = 'https://api.example.com';
const skip = lacking('openssl') || lacking('curl');

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

describe('End users', { skip }, () => {
  const ends: (() => unknown)[] = [];
  const t = { after: (end: () => unknown): void => void ends.push(end) };
  let mesh: TestMesh;
  let caller: Sidecar;
  let callee: Sidecar;
  let issuer: OidcIssuer;
  let stranger: OidcIssuer;

  before(async () => {
    if (skip) return;
    const authority = new TestAuthority();
    t.after(() => authority.remove());
    const { keyPath, certificatePath } = authority.issue('issuer', ['DNS:localhost']);
    const tls = { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(certificatePath, 'utf8') };
    issuer = await OidcIssuer.start(t, 'RS256', tls);
    stranger = await OidcIssuer.start(t, 'RS256', tls);
    const app = await startHttpApp(t, ({ headers, method }, response) => {
      response.end(JSON.stringify({ method, user: headers['x-user'] ?? null, token: headers.authorization ?? null }));
    });
    mesh = await TestMesh.start();
    callee = await mesh.startSidecar({
      name: 'callee',
      services: ['api'],
      expose: [`api=http://${app.address}`],
      env: { NODE_EXTRA_CA_CERTS: authority.certificatePath },
    });
    caller = await mesh.startSidecar({ name: 'caller', services: ['web'] });
    const file = join(mesh.folder, 'users.yaml');
    writeFileSync(
      file,
      `kind: RequestAuthentication
metadata: { name: users }
spec:
  targetRefs: [{ kind: Service, name: api }]
  jwtRules:
    - issuer: ${issuer.url}
      audiences: [${AUDIENCE}]
      outputClaimToHeaders: [{ header: x-user, claim: sub }]
---
kind: AuthorizationPolicy
metadata: { name: admins }
spec:
  targets: [{ service: api }]
  deny:
    - to: [{ paths: ['/admin/{**}'] }]
      when: [{ key: 'request.auth.claims[roles]', notValues: [admin] }]
`,
    );
    await mesh.admin('apply', '-f', file);
    await callee.program.waitForLog(({ text }) => /policies-changed.*admins/.test(text));
  });
  after(async () => {
    await mesh?.close();
    for (const end of ends.reverse()) await end();
  });

  const sign = (claims: Claims = {}, from = issuer): Promise<string> => {
    const now = Math.floor(Date.now() / 1000);
    return from.sign({ sub: 'alice', aud: AUDIENCE, iat: now, exp: now + 600, ...claims });
  };

  async function curl(path: string, token?: string, ...args: readonly string[]): Promise<Answer> {
    const field = token === undefined ? [] : ['-H', `Authorization: Bearer ${token}`];
    const all = ['-sS', '-i', '--max-time', '30', '--proxy', `http://${caller.http}`, ...field, ...args];
    const text = await runProgram('curl', [...all, `http://api.mesh${path}`]);
    const [head = '', body = ''] = text.split('\r\n\r\n');
    return { status: Number(head.split(' ')[1]), head: head.toLowerCase(), body };
  }

  it('No token passes without a user, a valid one with its user, and neither shows the token to the application', async () => {
    const none = await curl('/', undefined, '-H', 'X-User: root', '-H', 'X_User: root');
    assert.deepEqual([none.status, none.body], [200, '{"method":"GET","user":null,"token":null}'], none.head);
    const valid = await curl('/', await sign(), '-H', 'X-User: root');
    assert.deepEqual([valid.status, valid.body], [200, '{"method":"GET","user":"alice","token":null}'], valid.head);
    const posted = await curl('/', await sign(), '--data-binary', 'x'.repeat(100_000));
    assert.equal(posted.body, '{"method":"POST","user":"alice","token":null}');
  });

  it('Policies decide by claims', async () => {
    assert.equal((await curl('/admin/users')).status, 403);
    assert.equal((await curl('/admin/users', await sign())).status, 403);
    assert.equal((await curl('/admin/users', await sign({ roles: ['admin'] }))).status, 200);
  });

  it('Expired, for another audience, of another issuer, by another key, changed, nonsense: 401, and one answer', async () => {
    const good = await sign();
    const tokens = [
      await sign({ exp: Math.floor(Date.now() / 1000) - 60 }),
      await sign({ aud: 'https://other.example.com' }),
      await sign({}, stranger),
      await sign({ iss: issuer.url }, stranger),
      good.replace(/.{8}$/, 'AAAAAAAA'),
      'nonsense',
    ];
    const answers = new Set<string>();
    for (const token of tokens) {
      const { status, head, body } = await curl('/', token);
      assert.equal(status, 401);
      assert.match(head, /^www-authenticate: bearer error="invalid_token"\r?$/m);
      assert.match(head, /^x-skein-reason: user-token-invalid\r?$/m);
      answers.add(`${head.replace(/^date:.*$/m, '')}${body}`);
    }
    assert.equal(answers.size, 1, [...answers].join('\n---\n'));
    const logs = [mesh.hub, caller.program, callee.program].map((program) => program.tail(10_000)).join('\n');
    for (const token of [good, ...tokens.slice(0, 4)]) assert.ok(!logs.includes(token.split('.')[1] ?? ''), 'logged');
    printFigures('tokens of end users', { refused: tokens.length, answers: answers.size });
  });

  it('A second request with the same token costs little more than one without', async () => {
    const token = await sign();
    const time = async (field: readonly string[]): Promise<number> => {
      const urls = Array.from({ length: 300 }, () => ['-o', '/dev/null', 'http://api.mesh/']).flat();
      const startedMs = performance.now();
      await runProgram('curl', ['-sS', '--fail', '--proxy', `http://${caller.http}`, ...field, ...urls]);
      return performance.now() - startedMs;
    };
    await time(['-H', `Authorization: Bearer ${token}`]);
    const rounds: { without: number[]; with: number[] } = { without: [], with: [] };
    for (let i = 0; i < 3; i++) {
      rounds.without.push(await time(['-H', `X-Other: Bearer ${token}`]));
      rounds.with.push(await time(['-H', `Authorization: Bearer ${token}`]));
    }
    const [without, withToken] = [Math.min(...rounds.without) / 300, Math.min(...rounds.with) / 300];
    printFigures('a request with a token that is known', {
      ...{ withoutMs: Number(without.toFixed(3)), withMs: Number(withToken.toFixed(3)) },
    });
  });

  it('Nothing crashed', () => assert.deepEqual(mesh.accidents(), []));
});
