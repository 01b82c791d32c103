/** `skein` on Bun and Deno, from a clone and from the package as npm, Bun and Deno install it: one mesh over all three. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { TestMesh } from '../support/mesh.ts';
import { type Runtime, runProgram, runtimeCommand } from '../support/process.ts';
import { type PackageManifest, Registry } from '../support/registry.ts';
import { readText, root } from '../support/repository.ts';

const skip = lacking('Bun and Deno');
const INSTALL_WITHIN_MS = 120_000;
const BUN = runtimeCommand({ runtime: 'bun' })[0];
const DENO = runtimeCommand({ runtime: 'deno' })[0];
const MANIFEST = JSON.parse(readText('package.json')) as PackageManifest;

/** Where the program is from → how it gets there; and what runs the hub, the callee and the caller. */
const CASES: readonly {
  readonly from: string;
  readonly install?: readonly [command: string, ...args: string[]];
  readonly on: readonly [hub: Runtime, callee: Runtime, caller: Runtime];
}[] = [
  { from: 'a clone', on: ['bun', 'deno', 'bun'] },
  { from: 'npm', install: ['npm', 'install', '--no-fund', '--no-audit'], on: ['deno', 'bun', 'node'] },
  { from: 'bun', install: [BUN, 'install'], on: ['bun', 'node', 'deno'] },
  { from: 'deno', install: [DENO, 'install'], on: ['deno', 'deno', 'bun'] },
];

describe('skein on Bun and Deno', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-runtimes-'));
  let registry: Registry;

  before(async () => {
    if (skip) return;
    await runProgram('npm', ['pack', '--pack-destination', folder, '--loglevel=error'], { cwd: root });
    registry = await Registry.start(MANIFEST, join(folder, readdirSync(folder)[0] as string));
  });
  after(() => {
    registry?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Where the package is, and caches of their own: they would hold on to the one that an earlier run has made. */
  const environment = (): Record<string, string> => ({
    npm_config_registry: registry.url,
    NPM_CONFIG_REGISTRY: registry.url,
    BUN_INSTALL_CACHE_DIR: join(folder, 'cache'),
    DENO_DIR: join(folder, 'cache'),
  });

  /** A project that wants the package. @returns the launcher in it */
  async function install(from: string, [command, ...args]: readonly [string, ...string[]]): Promise<string> {
    const project = join(folder, from);
    mkdirSync(project);
    const dependencies = { [MANIFEST.name]: MANIFEST.version };
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'user', type: 'module', dependencies }));
    await runProgram(command, args, { cwd: project, env: environment(), withinMs: INSTALL_WITHIN_MS });
    return join(project, 'node_modules', MANIFEST.name, 'bin/skein');
  }

  for (const { from, install: installation, on } of CASES) {
    const [hub, callee, caller] = on;
    it(`From ${from}: a hub on ${hub}, called on ${callee} by ${caller}`, { skip }, async () => {
      const launcher = installation === undefined ? join(root, 'bin/skein') : await install(from, installation);
      const mesh = await TestMesh.start({ runtime: hub, launcher });
      try {
        const origin = await mesh.startOrigin();
        const api = { name: 'api', services: ['api'], expose: [`api=${origin.http}`], http: false };
        await mesh.startSidecar({ ...api, runtime: callee, launcher });
        const web = await mesh.startSidecar({ name: 'web', services: ['web'], runtime: caller, launcher });
        const { status, body } = await ask({ through: web.http, host: 'api.mesh', path: '/echo' });
        assert.equal(status, 200);
        assert.match(body.toString(), /"x-skein-client-id","spiffe:\/\/skein\.mesh\/ns\/default\/sa\/web"/);
        assert.deepEqual(mesh.accidents(), []);
        printFigures(`from ${from}`, { hub, callee, caller, status });
      } finally {
        await mesh.close();
      }
    });
  }

  const byName: readonly (readonly [string, ...string[]])[] = [
    [BUN, 'x', '--bun', MANIFEST.name],
    [DENO, 'run', '-A', `npm:${MANIFEST.name}`],
  ];
  for (const [command, ...args] of byName) {
    it(`By its name alone: ${basename(command)} ${args.join(' ')}`, { skip }, async () => {
      const place = mkdtempSync(join(folder, 'empty-'));
      const options = { cwd: place, env: environment(), withinMs: INSTALL_WITHIN_MS };
      assert.equal(await runProgram(command, [...args, '--version'], options), `${MANIFEST.version}\n`);
    });
  }
});
