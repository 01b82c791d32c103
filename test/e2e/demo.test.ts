import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { ask } from '../support/load.ts';
import { Program, runProgram } from '../support/process.ts';

/** Dials until nobody listens there any more. */
async function untilRefused(address: string): Promise<void> {
  const { hostname, port } = new URL(`tcp://${address}`);
  const deadline = performance.now() + 60_000;
  for (;;) {
    const socket = connect({ host: hostname, port: Number(port) });
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (!isOpen) return;
    assert.ok(performance.now() < deadline, `${address} is still open`);
  }
}

describe('npm start', () => {
  const home = mkdtempSync(join(tmpdir(), 'skein-demo-'));
  const started: Program[] = [];
  const start = (...args: string[]) => {
    const program = new Program('npm', ['start', '--silent', ...args], {
      name: 'npm start',
      env: { HOME: home, XDG_CONFIG_HOME: home, XDG_STATE_HOME: home },
      readyWithinMs: 120_000,
    });
    started.push(program);
    return program;
  };
  after(async () => {
    for (const program of started) await program.kill();
    rmSync(home, { recursive: true, force: true });
  });

  it('Prints one ready line, answers across the mesh, and ends clean', { skip: lacking('curl') }, async () => {
    const begun = performance.now();
    const demo = start('--', '--log', 'json');
    const { role, addresses } = await demo.ready();
    const readyMs = Math.round(performance.now() - begun);
    assert.equal(role, 'demo');
    assert.match(addresses.hub ?? '', /^ws:\/\/127\.0\.0\.1:\d+$/);
    assert.match(addresses.http ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);

    // A foreign client, as the README shows it.
    const out = await runProgram('curl', [
      '-sS',
      '-w',
      ' %{http_code}',
      '-x',
      addresses.http as string,
      'http://hello.mesh/',
    ]);
    assert.match(out, / 200$/);
    const through = new URL(addresses.http as string).host;
    const answer = await ask({ through, host: 'hello.mesh' });
    assert.equal(answer.status, 200);
    assert.equal((await ask({ through, host: 'no-such-service.mesh' })).status, 404);
    assert.equal((await ask({ through, host: 'example.com' })).status, 403, 'a sidecar is no open proxy');

    const { code, signal } = await demo.stop();
    printFigures('demo', { readyMs, answer: answer.body.toString().slice(0, 80), exit: code ?? signal });
    assert.equal(demo.stdout.trim().split('\n').length, 1, 'stdout holds the ready line alone');
    // npm passes the signal to its shell, and ends as that does; the program behind them notices, and drains.
    assert.ok(code === 0 || code === 143 || signal === 'SIGTERM', `ended with ${code ?? signal}`);
    await untilRefused(through);
  });

  it('Shows a person the call and what to try', { skip: lacking('curl') }, async () => {
    const demo = start();
    const shown = await demo.waitForOutput(/curl .*hello\.mesh/);
    assert.match(shown, /spiffe:\/\//);
    const command = /curl .*hello\.mesh\S*/.exec(shown)?.[0] ?? '';
    const out = await runProgram('sh', ['-c', `${command} -s -S -o /dev/null -w '%{http_code}'`]);
    assert.equal(out, '200');
    await demo.stop();
  });
});
