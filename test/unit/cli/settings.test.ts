/** What a sidecar is asked to be: flags before environment before file, and every mistake of a file at once. */
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseCommandLine } from '../../../src/cli/command.ts';
import type { CommandContext } from '../../../src/cli/context.ts';
import { createPainter } from '../../../src/cli/output.ts';
import { SIDECAR_OPTIONS } from '../../../src/cli/sidecar-options.ts';
import { readSidecarSettings, type SidecarSettings } from '../../../src/cli/sidecar-settings.ts';
import { startWorkers } from '../../../src/cli/workers.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import { nodePlatform } from '../../../src/node.ts';
import { memoryProcess } from '../../support/memory-process.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-settings-'));
});
after(() => rm(folder, { recursive: true }));

async function read(
  argv: readonly string[],
  env: Record<string, string> = {},
  file?: string,
): Promise<SidecarSettings> {
  const process = memoryProcess({ folder, env });
  const spec = { name: 'x', summary: '', options: SIDECAR_OPTIONS, examples: [], run: () => Promise.resolve(0) };
  if (file !== undefined) await writeFile(join(folder, 'skein.yaml'), file);
  const invocation = parseCommandLine(
    [spec],
    ['x', ...argv, ...(file === undefined ? [] : ['--config', 'skein.yaml'])],
    process.env,
    { columns: 80, version: '', out: () => undefined, err: () => undefined },
  );
  if (!('input' in invocation)) throw new Error('usage');
  const context: CommandContext = {
    platform: nodePlatform(),
    process,
    input: invocation.input,
    logger: SILENT_LOGGER,
    logFormat: 'text',
    logLevel: 'info',
    version: '',
    paint: createPainter(false),
    print: () => Promise.resolve(),
    say: () => undefined,
  };
  return readSidecarSettings(context);
}

const FILE = 'hub: ws://file:1\nregion: file\nzone: file\nnamespace: file\nexpose: [{service: file, target: 1}]\n';

const precedence: readonly [place: string, argv: string[], env: Record<string, string>, expected: object][] = [
  ['the file', [], {}, { hubs: ['ws://file:1'], region: 'file', namespace: 'file', exposed: 'file.file' }],
  [
    'the environment before the file',
    [],
    { SKEIN_HUB: 'ws://env:1', SKEIN_REGION: 'env', SKEIN_NAMESPACE: 'env', SKEIN_EXPOSE: 'env=1' },
    { hubs: ['ws://env:1'], region: 'env', namespace: 'env', exposed: 'env.env' },
  ],
  [
    'flags before both',
    ['--hub', 'ws://flag:1,ws://flag:2', '--region', 'flag', '-n', 'flag', '--expose', 'flag=1'],
    { SKEIN_HUB: 'ws://env:1', SKEIN_REGION: 'env', SKEIN_NAMESPACE: 'env', SKEIN_EXPOSE: 'env=1' },
    { hubs: ['ws://flag:1', 'ws://flag:2'], region: 'flag', namespace: 'flag', exposed: 'flag.flag' },
  ],
  [
    'an empty variable as not set',
    [],
    { SKEIN_REGION: '' },
    { hubs: ['ws://file:1'], region: 'file', namespace: 'file', exposed: 'file.file' },
  ],
];
for (const [place, argv, env, expected] of precedence) {
  test(`readSidecarSettings takes ${place}`, async () => {
    const { hubs, region, namespace, expose, zone } = await read(argv, env, FILE);
    deepEqual({ hubs, region, namespace, exposed: expose[0]?.service }, expected);
    equal(zone, 'file');
  });
}

test('every form of --expose and --listen-tcp', async () => {
  const { expose, listenTcp } = await read([
    ...['--expose', 'api=3000', '--expose', 'web.shop:8080=h2c://app:1', '--expose', 'db=tcp://127.0.0.1:5432'],
    ...['--listen-tcp', 'db=127.0.0.1:0', '--listen-tcp', 'db:6000=7000'],
  ]);
  deepEqual(
    expose.map(({ service, port, target }) => [service, port, target.protocol, target.port]),
    [
      ['api.default', 80, 'http', 3000],
      ['web.shop', 8080, 'h2c', 1],
      ['db.default', 80, 'tcp', 5432],
    ],
  );
  deepEqual(
    listenTcp.map(({ service, port, listen }) => [service, port, listen.host, listen.port]),
    [
      ['db.default', 80, '127.0.0.1', 0],
      ['db.default', 6000, '127.0.0.1', 7000],
    ],
  );
});

test('appProtocol of the file goes before the scheme of the target, and names that are none are told with their place', async () => {
  const file = (appProtocol: string) => `expose: [{ service: api, target: 3000, appProtocol: ${appProtocol} }]`;
  const { expose } = await read([], {}, file('kubernetes.io/h2c'));
  deepEqual(expose[0]?.target, { protocol: 'h2c', host: '127.0.0.1', port: 3000 });
  await rejects(read([], {}, file('kubernetes.io/wss')), (error: SkeinError) => {
    match(JSON.stringify(error.details), /expose\[0\]\.appProtocol.*without TLS/);
    return true;
  });
});

test('direct paths are on unless somebody says no, and flags go before the file', async () => {
  const none = { listen: undefined, advertise: undefined, network: undefined };
  const file = 'direct: { listen: 0.0.0.0:7443, advertise: 203.0.113.7:7443, network: office }';
  const cases: [argv: string[], env: Record<string, string>, file: string | undefined, expected: object | false][] = [
    [[], {}, undefined, none],
    [['--no-direct'], {}, undefined, false],
    [[], { SKEIN_NO_DIRECT: 'true' }, file, false],
    [[], {}, 'direct: { enabled: false, listen: 0.0.0.0:7443 }', false],
    [[], {}, file, { listen: { host: '0.0.0.0', port: 7443 }, advertise: '203.0.113.7:7443', network: 'office' }],
    [
      ['--direct-listen', '0.0.0.0:0', '--direct-network', 'home'],
      { SKEIN_DIRECT_ADVERTISE: '203.0.113.8:1' },
      file,
      { listen: { host: '0.0.0.0', port: 0 }, advertise: '203.0.113.8:1', network: 'home' },
    ],
  ];
  for (const [argv, env, text, expected] of cases)
    deepEqual((await read(argv, env, text)).direct, expected, argv.join(' '));
  await rejects(read([], {}, 'direct: { listen: nowhere }'), { code: 'SKEIN_CONFIG' });
});

test('a token comes from a file by @, from the environment, and is never printable', async () => {
  await writeFile(join(folder, 'join.token'), 'hunter2\n');
  const { token } = await read(['--token', '@join.token']);
  equal(token?.reveal(), 'hunter2');
  equal(`${token}${JSON.stringify({ token })}`.includes('hunter2'), false);
  equal((await read([], { SKEIN_TOKEN: 'from-env' })).token?.reveal(), 'from-env');
  equal((await read([], { T: 'expanded' }, 'token: ${T}')).token?.reveal(), 'expanded');
});

test('every mistake of a file is told at once, with its place', async () => {
  const file = [
    'hub: [wss://ok, ftp://no]',
    'expose:',
    '  - { service: API, target: 3000 }',
    '  - { service: api, target: "https://x", health: { path: /, interval: soon } }',
    'listen: { http: nowhere, dns: nowhere too, tcp: [{ service: db, address: x }] }',
  ].join('\n');
  await rejects(read([], {}, file), (error) => {
    const issues = (error as SkeinError).details.issues as { path: string }[];
    deepEqual(
      issues.map(({ path }) => path),
      [
        'hub[1]',
        'listen.http',
        'listen.dns',
        'expose[0].service',
        'expose[1].target',
        'expose[1].health.interval',
        'listen.tcp[0].address',
      ],
    );
    return true;
  });
});

const refused: readonly (readonly string[])[] = [
  ['--expose', 'api'],
  ['--expose', 'api='],
  ['--expose', 'a.b.c=1'],
  ['--listen-http', 'x'],
  ['--listen-tcp', 'db=x'],
  ['--hub', 'ftp://x'],
  ['-n', 'Not-a-label'],
  ['--config', 'missing.yaml'],
  ['--token', '@missing'],
];
for (const argv of refused) {
  test(`"${argv.join(' ')}" is refused`, async () => {
    await rejects(read(argv), { code: 'SKEIN_CONFIG' });
  });
}

test('Workers: a number from 1 to 64, or one for each processor', async () => {
  equal((await read([])).workers, 1);
  equal((await read(['--workers', '64'])).workers, 64);
  equal((await read(['--workers', 'auto'])).workers, 2); // of the process in memory
  equal((await read([], { SKEIN_WORKERS: '3' })).workers, 3);
  equal((await read([], {}, 'workers: 4')).workers, 4);
  equal((await read([], {}, 'workers: auto')).workers, 2);
  equal((await read(['--workers', '1'], {}, 'workers: 4')).workers, 1);
  for (const text of ['0', '65', '-1', '1.5', '2x', 'all', '1e1']) {
    await rejects(read([`--workers=${text}`]), { code: 'SKEIN_CONFIG', message: /expected 1 to 64, or auto/ });
  }
  await rejects(read([], {}, 'workers: 0'), ({ details }: SkeinError) =>
    /expected 1 to 64/.test((details.issues as { message: string }[])[0]?.message ?? ''),
  );
});

test('A runtime that shares no ports refuses more than one worker, and says so', async () => {
  const process = memoryProcess({ folder });
  const platform = { ...nodePlatform(), name: 'deno 2.9.6' };
  const context = { platform, process, logFormat: 'text', logLevel: 'info' } as const;
  await rejects(startWorkers(context, 2, { hub: [], token: undefined }), {
    code: 'SKEIN_CONFIG',
    message: /deno 2\.9\.6 does not share ports/,
  });
});
