/** The command of `skein run`: what it is told, and how its end becomes an exit code. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { childEnvironment, runChild } from '../../../src/cli/child.ts';
import { memoryProcess } from '../../support/memory-process.ts';

const PROXY = 'http://127.0.0.1:8080';

test('the environment of a child leads HTTP clients into the mesh', () => {
  const env = childEnvironment({ PATH: '/bin', HTTP_PROXY: 'http://other' }, PROXY);
  deepEqual([env.PATH, env.HTTP_PROXY, env.http_proxy], ['/bin', PROXY, PROXY]);
  ok(env.NO_PROXY?.includes('127.0.0.1'));
});

test('the environment of a child holds none of our secrets', () => {
  const secrets = {
    SKEIN_TOKEN: 'hunter2',
    SKEIN_ADMIN_TOKEN: 'hunter2',
    skein_token: 'hunter2',
    SKEIN_STORE: 'hunter2',
  };
  const env = childEnvironment({ ...secrets, SKEIN_HUB: 'wss://hub', MY_TOKEN: 'mine' }, PROXY);
  ok(!JSON.stringify(env).includes('hunter2'));
  deepEqual([env.SKEIN_HUB, env.MY_TOKEN], ['wss://hub', 'mine']);
});

const ends: readonly [end: number | string, code: number][] = [
  [0, 0],
  [7, 7],
  ['SIGTERM', 143],
  ['SIGKILL', 137],
];
for (const [end, code] of ends) {
  test(`a child that ends with ${end} makes the exit code ${code}`, async () => {
    const process = memoryProcess({ folder: '/', child: () => Promise.resolve(end) });
    equal(await runChild(process, { command: 'x', args: ['-y'], env: {} }), code);
    deepEqual(
      process.spawned.map(({ command, args }) => [command, args]),
      [['x', ['-y']]],
    );
  });
}

test('signals are passed on', async () => {
  let end: (code: number) => void = () => undefined;
  const process = memoryProcess({
    folder: '/',
    child: () =>
      new Promise((resolve) => {
        end = resolve;
      }),
  });
  const code = runChild(process, { command: 'x', args: [], env: {} });
  process.send('SIGTERM');
  process.send('SIGINT');
  end(3);
  equal(await code, 3);
  deepEqual(process.spawned[0]?.signals, ['SIGTERM', 'SIGINT']);
});

test('a signal that comes while the command starts does not end the process that starts it', async () => {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let listening: boolean[] = [];
  const process = memoryProcess({
    folder: '/',
    child: () => {
      listening = signals.map((signal) => process.listensFor(signal));
      return Promise.resolve(0);
    },
  });
  equal(await runChild(process, { command: 'x', args: [], env: {} }), 0);
  deepEqual(listening, [true, true, true]);
});

test('a command that is not there makes the exit code 127 and says so', async () => {
  const process = memoryProcess({
    folder: '/',
    child: () => Promise.reject(Object.assign(new Error('spawn x ENOENT'), { code: 'ENOENT' })),
  });
  equal(await runChild(process, { command: 'x', args: [], env: {} }), 127);
  match(process.err(), /Cannot run "x": no such command/);
});
