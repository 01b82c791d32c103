/** One sidecar at a time for an identity folder, over processes of whichever runtime this is. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import process from 'node:process';
import { type TestContext, test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import type { Files } from '../../../src/core/platform.ts';
import { createSidecar } from '../../../src/sidecar/sidecar.ts';
import { folder } from '../../support/folder.ts';
import { deferred, LocalMesh } from '../../support/local-mesh.ts';
import { startSidecar } from '../../support/local-sidecars.ts';

const LOCK = 'sidecar.lock';

const isTaken =
  (data: string) =>
  (error: unknown): boolean => {
    ok(error instanceof SkeinError);
    equal(error.code, 'SKEIN_STORE');
    equal(error.message, `Cannot use identity folder "${data}": another sidecar uses it`);
    match(String(error.details.remedy), /^Stop that one, or give this one a folder and a token of its own/);
    return true;
  };

/** A process of this runtime that holds the lock of a folder until it is killed. */
async function holdElsewhere(t: TestContext, data: string): Promise<ChildProcess> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const module = new URL(`../../../src/runtime/node/files.${extension}`, import.meta.url).href;
  const script = `
    import { nodeFiles } from ${JSON.stringify(module)};
    await nodeFiles.lock(${JSON.stringify(join(data, LOCK))});
    console.log('held');
    process.stdin.resume();`;
  const isDeno = process.versions.deno !== undefined;
  const args = isDeno ? ['eval', '--no-check', script] : ['--input-type=module', '-e', script];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

test('A second sidecar on the folder of one that runs is refused, its token is not used, and it starts behind the first', async (t) => {
  const mesh = await LocalMesh.start(t);
  const data = join(folder(t), 'identity');
  const first = await startSidecar(t, mesh, { services: ['api'], data });
  const token = await mesh.token(['api']);
  await rejects(startSidecar(t, mesh, { data, token }), isTaken(data));
  // However the folder is called.
  const other = relative(process.cwd(), data);
  await rejects(startSidecar(t, mesh, { data: other, token }), isTaken(other));
  ok(existsSync(join(data, LOCK)));
  await first.sidecar.drain();
  deepEqual(
    readdirSync(data).filter((name) => name !== 'audit.json'),
    ['identity.json'],
  );
  const second = await startSidecar(t, mesh, { data });
  equal(second.sidecar.id, first.sidecar.id);
  second.sidecar.close();
  await second.sidecar.closed;
  // The token of the refused one is as good as new.
  const third = await startSidecar(t, mesh, { data: join(data, 'own'), token });
  third.sidecar.close();
  await third.sidecar.closed;
});

test('A folder that another process holds is free when that is killed', async (t) => {
  const mesh = await LocalMesh.start(t);
  const data = folder(t);
  const holder = await holdElsewhere(t, data);
  const token = await mesh.token(['api']);
  await rejects(startSidecar(t, mesh, { data, token }), isTaken(data));
  holder.kill('SIGKILL');
  await once(holder, 'close');
  const { sidecar } = await startSidecar(t, mesh, { data, token });
  await sidecar.drain();
});

test('A folder is free when nothing is written there any more', async (t) => {
  const mesh = await LocalMesh.start(t);
  const data = folder(t);
  const real = mesh.platform.files as Files;
  const [begun, mayEnd] = [deferred(), deferred()];
  const files: Files = {
    ...real,
    replace: async (path, content, mode) => {
      if (path.endsWith('audit.json')) {
        begun.resolve();
        await mayEnd.promise;
      }
      await real.replace(path, content, mode);
    },
  };
  const token = await mesh.token(['api']);
  const options = { hub: mesh.hub.url, direct: false, data, token } as const;
  const sidecar = await createSidecar({ ...mesh.platform, files }, options);
  t.after(() => sidecar.close());
  await begun.promise;
  sidecar.close();
  await rejects(startSidecar(t, mesh, { data }), isTaken(data));
  mayEnd.resolve();
  await sidecar.closed;
  ok(existsSync(join(data, 'audit.json')));
  const second = await startSidecar(t, mesh, { data });
  second.sidecar.close();
  await second.sidecar.closed;
});

test('Who could not start leaves the folder free', async (t) => {
  const mesh = await LocalMesh.start(t);
  const data = folder(t);
  const token = await mesh.token(['api']);
  await rejects(startSidecar(t, mesh, { data, token, listen: { http: '192.0.2.1:1' } }));
  deepEqual(readdirSync(data), ['enrolment.json']);
});

test('Sidecars that say so share a folder', async (t) => {
  const mesh = await LocalMesh.start(t);
  const data = folder(t);
  const shared = { data, sharesData: true };
  const first = await startSidecar(t, mesh, { services: ['api'], ...shared });
  const second = await startSidecar(t, mesh, shared);
  equal(second.sidecar.id, first.sidecar.id);
});
