/** A whole mesh is driven at its most talkative, also by mistakes; then every secret that was made is looked for in all that it has left behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { runSkein } from '../support/process.ts';
import { findIn, findInArguments, findInOpenFiles, type Secret } from '../support/secret-scan.ts';

const TALKATIVE = ['--log-level', 'debug'];
const AUDIENCE = 'https://api.example.com';
const skip = lacking('/proc');

describe('Secrets', () => {
  let mesh: TestMesh;
  let a: Sidecar;
  const secrets: Secret[] = [];
  /** What was printed, by whom; not what a command is there to print. */
  const printed: { readonly where: string; readonly text: string }[] = [];
  let environment: Record<string, string> = {};

  before(async () => {
    mesh = await TestMesh.start({ args: TALKATIVE });
    environment = { HOME: mesh.folder, XDG_CONFIG_HOME: mesh.folder, XDG_STATE_HOME: mesh.folder };
    const plain = await mesh.startOrigin('plain');
    const target = [`plain=${plain.http}`];
    await mesh.startSidecar({
      ...{ name: 'b', token: await tokenFile('b', 'plain'), data: join(mesh.folder, 'b'), expose: target, http: false },
      args: TALKATIVE,
    });
    a = await mesh.startSidecar({
      ...{ name: 'a', token: await tokenFile('a', 'client'), data: join(mesh.folder, 'a') },
      args: TALKATIVE,
    });
  });
  after(() => mesh?.close());

  /** `@file` of a new join token. */
  async function tokenFile(name: string, service: string): Promise<string> {
    const path = join(mesh.folder, `${name}.token`);
    writeFileSync(path, keepToken(`join token of ${name}`, await mesh.createToken([service])), { mode: 0o600 });
    return `@${path}`;
  }

  function keepToken(name: string, text: string): string {
    const body = JSON.parse(Buffer.from(text.replace('skein_', ''), 'base64url').toString()) as { s: string };
    secrets.push({ name, text: body.s }, { name: `${name}, as it is handed over`, text: text.slice(-60) });
    return text;
  }

  async function run(args: readonly string[], { env = {}, shows = false, log = true } = {}): Promise<string> {
    const all = log ? [...args, ...TALKATIVE] : args;
    const { program } = await runSkein(all, { env: { ...environment, ...env } });
    const where = `skein ${args.slice(0, 2).join(' ')}`;
    printed.push({ where: `stderr of ${where}`, text: program.log.map(({ text }) => text).join('\n') });
    if (!shows) printed.push({ where: `stdout of ${where}`, text: program.stdout });
    return program.stdout;
  }

  async function ask(where: string, url: string, init: RequestInit = {}): Promise<void> {
    const response = await fetch(url, init);
    const fields = [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n');
    printed.push({ where, text: `${fields}\n${await response.text()}` });
  }

  it('Drives all that could tell one', { skip }, async () => {
    const hub = ['--hub', mesh.hubUrl, '--data', mesh.hubData];
    const admin = a.addresses.admin ?? '';
    const policy = join(mesh.folder, 'policy.yaml');
    const bad = join(mesh.folder, 'bad.yaml');
    writeFileSync(
      policy,
      'apiVersion: skein.dev/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {name: all}\nspec: {action: ALLOW, rules: [{}]}\n',
    );
    writeFileSync(bad, 'apiVersion: skein.dev/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {name: 7}\nspec: {\n');
    const jwt = (await run(['token', 'svid', '--audience', AUDIENCE, '--sidecar', admin], { shows: true })).trim();
    assert.match(jwt, /^ey/);
    secrets.push({ name: 'bearer token', text: jwt.split('.')[2] ?? '' });
    const json = ['--output', 'json'];
    for (const args of [
      ...[['services'], ['services', ...json], ['status'], ['status', ...json], ['get', 'policies'], ['get', 'routes']],
      ...[
        ['apply', '-f', policy],
        ['apply', '-f', bad],
        ['diff', '-f', policy],
        ['delete', 'AuthorizationPolicy/none'],
      ],
      ...[['call', 'plain/'], ['call', 'nobody/'], ['paths', '--sidecar', admin], ['check'], ['keys', 'list']],
      ...[
        ['token', 'create', '--service', 'a.b.c'],
        ['revoke', 'spiffe://skein.mesh/ns/default/sa/nobody'],
        ['revoke'],
      ],
      ...[['authz', 'explain'], ['explain', 'GET', 'http://plain.mesh/'], ['no-such-command'], ['lint', '-f', bad]],
    ]) {
      const needsHub = !['lint', 'no-such-command', 'paths'].includes(args[0] ?? '');
      await run([...args, ...(needsHub ? hub : [])]);
    }
    // Secrets that are wrong, used, or in the wrong place.
    const used = secrets.find(({ name }) => name === 'join token of a')?.text;
    assert.ok(used !== undefined);
    const wrong = { SKEIN_ADMIN_TOKEN: 'wrong-admin-token-0123456789abcdefghij' };
    secrets.push({ name: 'wrong admin token', text: wrong.SKEIN_ADMIN_TOKEN });
    await run(['services', '--hub', mesh.hubUrl], { env: wrong });
    const again = await mesh.launchSidecar({
      name: 'again',
      token: `@${join(mesh.folder, 'a.token')}`,
      args: TALKATIVE,
    });
    assert.equal((await again.exited).code, 4, again.tail());
    const odd = keepToken('join token that is cut', await mesh.createToken(['odd']));
    const cut = await mesh.launchSidecar({ name: 'cut', env: { SKEIN_TOKEN: odd.slice(0, -3) }, args: TALKATIVE });
    await cut.exited;
    // A command beside a sidecar, which tells all that it was given.
    const own = keepToken('join token of a command', await mesh.createToken(['own']));
    const tell = 'env; tr "\\0" " " < /proc/self/cmdline; tr "\\0" " " < /proc/$PPID/cmdline';
    await run(['run', '--hub', mesh.hubUrl, ...TALKATIVE, '--', 'sh', '-c', tell], {
      env: { SKEIN_TOKEN: own },
      log: false,
    });
    const forged = { authorization: `Bearer ${jwt}`, 'x-token': jwt };
    for (const path of ['/metrics', '/v1/status', '/v1/paths', '/v1/tokens', '/none', '/.well-known/jwks.json']) {
      await ask(`the hub's ${path}`, `http://${mesh.hubAddress}${path}`, { headers: forged });
      await ask(`the admin port's ${path}`, `${admin}${path}`, {
        headers: { ...forged, authorization: 'Bearer wrong' },
      });
    }
    const verify = { method: 'POST', headers: { 'content-type': 'application/json' } };
    await ask('a verification', `${admin}/v1/token/verify`, {
      ...{ ...verify, headers: { ...verify.headers, authorization: `Bearer ${a.adminToken()}` } },
      body: JSON.stringify({ token: `${jwt.slice(0, -4)}AAAA`, audience: AUDIENCE }),
    });
    await ask('an answer of the mesh', `http://${a.http}/`, { headers: { host: 'nobody.mesh', ...forged } });
  });

  it('None of them is in what was printed, in arguments, or in files that others may read', { skip }, async () => {
    secrets.push({
      name: 'admin token of the hub',
      text: readFileSync(join(mesh.hubData, 'admin.token'), 'utf8').trim(),
    });
    secrets.push({ name: 'token of an admin port', text: a.adminToken() });
    const keyFiles = readdirSync(mesh.folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(?:json|token)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of keyFiles) {
      const text = readFileSync(path, 'utf8');
      for (const [, key = ''] of text.matchAll(/"d":\s*"([\w-]{20,})"/g)) {
        secrets.push({ name: `private key of ${path}`, text: key });
        assert.equal(statSync(path).mode & 0o077, 0, `${path} is for its owner alone`);
      }
      const wit = /"wit":\s*"([\w.-]+)"/.exec(text)?.[1];
      if (wit !== undefined) secrets.push({ name: `SVID of ${path}`, text: wit.split('.')[2] ?? '' });
    }
    const kinds = ['private key', 'SVID', 'join token', 'bearer token', 'admin token', 'token of an admin port'];
    for (const kind of kinds)
      assert.ok(
        secrets.some(({ name }) => name.startsWith(kind)),
        `no ${kind} was made`,
      );
    for (const program of mesh.programs) {
      printed.push({ where: `stdout of ${program.name}`, text: program.stdout });
      printed.push({ where: `log of ${program.name}`, text: program.log.map(({ text }) => text).join('\n') });
    }
    assert.deepEqual(
      printed.flatMap(({ where, text }) => findIn(where, text, secrets)),
      [],
    );
    assert.deepEqual(findInArguments(secrets, new Set()), []);
    assert.deepEqual(findInOpenFiles(mesh.folder, secrets), []);
    const chars = printed.reduce((sum, { text }) => sum + text.length, 0);
    printFigures('secrets', { secrets: secrets.length, texts: printed.length, chars });
    assert.ok(
      printed.some(({ text }) => text.includes('"level":"debug"')),
      'the log was not talkative',
    );
  });

  it('One that is planted is found in each of these places', { skip }, async () => {
    const [secret] = secrets;
    assert.ok(secret !== undefined && secret.text.length > 30);
    const piece = secret.text.slice(1, -1);
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume(); console.log(1)', piece], { stdio: 'pipe' });
    await once(child.stdout, 'data');
    const path = join(mesh.folder, 'planted');
    writeFileSync(path, `{"text":"${piece}"}`, { mode: 0o644 });
    try {
      assert.equal(findIn('a log', `{"error":"refused: ${piece}"}`, [secret]).length, 1);
      assert.equal(findInArguments([secret], new Set()).length, 1);
      assert.equal(findInOpenFiles(mesh.folder, [secret]).length, 1);
      writeFileSync(path, '');
      assert.equal(findInOpenFiles(mesh.folder, [secret]).length, 0);
    } finally {
      child.kill();
    }
    assert.ok(existsSync(path));
  });
});
