/** What a hub is asked to be: where its state is, and that the login of a store is never said. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseCommandLine } from '../../../src/cli/command.ts';
import type { CommandContext } from '../../../src/cli/context.ts';
import { HUB_OPTIONS, type HubSettings, readHubSettings } from '../../../src/cli/hub-settings.ts';
import { createPainter } from '../../../src/cli/output.ts';
import { openSharedStore, type SharedStoreSetting } from '../../../src/cli/shared-store.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import type { Store } from '../../../src/hub/store.ts';
import { nodePlatform } from '../../../src/node.ts';
import { lacking } from '../../runtime/capabilities.ts';
import { memoryProcess } from '../../support/memory-process.ts';
import { NatsServer } from '../../support/nats.ts';
import { NatsAccounts } from '../../support/nats-accounts.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-hub-settings-'));
});
after(() => rm(folder, { recursive: true }));

function createContext(argv: readonly string[], env: Record<string, string> = {}): CommandContext {
  const process = memoryProcess({ folder, env });
  const spec = { name: 'x', summary: '', options: HUB_OPTIONS, examples: [], run: () => Promise.resolve(0) };
  const invocation = parseCommandLine([spec], ['x', ...argv], process.env, {
    ...{ columns: 80, version: '', out: () => undefined, err: () => undefined },
  });
  if (!('input' in invocation)) throw new Error('usage');
  return {
    ...{
      platform: nodePlatform(),
      process,
      input: invocation.input,
      logger: SILENT_LOGGER,
      logFormat: 'text',
      logLevel: 'info',
    },
    ...{ version: '', paint: createPainter(false), print: () => Promise.resolve(), say: () => undefined },
  };
}

const read = (argv: readonly string[], env?: Record<string, string>): Promise<HubSettings> =>
  readHubSettings(createContext(argv, env));

const address = ({ store }: HubSettings): string => (store as SharedStoreSetting).address.reveal();

test('readHubSettings knows the kinds of store, and a shared one keeps the issuer in a folder', async () => {
  equal((await read([])).store, 'file');
  const memory = await read(['--store', 'memory']);
  deepEqual([memory.store, memory.data], ['memory', undefined]);
  const shared = await read(['--store', 'nats://a:1,b:2/mesh']);
  deepEqual([address(shared), shared.data], ['nats://a:1,b:2/mesh', join(folder, 'hub')]);
});

test('the address of a store comes from the flag, a file, the environment or skein.yaml, and is never printable', async () => {
  await writeFile(join(folder, 'store.address'), 'nats://u:hunter2@file\n');
  await writeFile(join(folder, 'skein.yaml'), `store: \${S}\nstoreCredentials: hub.creds\n`);
  const env = { SKEIN_STORE: 'nats://u:hunter2@env', S: 'tls://yaml' };
  equal(address(await read(['--store', '@store.address'], env)), 'nats://u:hunter2@file');
  const fromEnvironment = await read([], env);
  equal(address(fromEnvironment), 'nats://u:hunter2@env');
  ok(!JSON.stringify(fromEnvironment).includes('hunter2'));
  const fromFile = await read(['--config', 'skein.yaml'], { S: 'tls://yaml' });
  deepEqual(
    [address(fromFile), (fromFile.store as SharedStoreSetting).credentials],
    ['tls://yaml', join(folder, 'hub.creds')],
  );
});

for (const text of ['disk', 'nats://', 'nats://u:hunter2@', 'redis://u:hunter2@a', '@missing']) {
  test(`--store ${text.replace('hunter2', '…')} is refused without being quoted`, async () => {
    await rejects(read(['--store', text]), (error: Error & { code?: string }) => {
      equal(error.code, 'SKEIN_CONFIG');
      return !error.message.includes('hunter2');
    });
  });
}

test('a credentials file that is not there is named before any server is asked', async () => {
  const { store } = await read(['--store', 'nats://127.0.0.1:1', '--store-credentials', 'no.creds']);
  const opening = openSharedStore(createContext([]), store as SharedStoreSetting, new AbortController().signal);
  await rejects(opening, { code: 'SKEIN_CONFIG', message: /--store-credentials: no file ".*no\.creds"/ });
});

test('a hub opens its shared store with a file of credentials', { skip: lacking('nats-server') }, async (t) => {
  const accounts = new NatsAccounts();
  const server = await NatsServer.start(accounts.config);
  t.after(() => server.remove());
  await writeFile(join(folder, 'hub.creds'), accounts.createUser().creds);
  const open = async (...credentials: string[]): Promise<Store> => {
    const { store } = await read(['--store', `nats://${server.address}/mesh`, ...credentials]);
    return openSharedStore(createContext([]), store as SharedStoreSetting, new AbortController().signal);
  };
  const store = await open('--store-credentials', 'hub.creds');
  ok((await store.compareAndSet('a', 0, '')) !== undefined);
  await store.close();
  await rejects(open(), { code: 'SKEIN_CONFIG', message: /the server refuses the login/ });
});

test('quotas of an identity come from the file, by known names and as positive numbers', async () => {
  await writeFile(join(folder, 'quotas.yaml'), 'quotas: { callsPerSecond: 10, maxLinksPerKey: 2 }\n');
  deepEqual((await read(['--config', 'quotas.yaml'])).quotas, { callsPerSecond: 10, maxLinksPerKey: 2 });
  deepEqual((await read([])).quotas, {});
  for (const bad of ['{ callsPerSecond: 0 }', '{ callsPerSecond: many }', '{ drainMs: 5 }', '[1]']) {
    await writeFile(join(folder, 'bad.yaml'), `quotas: ${bad}\n`);
    await rejects(read(['--config', 'bad.yaml']), { code: 'SKEIN_CONFIG' }, bad);
  }
});

test('the platforms that a hub trusts come from its file, and every mistake there is told with its place', async () => {
  await writeFile(
    join(folder, 'trust.yaml'),
    `trust:
  - issuer: https://kubernetes.default.svc
    audience: skein
    claims: { kubernetes.io.namespace: [shop, pay] }
    id: ns/{kubernetes.io.namespace}/sa/{kubernetes.io.serviceaccount.name}
  - { issuer: "https://ci.example.com", audience: a, claims: { ref: main }, id: ns/ci/sa/x, services: [], algorithms: [ES256], jwks: "https://ci.example.com/keys" }
`,
  );
  const { trust } = await read(['--config', 'trust.yaml']);
  deepEqual(trust, [
    {
      issuer: 'https://kubernetes.default.svc',
      audience: 'skein',
      claims: { 'kubernetes.io.namespace': ['shop', 'pay'] },
      id: 'ns/{kubernetes.io.namespace}/sa/{kubernetes.io.serviceaccount.name}',
    },
    {
      ...{ issuer: 'https://ci.example.com', audience: 'a', claims: { ref: 'main' }, id: 'ns/ci/sa/x', services: [] },
      ...{ algorithms: ['ES256'], jwks: 'https://ci.example.com/keys' },
    },
  ]);
  await writeFile(join(folder, 'wrong.yaml'), 'trust: [{ issuer: x, audience: 7, claims: 7, id: y, other: z }]');
  await rejects(read(['--config', 'wrong.yaml']), ({ code, details }: SkeinError) => {
    const places = (details.issues as { path: string }[]).map(({ path }) => path);
    deepEqual([code, places.sort()], ['SKEIN_CONFIG', ['trust[0].audience', 'trust[0].claims', 'trust[0].other']]);
    return true;
  });
});

test('federation of the file names trust domains, with bundles in files beside it', async () => {
  await mkdir(join(folder, 'etc'), { recursive: true });
  const file = join(folder, 'etc', 'hub.yaml');
  const entry = 'trustDomain: partner.example, bundleEndpoint: https://partner.example/bundle';
  await writeFile(join(folder, 'etc', 'partner.json'), '{"keys":[]}');
  await writeFile(file, `federation:\n  - { ${entry}, profile: https_web, bundle: partner.json }\n  - { ${entry} }\n`);
  const domain = { trustDomain: 'partner.example', bundleEndpoint: 'https://partner.example/bundle' };
  deepEqual((await read(['--config', file])).federation, [{ ...domain, bundle: { keys: [] } }, domain]);
  deepEqual((await read([])).federation, []);
  for (const [name, content] of [
    ['partner.json', '{"keys":[],"keys":[]}'],
    ['partner.json', 'no'],
  ] as const) {
    await writeFile(join(folder, 'etc', name), content);
    await rejects(read(['--config', file]), { code: 'SKEIN_CONFIG' });
  }
  await rm(join(folder, 'etc', 'partner.json'));
  await rejects(read(['--config', file]), { code: 'SKEIN_CONFIG' });
  await writeFile(file, `federation:\n  - { ${entry}, profile: https_spiffe }\n`);
  await rejects(read(['--config', file]), { code: 'SKEIN_CONFIG' });
});
