import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { Program, runProgram } from '../support/process.ts';
import { root } from '../support/repository.ts';

/** Every entry of package.json's exports, used the way its types promise. */
const CONSUMER = `
import { createHub, createMesh, createSidecar, type Hub, type Sidecar, SkeinError } from 'skein';
import { ERROR_CODES, type ErrorCode } from 'skein/errors';
import type { NatsStore } from 'skein/nats';
import * as neutral from 'skein/neutral';

export async function callOverTheMesh(token: string): Promise<string> {
  const mesh = await createMesh({ hub: 'wss://hub.example.com', token });
  await mesh.serve('web', (request: Request) => new Response(request.url));
  const reply: Response = await mesh.fetch('http://api.mesh/orders/7', { method: 'POST', body: 'x' });
  await mesh.close();
  return reply.text();
}
export async function wholeMesh(): Promise<readonly [Hub, Sidecar]> {
  const hub = await createHub({ listen: { host: '127.0.0.1', port: 0 } });
  const { text: token } = await hub.createJoinToken({ services: ['api'] });
  const expose = [{ service: 'api', target: 'http://127.0.0.1:3000' }];
  return [hub, await createSidecar({ hub: hub.url, token, expose, listen: { http: '127.0.0.1:0' } })];
}
export const oneOfSeveral = (store: NatsStore): Promise<Hub> => createHub({ store, dataFolder: './hub' });
export const codes: ErrorCode[] = Object.keys(ERROR_CODES) as ErrorCode[];
export const isOurs = (error: unknown): boolean => error instanceof SkeinError && error.code === 'SKEIN_DENIED';
export const names: string[] = Object.keys(neutral);
// @ts-expect-error a hub is needed
export const wrong = () => createMesh({ token: 'x' });
`;

/** A mesh of the library alone, from the package as it is installed. */
const PROGRAM = `
import { createHub, createMesh } from 'skein';

const hub = await createHub({ listen: { host: '127.0.0.1', port: 0 } });
const join = async (service) => {
  const { text: token } = await hub.createJoinToken({ services: [service] });
  return createMesh({ hub: hub.url, token });
};
const [api, web] = [await join('api'), await join('web')];
await api.serve('api', (request) => new Response('called by ' + request.headers.get('x-skein-client-id')));
const reply = await web.fetch('http://api.mesh/');
console.log(reply.status, await reply.text());
await web.close();
await api.close();
await hub.close();
`;

describe('The package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-npx-'));
  const user = join(folder, 'user');
  const npm = (...args: string[]) =>
    runProgram('npm', [...args, '--no-fund', '--no-audit', '--loglevel=error'], { cwd: user, withinMs: 120_000 });

  before(async () => {
    mkdirSync(user);
    // Built by whoever runs the tests; packing builds nothing.
    await runProgram('npm', ['pack', '--pack-destination', folder, '--loglevel=error'], { cwd: root });
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) as string;
    writeFileSync(join(user, 'package.json'), '{ "name": "user", "private": true, "type": "module" }\n');
    await npm('install', '--prefer-offline', '--ignore-scripts', join(folder, tarball));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('Gives a working `npx skein` in an empty folder', async () => {
    const help = await npm('exec', '--no', '--', 'skein', '--help');
    for (const command of ['hub', 'sidecar', 'token', 'run', 'call', 'demo'])
      assert.match(help, new RegExp(`\\b${command}\\b`));
    const version = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;
    assert.match(await npm('exec', '--no', '--', 'skein', '--version'), new RegExp(version.replaceAll('.', '\\.')));
  });

  it('Runs the demo, and its library runs a mesh', async () => {
    // The program itself: a shell of npm's in between would keep the signal that ends it.
    const demo = new Program(join(user, 'node_modules/.bin/skein'), ['demo', '--log', 'json'], {
      name: 'skein demo',
      cwd: user,
      env: { HOME: folder, SKEIN_HOME: join(folder, 'home') },
    });
    try {
      const { addresses } = await demo.ready();
      const answer = await ask({ through: new URL(addresses.http ?? '').host, host: 'hello.mesh' });
      assert.equal(answer.status, 200);
      printFigures('demo of the package', { answer: answer.body.toString().trim() });
    } finally {
      await demo.stop();
    }
    writeFileSync(join(user, 'mesh.mjs'), PROGRAM);
    assert.equal(
      await runProgram(process.execPath, ['mesh.mjs'], { cwd: user }),
      '200 called by spiffe://skein.mesh/ns/default/sa/web\n',
    );
  });

  it('Has typed entries that a strict user can compile', async () => {
    writeFileSync(join(user, 'consumer.ts'), CONSUMER);
    const options = {
      compilerOptions: {
        target: 'es2023',
        module: 'nodenext',
        lib: ['es2023', 'dom', 'dom.iterable'],
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        outDir: 'out',
      },
      files: ['consumer.ts'],
    };
    writeFileSync(join(user, 'tsconfig.json'), JSON.stringify(options));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    await runProgram(process.execPath, [tsc, '-p', user], { cwd: user });
    const names = await runProgram(
      process.execPath,
      ['-e', "import('./out/consumer.js').then((m) => console.log(m.codes.length, m.isOurs(0)))"],
      { cwd: user },
    );
    assert.match(names, /^\d+ false\n$/);
  });

  it('Runs one hub without the NATS client, and says how to get it to who wants several', async () => {
    const client = join(user, 'node_modules/@nats-io');
    assert.equal(existsSync(client), false, 'an optional peer was installed');
    const hub = new Program('npm', ['exec', '--no', '--', 'skein', 'hub', '--store', 'nats://u:hunter2@127.0.0.1'], {
      cwd: user,
    });
    assert.equal((await hub.waitForExit()).code, 2);
    assert.match(hub.tail(), /the NATS client is not installed[\s\S]*npm install @nats-io\/transport-node@3/);
    assert.doesNotMatch(hub.tail(100), /hunter2/);
  });

  it('Holds no tests, and needs no package with an install script', () => {
    const installed = join(user, 'node_modules');
    const files = readdirSync(join(installed, 'skein'), { recursive: true }) as string[];
    assert.deepEqual(
      files.filter((path) => /\.test\.|(?:^|\/)(?:test|tests|bench|tools|\.ci)(?:\/|$)/.test(path)),
      [],
    );
    const lock = JSON.parse(readFileSync(join(user, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean; optional?: boolean }>;
    };
    const packages = Object.entries(lock.packages).filter(([path]) => path !== '');
    // All above worked with scripts ignored, as they were at the installation; whoever leaves optional packages out has none.
    const scripted = packages.filter(([, { hasInstallScript }]) => hasInstallScript);
    assert.deepEqual(
      scripted.filter(([, { optional }]) => optional !== true).map(([path]) => path),
      [],
    );
    printFigures('package', {
      files: files.length,
      packages: packages.map(([path]) => path.replace('node_modules/', '')),
      scripted: scripted.map(([path]) => path),
    });
  });
});
