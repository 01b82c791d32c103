/** A permissive mesh: it lets pass what nobody decides, counts it, and says so in every command, until the policy is gone. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { createMesh } from '../../../src/node.ts';
import { runCommand, startCommand, startOwnHub } from '../../support/command.ts';
import { EventLog } from '../../support/event-log.ts';

const BANNER = /^THIS MESH IS PERMISSIVE: .*AuthorizationPolicy\/mesh\/permissive\)$/gm;

test('skein hub --permissive: every command says it once, and what no rule decides passes and is logged', async (t) => {
  const { folder } = await startOwnHub(t);
  const options = { folder, env: { SKEIN_ADMIN_TOKEN: 'a-token-of-this-test' } };
  const argv = [
    'hub',
    '--permissive',
    '--no-starter-policy',
    '--store',
    'memory',
    '--listen',
    '127.0.0.1:0',
    '--log',
    'json',
  ];
  const running = startCommand(argv, options);
  t.after(async () => {
    running.process.send('SIGTERM');
    await running.code;
  });
  await running.process.waitForOut(/\n/);
  const { hub } = (JSON.parse(running.process.out()) as { addresses: { hub: string } }).addresses;
  match(running.process.err(), /"event":"mesh-permissive"/);
  const run = (...words: readonly string[]) => runCommand([...words, '--hub', hub], options);

  const log = new EventLog();
  const join = async (name: string) => {
    const { out } = await run('token', 'create', '--service', name);
    const member = await createMesh({ hub, token: out.trim(), direct: false, log });
    t.after(() => member.close());
    return member;
  };
  const [api, web] = [await join('api'), await join('web')];
  await api.serve('api', () => new Response('served'));
  await log.waitFor('mesh-permissive');
  equal(await (await web.fetch('http://api.mesh/')).text(), 'served');
  deepEqual(
    log.of('request-would-be-denied').map(({ fields }) => fields.rule),
    ['default-deny'],
  );
  for (const words of [
    ['status'],
    ['get'],
    ['services'],
    ['token', 'create', '--service', 'x'],
    ['get', '-o', 'json'],
  ]) {
    const { code, err } = await run(...words);
    equal(code, 0, err);
    equal(err.match(BANNER)?.length, 1, `${words.join(' ')}: ${err}`);
  }
  const gone = await run('delete', 'AuthorizationPolicy/permissive', '-n', 'mesh');
  ok(!/PERMISSIVE/.test(gone.err), gone.err);
  const { err } = await run('status');
  ok(!/PERMISSIVE/.test(err), err);
});
