/** `skein check` against a hub of this process: each step, what stands in the way, and what it must not use up. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { createMesh, type Hub } from '../../../src/node.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { type OwnHub, runCommand, type Said, startOwnHub } from '../../support/command.ts';
import { TestAuthority } from '../../support/nginx.ts';

interface World extends OwnHub {
  check(args: readonly string[], env?: Record<string, string>): Promise<Said>;
}

interface Report {
  readonly hubs: readonly { readonly hub: string; readonly steps: readonly Step[] }[];
  readonly nat: { readonly kind: string; readonly observedAddress: string | null; readonly steps: readonly Step[] };
}

interface Step {
  readonly name: string;
  readonly state: string;
  readonly ms?: number;
  readonly detail: string;
  readonly remedy?: string;
}

async function createWorld(t: TestContext): Promise<World> {
  const own = await startOwnHub(t);
  return { ...own, check: (args, env = {}) => runCommand(['check', ...args], { folder: own.folder, env }) };
}

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Something between this machine and the hub, which has its way with the heads of answers. */
function startMiddleBox(t: TestContext, hub: Hub, change: (head: string) => string): Promise<number> {
  const server = createServer((near) => {
    const far = connect(Number(new URL(hub.url).port), '127.0.0.1');
    let head: string | undefined = '';
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.pipe(far);
    far.on('data', (chunk) => {
      if (head === undefined) return near.write(chunk);
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return undefined;
      near.write(Buffer.from(change(head.slice(0, end)) + head.slice(end), 'latin1'));
      head = undefined;
      return undefined;
    });
  });
  return listen(t, server);
}

const stepsOf = (out: string): Record<string, Step> =>
  Object.fromEntries(((JSON.parse(out) as Report).hubs[0]?.steps ?? []).map((step) => [step.name, step]));

test('Before anything is set up it tells how far this machine comes', async (t) => {
  const { hub, check } = await createWorld(t);
  const { code, out, err } = await check(['--hub', hub.url]);
  equal(code, 0, err);
  const { host } = new URL(hub.url);
  match(out, new RegExp(`^${hub.url}$`, 'm'));
  match(out, new RegExp(`^tcp +ok +[\\d.]+ ms +${host}$`, 'm'));
  match(out, /^websocket +ok +[\d.]+ ms +skein\.v1$/m);
  match(out, /^skein +ok +[\d.]+ ms +speaks it; with --token or --data/m);
  match(out, /^clock +ok .*to the second$/m);
  match(out, /^nat +ok +none that hubs on this machine could see$/m);

  const json = await check(['--hub', hub.url.replace('127.0.0.1', 'localhost'), '-o', 'json']);
  equal(json.code, 0);
  const report = JSON.parse(json.out) as Report;
  const [{ steps = [] } = {}] = report.hubs;
  deepEqual(
    steps.map(({ name, state }) => `${name} ${state}`),
    ['dns ok', 'tcp ok', 'websocket ok', 'skein ok', 'clock ok'],
  );
  ok(steps.slice(0, 4).every(({ ms = -1 }) => ms >= 0));
});

test('A token shows whether it is the right hub, and is not used up', async (t) => {
  const { hub, token, check } = await createWorld(t);
  const text = await token('web');
  for (let i = 0; i < 2; i++) {
    const { code, out } = await check(['--hub', hub.url, '--token', text, '-o', 'json']);
    equal(code, 0, out);
    match(stepsOf(out).skein?.detail ?? '', /the hub that the token names/);
  }
  const mesh = await createMesh({ hub: hub.url, token: text });
  await mesh.close();

  const other = await createWorld(t);
  const wrong = await check(['--hub', hub.url, '--token', await other.token('web'), '-o', 'json']);
  equal(wrong.code, 4, wrong.out);
  equal(stepsOf(wrong.out).skein?.state, 'failed');
});

test('An identity shows whether the hub takes it, and stays as it is', async (t) => {
  const { hub, folder, token, check } = await createWorld(t);
  const data = join(folder, 'web');
  const mesh = await createMesh({ hub: hub.url, token: await token('web'), data });
  await mesh.close();
  const before = await readFile(join(data, 'identity.json'), 'utf8');
  const { code, out } = await check(['--hub', hub.url, '--data', data, '-o', 'json']);
  equal(code, 0, out);
  match(stepsOf(out).skein?.detail ?? '', /takes spiffe:\/\/skein\.mesh\/ns\/default\/sa\/web$/);
  equal(await readFile(join(data, 'identity.json'), 'utf8'), before);

  const other = await createWorld(t);
  const refused = await check(['--hub', other.hub.url, '--data', data, '-o', 'json']);
  equal(refused.code, 4, refused.out);
});

test('Where it does not come further, it says so and what to do, with 3', async (t) => {
  const { hub, check } = await createWorld(t);
  const web = await listen(
    t,
    createHttpServer((_, response) => response.writeHead(404).end()),
  );
  const mute = await listen(
    t,
    createServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-nobody\r\n')),
  );
  const failures: readonly [url: string, step: string, detail: RegExp][] = [
    ['ws://nobody.invalid:7000', 'dns', /ENOTFOUND|EAI_AGAIN/],
    ['ws://127.0.0.1:1', 'tcp', /REFUSED/i],
    [`ws://127.0.0.1:${web}`, 'websocket', /404/],
    [`ws://127.0.0.1:${mute}`, 'websocket', /./],
    [hub.url.replace('ws:', 'wss:'), 'tls', /./],
  ];
  for (const [url, name, detail] of failures) {
    const { code, out } = await check(['--hub', url, '-o', 'json']);
    equal(code, 3, `${url}: ${out}`);
    const step = stepsOf(out)[name];
    equal(step?.state, 'failed', out);
    match(step?.detail ?? '', detail);
    ok((step?.remedy ?? '').length > 20, `${url}: ${step?.remedy}`);
  }
  const both = await check(['--hub', `ws://127.0.0.1:1,${hub.url}`, '-o', 'json'], {
    HTTPS_PROXY: 'http://proxy.example:3128',
  });
  equal(both.code, 3);
  const report = JSON.parse(both.out) as Report;
  equal(report.hubs[1]?.steps.find(({ name }) => name === 'skein')?.state, 'ok');
  match(report.hubs[0]?.steps.at(-1)?.remedy ?? '', /HTTPS_PROXY is set/);
});

test('What stands between is noticed: proxies, those that end WebSockets themselves, and clocks that differ', async (t) => {
  const { hub, check } = await createWorld(t);
  const late = new Date(Date.now() - 420_000).toUTCString();
  const proxy = await startMiddleBox(t, hub, (head) =>
    head.includes(' 101 ') ? `${head}\r\nVia: 1.1 box.example` : head.replace(/^date: .*$/im, `Date: ${late}`),
  );
  const passed = await check(['--hub', `ws://127.0.0.1:${proxy}`, '-o', 'json']);
  equal(passed.code, 0, passed.out);
  const { websocket, clock } = stepsOf(passed.out);
  deepEqual([websocket?.state, websocket?.detail], ['warning', 'skein.v1, through a proxy (via: 1.1 box.example)']);
  // Seven minutes are too much for credentials, and no reason not to come through.
  deepEqual([clock?.state, /^4(?:19|20|21) s ahead/.test(clock?.detail ?? '')], ['warning', true], clock?.detail);
  match(clock?.remedy ?? '', /NTP/);

  const ending = await startMiddleBox(t, hub, (head) => `${head}\r\nSec-WebSocket-Extensions: permessage-deflate`);
  const refused = await check(['--hub', `ws://127.0.0.1:${ending}`, '-o', 'json']);
  equal(refused.code, 3, refused.out);
  match(stepsOf(refused.out).websocket?.detail ?? '', /speaks WebSocket itself \(permessage-deflate\)/);
});

test('A certificate that is not trusted is told of as such', { skip: lacking('openssl') }, async (t) => {
  const { hub, check } = await createWorld(t);
  const authority = new TestAuthority();
  t.after(() => authority.remove());
  const { certificatePath, keyPath } = authority.issue('hub', ['DNS:localhost']);
  const options = { key: await readFile(keyPath), cert: await readFile(certificatePath) };
  const port = await listen(
    t,
    createTlsServer(options, (near) => {
      const far = connect(Number(new URL(hub.url).port), '127.0.0.1');
      near.pipe(far).pipe(near);
      near.on('error', () => far.destroy());
      far.on('error', () => near.destroy());
    }),
  );
  const { code, out } = await check(['--hub', `wss://localhost:${port}`, '-o', 'json']);
  equal(code, 3, out);
  const { tls } = stepsOf(out);
  equal(tls?.state, 'failed', out);
  match(tls?.remedy ?? '', /NODE_EXTRA_CA_CERTS/);
});
