/** Deno without `-A`: hub and sidecar run with the flags of docs/operations.md and no others, and say which one is missing. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { TestMesh } from '../support/mesh.ts';
import { startSkein } from '../support/process.ts';
import { readText, root } from '../support/repository.ts';

const skip = lacking('Bun and Deno');
const PAGE = readText('docs/operations.md');

/** The flags that the page gives a role, with this clone and this data folder in the places of its own. */
function documentedFlags(role: 'hub' | 'sidecar', data: string): string[] {
  const block = new RegExp(`<!-- flags: ${role} -->\n\`\`\`sh\n([^\`]+)\`\`\``).exec(PAGE)?.[1] ?? '';
  return [...block.matchAll(/--allow-\S+/g)].map(([flag]) =>
    flag
      .replaceAll("'", '')
      .replace('=.,', `=${root},`)
      .replace(/\/var\/lib\/\w+/, data),
  );
}

const nameOf = (flag: string): string => flag.replace(/=.*/, '');

describe('Deno without -A', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-deno-'));
  const hubData = join(folder, 'hub');
  const hubFlags = documentedFlags('hub', hubData);
  const sidecarData = join(folder, 'sidecar');
  const sidecarFlags = documentedFlags('sidecar', sidecarData);
  let mesh: TestMesh;

  before(async () => {
    if (!skip) mesh = await TestMesh.start({ runtime: 'deno', denoFlags: hubFlags, data: hubData });
  });
  after(async () => {
    await mesh?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What a hub or a sidecar that is not given `missing` says before it ends. */
  async function endWithout(missing: string, flags: readonly string[], args: readonly string[]): Promise<string> {
    const denoFlags = flags.filter((flag) => flag !== missing);
    const program = startSkein(args, { runtime: 'deno', denoFlags, env: { HOME: mesh.folder } });
    const { code } = await program.waitForExit();
    assert.notEqual(code, 0);
    return program.tail();
  }

  it('A hub and a sidecar run with what the page says, and carry a call', { skip }, async () => {
    assert.deepEqual(hubFlags.map(nameOf), ['--allow-net', '--allow-env', '--allow-read', '--allow-write']);
    assert.deepEqual(sidecarFlags.map(nameOf), hubFlags.map(nameOf));
    const origin = await mesh.startOrigin();
    const options = { runtime: 'deno', denoFlags: sidecarFlags, data: sidecarData, direct: true } as const;
    const services = ['api'];
    const first = await mesh.startSidecar({ ...options, name: 'api', services, expose: [`api=${origin.http}`] });
    // A restart takes the identity from the folder, and the lock of the one before.
    await first.program.stop();
    const { http, program } = await mesh.startSidecar({
      ...options,
      name: 'api again',
      expose: [`api=${origin.http}`],
    });
    const caller = await mesh.startSidecar({ name: 'web', services: ['web'] });
    const { status, body } = await ask({ through: caller.http, host: 'api.mesh', path: '/' });
    assert.deepEqual([status, body.toString()], [200, 'hello from origin\n']);
    assert.equal((await ask({ through: http, host: 'api.mesh', path: '/' })).status, 200);
    await program.stop();
    assert.deepEqual(mesh.accidents(), []);
    printFigures('Deno with these flags', { hub: hubFlags.map(nameOf), sidecar: sidecarFlags.map(nameOf) });
  });

  for (const missing of hubFlags) {
    it(`A hub without ${nameOf(missing)} names it`, { skip }, async () => {
      const args = ['hub', '--listen', '127.0.0.1:0', '--data', join(hubData, 'another')];
      assert.match(await endWithout(missing, hubFlags, args), saysHowToGive(missing));
    });
  }

  for (const missing of sidecarFlags) {
    it(`A sidecar without ${nameOf(missing)} names it`, { skip }, async () => {
      const token = await mesh.createToken(['late']);
      const own = ['--data', join(sidecarData, 'another'), '--listen-http', '127.0.0.1:0'];
      const args = ['sidecar', '--hub', mesh.hubUrl, '--token', token, ...own];
      assert.match(await endWithout(missing, sidecarFlags, args), saysHowToGive(missing));
    });
  }

  it('Who may not look whether the holder of a folder lives leaves it alone, and says so', { skip }, async () => {
    const second = mesh.launchSecondHub();
    assert.notEqual((await second.waitForExit()).code, 0);
    assert.match(second.tail(), /another process uses it/);
    const restricted = startSkein(['hub', '--listen', '127.0.0.1:0', '--data', hubData], {
      runtime: 'deno',
      denoFlags: hubFlags,
    });
    assert.notEqual((await restricted.waitForExit()).code, 0);
    assert.match(restricted.tail(), new RegExp(`process ${mesh.hub.pid} uses it, or did: without --allow-run`));
  });
});

function saysHowToGive(flag: string): RegExp {
  return new RegExp(`Deno does not (?:allow|let skein go on).*[Rr]un (?:it )?again with (?:the )?${nameOf(flag)}\\b`);
}
