/** Signals and exit codes of real `skein` processes: what a supervisor, a shell and a person at the keys rely on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { TestMesh } from '../support/mesh.ts';
import { Program } from '../support/process.ts';
import { root } from '../support/repository.ts';

/** Half of what a drain may take, and of what a session waits for that may come back; both take 30 s, and a busy machine a part of this. */
const AT_ONCE_MS = 15_000;

describe('Commands as processes', () => {
  let mesh: TestMesh;
  /** Takes requests and never answers. */
  let silent: Server;
  let arrived: Promise<unknown>;
  const started: Program[] = [];

  before(async () => {
    mesh = await TestMesh.start();
    silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    arrived = once(silent, 'request');
  });
  after(async () => {
    for (const program of started) await program.kill();
    await mesh?.close();
    silent?.closeAllConnections();
    silent?.close();
  });

  /** `skein run … -- sh -c <script>`, joined by a token of its own. */
  async function startRun(script: string): Promise<Program> {
    const token = await mesh.createToken(['job']);
    const args = ['run', '--hub', mesh.hubUrl, '--', 'sh', '-c', script];
    const program = new Program(process.execPath, [join(root, 'bin/skein'), ...args], {
      name: 'skein run',
      env: { HOME: mesh.folder, SKEIN_TOKEN: token },
    });
    started.push(program);
    return program;
  }

  const ends: readonly [script: string, code: number][] = [
    ['exit 0', 0],
    ['exit 7', 7],
    ['kill -KILL $$', 137],
    ['no-such-command-anywhere', 127],
    // The child's streams are ours, its environment has the way in and none of our secrets.
    ['test -n "$HTTP_PROXY" && test "$HTTP_PROXY" = "$http_proxy" && test -z "$SKEIN_TOKEN" && echo inside', 0],
  ];
  for (const [script, code] of ends) {
    it(`run -- sh -c '${script}' ends with ${code}`, async () => {
      const program = await startRun(script);
      assert.equal((await program.waitForExit()).code, code, program.tail());
      assert.equal(program.stdout, script.includes('inside') ? 'inside\n' : '');
    });
  }

  it('run passes SIGTERM on, and ends as its command decides', async () => {
    const program = await startRun('trap "echo told; exit 9" TERM; echo ready; while :; do sleep 0.1; done');
    await program.waitForOutput(/ready/);
    program.signal('SIGTERM');
    assert.equal((await program.waitForExit()).code, 9, program.tail());
    assert.equal(program.stdout, 'ready\ntold\n');
  });

  it('A sidecar that drains waits for what was begun; a second SIGTERM ends it at once', async () => {
    const address = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const callee = await mesh.startSidecar({ name: 'callee', services: ['api'], expose: [`api=${address}`] });
    const caller = await mesh.startSidecar({ name: 'caller', services: ['web'] });
    const answer = ask({ through: caller.http, host: 'api.mesh' }).then(
      ({ status }) => status,
      () => 0,
    );
    await arrived;
    callee.program.signal('SIGTERM');
    await callee.program.waitForLog(({ event }) => event === 'sidecar-draining');
    assert.equal(callee.program.hasExited, false);
    const begun = performance.now();
    callee.program.signal('SIGTERM');
    const { code } = await callee.program.waitForExit(AT_ONCE_MS);
    const figures = { exit: code, ms: Math.round(performance.now() - begun), answer: await answer };
    printFigures('second signal', { ...figures, answerMs: Math.round(performance.now() - begun) });
    assert.equal(code, 1);
    // It was told, and so does not wait for a session that may come back.
    // A GET may be done twice and is tried elsewhere, where nobody is: what became of the first attempt is told, or that.
    assert.ok([502, 503].includes(figures.answer), `${figures.answer}`);
    assert.ok(performance.now() - begun < AT_ONCE_MS);
    assert.equal(callee.program.stdout.trim().split('\n').length, 1, 'stdout holds the ready line alone');
  });

  it('A sidecar that would listen where somebody listens does not spend its token', async () => {
    const token = await mesh.createToken(['web']);
    const { port } = silent.address() as AddressInfo;
    const args = ['--listen-http', `127.0.0.1:${port}`];
    const busy = await mesh.launchSidecar({ name: 'busy', token, http: false, args });
    assert.equal((await busy.waitForExit()).code, 2, busy.tail());
    assert.match(busy.tail(), /EADDRINUSE|in use/);
    await mesh.startSidecar({ name: 'second', token });
  });
});
