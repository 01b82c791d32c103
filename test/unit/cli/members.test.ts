/** The commands that join the mesh — sidecar, run, expose, call — against a hub of this process, on real sockets. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { askThrough } from '../../../src/cli/demo-apps.ts';
import { createHub } from '../../../src/node.ts';
import { type OwnHub, type Running, startCommand, startOwnHub } from '../../support/command.ts';
import type { MemoryProcessOptions } from '../../support/memory-process.ts';

interface World extends OwnHub {
  /** Target of an application that says who called. */
  readonly app: string;
  /** Starts a command; one that still runs when the test is over is told to end. */
  start(argv: readonly string[], options?: Partial<MemoryProcessOptions>): Running;
}

async function createWorld(t: TestContext): Promise<World> {
  const running: Running[] = [];
  t.after(async () => {
    for (const { process, code } of running.reverse()) {
      process.send('SIGTERM');
      await code;
    }
  });
  const own = await startOwnHub(t);
  const server = createServer((request, response) => response.end(`caller ${request.headers['x-skein-client-id']}`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    ...own,
    app: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    start(argv, options = {}) {
      const command = startCommand(argv, { folder: own.folder, ...options });
      running.push(command);
      return command;
    },
  };
}

interface Ready {
  readonly event: string;
  readonly role: string;
  readonly addresses: Readonly<Record<string, string>>;
}

async function readyOf({ process, code }: Running): Promise<Ready> {
  const early = code.then((exit) => Promise.reject(new Error(`ended with ${exit}: ${process.err()}`)));
  await Promise.race([process.waitForOut(/\n/), early]);
  return JSON.parse(process.out());
}

test('sidecar prints one ready line, carries calls, drains at SIGTERM and exits with 0', async (t) => {
  const { hub, app, token, start } = await createWorld(t);
  const api = start([
    'sidecar',
    '--hub',
    hub.url,
    '--token',
    await token('api'),
    '--expose',
    `api=${app}`,
    '--log',
    'json',
  ]);
  deepEqual(await readyOf(api), { event: 'ready', role: 'sidecar', addresses: {} });
  const web = start([
    ...['sidecar', '--hub', hub.url, '--token', await token('web'), '--listen-http', '127.0.0.1:0'],
    ...['--listen-tcp', 'db=127.0.0.1:0', '--admin', '127.0.0.1:0', '--log', 'json'],
  ]);
  const { addresses } = await readyOf(web);
  deepEqual(Object.keys(addresses).sort(), ['admin', 'http', 'tcp:db']);
  match(addresses.http ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);
  match(addresses['tcp:db'] ?? '', /^127\.0\.0\.1:\d+$/);
  match(addresses.admin ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);
  const answer = await askThrough(addresses.http ?? '', 'http://api.mesh/');
  deepEqual(answer, { status: 200, text: 'caller spiffe://skein.mesh/ns/default/sa/web' });
  web.process.send('SIGTERM');
  equal(await web.code, 0);
  equal(web.process.out().split('\n').length, 2, 'stdout holds the ready line alone');
  for (const line of web.process.err().trimEnd().split('\n')) JSON.parse(line);
});

test('a second signal ends a sidecar at once', async (t) => {
  const { hub, token, start } = await createWorld(t);
  const line = [
    'sidecar',
    '--hub',
    hub.url,
    '--token',
    await token('web'),
    '--listen-http',
    '127.0.0.1:0',
    '--log',
    'json',
  ];
  const running = start(line);
  await readyOf(running);
  running.process.send('SIGTERM');
  deepEqual(running.process.exited, []);
  running.process.send('SIGTERM');
  equal(await running.code, 1);
});

test('a token that was used is refused with 4', async (t) => {
  const { hub, token, start } = await createWorld(t);
  const line = [
    'sidecar',
    '--hub',
    hub.url,
    '--token',
    await token('web'),
    '--listen-http',
    '127.0.0.1:0',
    '--log',
    'json',
  ];
  await readyOf(start(line));
  const { process, code } = start(line);
  equal(await code, 4);
  equal(process.out(), '');
  match(process.err(), /SKEIN_TOKEN_USED/);
  match(process.err(), /"remedy":/);
});

test('a name that the token does not grant is refused with 4', async (t) => {
  const { hub, app, token, start } = await createWorld(t);
  const { process, code } = start([
    'sidecar',
    '--hub',
    hub.url,
    '--token',
    await token('api'),
    '--expose',
    `web=${app}`,
  ]);
  equal(await code, 4);
  match(process.err(), /SKEIN_NAME_NOT_GRANTED/);
});

test('a sidecar that would do nothing is a usage error', async (t) => {
  const { hub, token, start } = await createWorld(t);
  const { process, code } = start(['sidecar', '--hub', hub.url, '--token', await token('api')]);
  equal(await code, 2);
  match(process.err(), /remedy: .*--expose/);
});

test('a hub that is away is tried until it is there, and each failure is told', async (t) => {
  const { hub, folder, token, start } = await createWorld(t);
  const text = await token('web');
  const port = Number(hub.address.split(':')[1]);
  await hub.close();
  const line = ['sidecar', '--hub', hub.url, '--token', text, '--listen-http', '127.0.0.1:0', '--log', 'json'];
  const running = start(line);
  await running.process.waitForErr(/"event":"hub-unreachable"[\s\S]*"event":"hub-unreachable"[^\n]*\n/);
  const told = running.process
    .err()
    .split('\n')
    .filter((text) => text.includes('"hub-unreachable"'));
  for (const text of told) match(text, /connection refused.*"remedy":"Check [^"]+","retry":"for ever"/);
  equal(running.process.out(), '');
  const back = await createHub({ listen: { host: '127.0.0.1', port }, dataFolder: join(folder, 'hub') });
  t.after(() => back.close());
  equal((await readyOf(running)).role, 'sidecar');
});

test('a sidecar that waits for its hub leaves at SIGTERM with 0', async (t) => {
  const { hub, token, start } = await createWorld(t);
  const text = await token('web');
  await hub.close();
  const { process, code } = start(['sidecar', '--hub', hub.url, '--token', text, '--listen-http', '127.0.0.1:0']);
  await process.waitForErr(/hub-unreachable/);
  process.send('SIGTERM');
  equal(await code, 0);
  equal(process.out(), '');
});

test('a sidecar with --data needs its token once', async (t) => {
  const { hub, token, start } = await createWorld(t);
  const line = ['sidecar', '--hub', hub.url, '--data', 'identity', '--listen-http', '127.0.0.1:0', '--log', 'json'];
  const first = start([...line, '--token', await token('web')]);
  await readyOf(first);
  first.process.send('SIGINT');
  equal(await first.code, 0);
  await readyOf(start(line));
});

test('sidecar takes flags before environment before skein.yaml', async (t) => {
  const { hub, folder, app, token, start } = await createWorld(t);
  const yaml = `hub: ws://127.0.0.1:1\ntoken: \${TOKEN}\nexpose: [{ service: api, target: '${app}' }]\nlisten: { http: 'nowhere' }\n`;
  await writeFile(join(folder, 'bad.yaml'), yaml);
  const bad = start(['sidecar', '--config', 'bad.yaml'], { env: { TOKEN: 'x' } });
  equal(await bad.code, 2);
  match(bad.process.err(), /listen\.http: /);

  await writeFile(join(folder, 'skein.yaml'), yaml.replace("'nowhere'", "'127.0.0.1:0'"));
  const env = { TOKEN: await token('api'), SKEIN_HUB: hub.url, SKEIN_ADMIN: '127.0.0.1:0' };
  const running = start(['sidecar', '--config', 'skein.yaml', '--log', 'json'], { env });
  const { addresses } = await readyOf(running);
  deepEqual(Object.keys(addresses).sort(), ['admin', 'http']);
});

test('run starts its command when the mesh is ready, and ends as it does', async (t) => {
  const { hub, app, token, start } = await createWorld(t);
  await readyOf(
    start(['sidecar', '--hub', hub.url, '--token', await token('api'), '--expose', `api=${app}`, '--log', 'json']),
  );
  const answers: object[] = [];
  const { process, code } = start(['run', '--hub', hub.url, '--', 'client', '--hub', 'x'], {
    env: { SKEIN_TOKEN: await token('web'), PATH: '/bin' },
    child: async ({ env }) => {
      answers.push(await askThrough(env.HTTP_PROXY ?? '', 'http://api.mesh/'));
      return 7;
    },
  });
  equal(await code, 7, process.err());
  deepEqual(answers, [{ status: 200, text: 'caller spiffe://skein.mesh/ns/default/sa/web' }]);
  const [child] = process.spawned;
  deepEqual([child?.command, child?.args], ['client', ['--hub', 'x']]);
  deepEqual([child?.env.PATH, child?.env.SKEIN_TOKEN], ['/bin', undefined]);
  equal(process.out(), '', 'stdout belongs to the command');
});

test('run and call are whom their token names, whoever was here before, and stay so without it', async (t) => {
  const { hub, app, token, start } = await createWorld(t);
  const api = ['sidecar', '--hub', hub.url, '--token', await token('api'), '--expose', `api=${app}`, '--log', 'json'];
  await readyOf(start(api));
  const web = await token('web');
  const shop = await token('shop');
  const lines: readonly (readonly [given: string[], caller: string])[] = [
    [['--token', web], 'web'],
    [['--token', shop], 'shop'],
    [['--token', web], 'web'],
    [[], 'web'],
  ];
  for (const [given, caller] of lines) {
    const { process, code } = start(['call', 'api/', '--hub', hub.url, ...given]);
    equal(await code, 0, process.err());
    equal(process.out(), `caller spiffe://skein.mesh/ns/default/sa/${caller}`);
  }
});

test('run passes signals on, and leaves when its command has ended', async (t) => {
  const { hub, token, start } = await createWorld(t);
  let end: (code: number | string) => void = () => undefined;
  let begun: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const { process, code } = start(['run', '--hub', hub.url, '--token', await token('web'), '--', 'server'], {
    child: () =>
      new Promise((resolve) => {
        end = resolve;
        begun();
      }),
  });
  await ready;
  process.send('SIGTERM');
  process.send('SIGTERM');
  deepEqual([process.spawned[0]?.signals, process.exited], [['SIGTERM', 'SIGTERM'], []]);
  end('SIGTERM');
  equal(await code, 143);
});

test('run that is stopped before its command could begin has not succeeded', async (t) => {
  const { hub, token, start } = await createWorld(t);
  const text = await token('web');
  await hub.close();
  const { process, code } = start(['run', '--hub', hub.url, '--token', text, '--', 'client']);
  await process.waitForErr(/hub-unreachable/);
  process.send('SIGINT');
  equal(await code, 130);
  deepEqual(process.spawned, []);
});

test("on the hub's machine nobody types a token: hub, expose, call", async (t) => {
  const { app, start } = await createWorld(t);
  const env = { SKEIN_HOME: 'home' };
  const hub = start(['hub', '--listen', '127.0.0.1:0', '--data', 'other', '--log', 'json'], { env });
  equal((await readyOf(hub)).role, 'hub');
  const exposed = start(['expose', 'api', app, '--log', 'json'], { env });
  equal((await readyOf(exposed)).role, 'sidecar');
  const caller = 'caller spiffe://skein.mesh/ns/default/sa/cli';
  for (const argv of [
    ['call', 'api/'],
    ['call', 'api', '/x'],
    ['call', 'http://api.mesh/'],
  ]) {
    const { process, code } = start(argv, { env });
    equal(await code, 0, process.err());
    equal(process.out(), caller);
  }
  const enrolled = hub.process.err().match(/"event":"sidecar-enrolled"/g);
  equal(enrolled?.length, 2, 'one identity for expose, one for all calls');

  const failing = start(['call', 'nobody/'], { env });
  ok((await failing.code) !== 0);
  match(failing.process.err(), /remedy: /);
});

test('status shows the hubs of a sidecar, each with its state', async (t) => {
  const { hub, token, start } = await createWorld(t);
  const nowhere = 'ws://127.0.0.1:1';
  const sidecar = start([
    ...['sidecar', '--hub', `${nowhere},${hub.url}`, '--token', await token('web')],
    ...['--admin', '127.0.0.1:0', '--log', 'json'],
  ]);
  const { admin = '' } = (await readyOf(sidecar)).addresses;
  const table = start(['status', '--sidecar', admin]);
  equal(await table.code, 0, table.process.err());
  match(table.process.out(), /^identity +spiffe:\/\/skein\.mesh\/ns\/default\/sa\/web$/m);
  match(table.process.out(), new RegExp(`^${nowhere} +(?:waiting|dialling) .*Cannot reach`, 'm'));
  match(table.process.out(), new RegExp(`^${hub.url} +primary +all +[\\d.]+ ms$`, 'm'));
  const json = start(['status', '-o', 'json', '--sidecar', admin.replace('http://', '')]);
  equal(await json.code, 0);
  const { hubs } = JSON.parse(json.process.out());
  deepEqual([hubs[0].reason, hubs[1].primary], ['hub-unreachable', true]);
  const failing = start(['status', '--sidecar', '127.0.0.1:1']);
  equal(await failing.code, 3);
  match(failing.process.err(), /Cannot reach sidecar http:\/\/127\.0\.0\.1:1/);
});

test('paths shows the ways to each peer, and call -v the one of its answer', async (t) => {
  const { hub, app, token, start } = await createWorld(t);
  const join = ['--hub', hub.url, '--log', 'json'];
  const api = start(['sidecar', ...join, '--token', await token('api'), '--expose', `api=${app}`, '--no-direct']);
  await readyOf(api);
  const web = start([
    ...['sidecar', ...join, '--token', await token('web'), '--listen-http', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
  ]);
  const { admin = '', http = '' } = (await readyOf(web)).addresses;
  const none = start(['paths', '--sidecar', admin]);
  equal(await none.code, 0, none.process.err());
  match(none.process.err(), /no sessions/);
  equal((await askThrough(http, 'http://api.mesh/')).status, 200);
  const table = start(['paths', '--sidecar', admin]);
  equal(await table.code, 0, table.process.err());
  const [titles = '', row = ''] = table.process.out().split('\n');
  match(titles, /^PEER +INSTANCE +PATH +VIA +STATE +RTT +AGE +SWITCHES +RESUMES +WHY NOT DIRECT$/);
  match(row, new RegExp(`^api\\.default +\\S+ +relay +${hub.url} +active +(?:[\\d.]+ ms)? +\\d+ s +0 +0 +\\S`));
  for (const [peer, count] of [
    ['api', 1],
    ['api.default', 1],
    ['spiffe://skein.mesh/ns/default/sa/api', 1],
    ['web', 0],
  ] as const) {
    const json = start(['paths', peer, '-o', 'json', '--sidecar', admin]);
    equal(await json.code, 0);
    equal(JSON.parse(json.process.out()).peers.length, count, peer);
  }
  const environment = start(['paths'], { env: { SKEIN_SIDECAR: admin } });
  equal(await environment.code, 0, environment.process.err());
  const unnamed = start(['paths']);
  equal(await unnamed.code, 2);
  match(unnamed.process.err(), /--sidecar/);

  const call = start(['call', '-v', 'api/', '--hub', hub.url, '--token', await token('cli')]);
  equal(await call.code, 0, call.process.err());
  match(call.process.err(), new RegExp(`^path: relay by ${hub.url}, [\\d.]+ ms there and back$`, 'm'));
  match(call.process.out(), /^caller /);
});

test('call tells at once that no hub is there, with 3', async (t) => {
  const { hub, token, start } = await createWorld(t);
  const text = await token('web');
  await hub.close();
  const { process, code } = start(['call', 'api/', '--hub', hub.url, '--token', text]);
  equal(await code, 3);
  match(process.err(), /SKEIN_HUB_UNREACHABLE/);
});

test('demo makes its call, prints one ready line, and answers through its proxy', async (t) => {
  const { start } = await createWorld(t);
  const running = start(['demo', '--log', 'json']);
  const { role, addresses } = await readyOf(running);
  deepEqual([role, Object.keys(addresses)], ['demo', ['hub', 'http']]);
  const { status, text } = await askThrough(addresses.http ?? '', 'http://hello.mesh/');
  equal(status, 200);
  match(text, /spiffe:\/\/skein\.mesh\/ns\/default\/sa\/web/);
  running.process.send('SIGTERM');
  equal(await running.code, 0);
  equal(running.process.out().split('\n').length, 2);
});

test('demo shows a person the path, the identities and what to try', async (t) => {
  const { start } = await createWorld(t);
  const { process } = start(['demo']);
  await process.waitForOut(/Ctrl-C/);
  for (const part of [
    /^demo ready hub=ws:\S+ http=http:\S+$/m,
    /web → sidecar A → hub \(relay\) → sidecar B → hello/,
    /answer +200 in \d+ ms: hello from site B, spiffe:\S+\/sa\/web$/m,
    /passed on [1-9]\d* sealed records, [1-9]\d* bytes/,
    /curl -x http:\S+ http:\/\/hello\.mesh\/$/m,
  ]) {
    match(process.out(), part);
  }
  const web = /curl (http:\/\/127\.0\.0\.1:\d+)\/$/m.exec(process.out())?.[1] ?? '';
  match(await (await fetch(`${web}/`)).text(), /got 200: hello from site B/);
});
