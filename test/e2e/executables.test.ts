/** `npm run build:exe`: each executable is a whole skein where there is nothing else, no program in PATH and no file in its folder. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { Program, runProgram } from '../support/process.ts';
import { readText, root } from '../support/repository.ts';

const skip = lacking('Bun and Deno');
const BUILD_WITHIN_MS = 120_000;
const TOOL = join(root, 'tools/exe.mjs');
const { version } = JSON.parse(readText('package.json')) as { version: string };

describe('npm run build:exe', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-exe-'));
  const origin = createServer((request, response) => response.end(`to ${request.headers['x-skein-client-id']}\n`));
  const programs: Program[] = [];

  before(async () => {
    if (skip) return;
    await once(origin.listen(0, '127.0.0.1'), 'listening');
    const started = performance.now();
    await runProgram(process.execPath, [TOOL, '--out', folder], { withinMs: BUILD_WITHIN_MS });
    const mibOf = (name: string) => Math.round(statSync(join(folder, name)).size / 1024 ** 2);
    const mib = Object.fromEntries(readdirSync(folder).map((name) => [name, mibOf(name)]));
    printFigures('executables', { mib, builtInMs: Math.round(performance.now() - started) });
  });
  after(async () => {
    for (const program of programs.reverse()) await program.kill();
    origin.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('--help says what it makes, and what it does not know it refuses', { skip }, async () => {
    assert.match(
      await runProgram(process.execPath, [TOOL, '--help']),
      /^Usage: npm run build:exe[\s\S]*--runtime[\s\S]*--out/,
    );
    const refused = new Program(process.execPath, [TOOL, '--runtime', 'deno']);
    assert.equal((await refused.waitForExit()).code, 2);
    assert.match(refused.stdout, /Unknown runtime: deno/);
  });

  for (const runtime of ['node', 'bun']) {
    it(`The one with ${runtime} inside is hub, sidecar and caller by itself`, { skip }, async () => {
      const place = join(folder, `with-${runtime}`);
      mkdirSync(place);
      const skein = (...args: string[]): Program => {
        // Not even the environment of the tests.
        const within = ['/usr/bin/env', '-i', 'PATH=', `HOME=${place}`];
        const program = new Program(join(folder, `skein-${runtime}`), args, {
          name: `skein ${args[0]}`,
          cwd: place,
          within,
        });
        programs.push(program);
        return program;
      };
      const run = async (...args: string[]): Promise<string> => {
        const program = skein(...args);
        assert.equal((await program.waitForExit()).code, 0, program.tail());
        assert.deepEqual(program.log, [], 'it has nothing to say beside its result');
        return program.stdout;
      };
      assert.deepEqual(readdirSync(place), []);
      assert.equal(await run('--version'), `${version}\n`);

      const hub = skein('hub', '--listen', '127.0.0.1:0', '--data', 'hub', '--log', 'json');
      const { hub: url = '' } = (await hub.ready()).addresses;
      const token = async (service: string) => (await run('token', 'create', '--service', service)).trim();
      const target = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
      const side = ['--hub', url, '--token', await token('api'), '--expose', `api=${target}`, '--log', 'json'];
      const sidecar = skein('sidecar', ...side);
      await sidecar.ready();
      const answer = await run('call', 'api/', '--hub', url, '--token', await token('web'));
      assert.equal(answer, 'to spiffe://skein.mesh/ns/default/sa/web\n');
      for (const program of [sidecar, hub]) assert.equal((await program.stop()).code, 0);
    });
  }
});
