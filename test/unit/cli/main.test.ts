/** The program around the commands: help, usage errors, exit codes, and that no secret is ever said. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { nodePlatform } from '../../../src/node.ts';
import { startCommand } from '../../support/command.ts';
import type { MemoryProcess } from '../../support/memory-process.ts';

let folder = '';
/** Where nothing listens, and two times so. */
let nowhere: readonly [string, string] = ['', ''];
before(async () => {
  nowhere = [await freeAddress(), await freeAddress()];
  folder = await mkdtemp(join(tmpdir(), 'skein-cli-'));
});
after(() => rm(folder, { recursive: true }));

async function freeAddress(): Promise<string> {
  const listener = await nodePlatform().listenTcp?.({ host: '127.0.0.1', port: 0 }, () => undefined);
  await listener?.close();
  return `ws://${listener?.address}`;
}

async function skein(
  argv: readonly string[],
  options: { env?: Record<string, string>; stdin?: string } = {},
): Promise<{ code: number; process: MemoryProcess }> {
  const { process, code } = startCommand(argv, { folder, ...options });
  return { code: await code, process };
}

test('--version prints the version alone', async () => {
  const { code, process } = await skein(['--version']);
  equal(code, 0);
  equal(process.out(), '1.2.3\n');
});

test('--help lists every command', async () => {
  const { code, process } = await skein(['--help']);
  equal(code, 0);
  for (const { name } of COMMANDS) match(process.out(), new RegExp(`^  ${name.split(' ')[0]}\\b`, 'm'));
});

for (const { name, options, examples } of COMMANDS) {
  test(`${name} --help shows each option and an example`, async () => {
    const { code, process } = await skein([...name.split(' '), '--help']);
    equal(code, 0);
    for (const { flags } of options) ok(process.out().includes(flags), flags);
    ok(examples.length > 0);
    for (const [line] of examples) ok(process.out().includes(line), line);
  });
}

const usageErrors: readonly (readonly string[])[] = [
  [],
  ['token'],
  ['nonsense'],
  ['--nonsense'],
  ['token', 'create', '--nonsense'],
  ['token', 'create', 'superfluous'],
  ['token', 'create'],
  ['token', 'create', '--service', 'API'],
  ['token', 'create', '--service', 'api', '--hub', 'ftp://x'],
  ['token', 'create', '--service'],
  ['token', 'create', '--service', 'api', '--ttl', 'soon'],
  ['hub', '--listen', 'nowhere'],
  ['hub', '--store', 'cloud'],
  ['hub', '--roles', 'king'],
  ['hub', '--config', 'missing.yaml'],
  ['get', 'nonsense'],
  ['get', 'a/b/c'],
  ['get', '-o', 'xml'],
  ['get', '--log', 'xml'],
  ['delete'],
  ['delete', 'HTTPRoute'],
  ['apply'],
  ['apply', '-f', 'missing.yaml'],
  ['apply', '--rollback', '-f', 'a.yaml'],
  ['apply', '--to', 'yesterday'],
];
for (const argv of usageErrors) {
  test(`"skein ${argv.join(' ')}" is a usage error`, async () => {
    const { code, process } = await skein(argv);
    equal(code, 2, process.err());
    equal(process.out(), '');
    ok(process.err().length > 0);
  });
}

test('a malformed environment variable is a usage error that names it', async () => {
  const { code, process } = await skein(['get'], { env: { SKEIN_LOG: 'xml' } });
  equal(code, 2);
  match(process.err(), /SKEIN_LOG/);
});

test('a hub that is not there exits with 3, cause and remedy', async () => {
  const { code, process } = await skein(['get', '--hub', nowhere[0]]);
  equal(code, 3);
  ok(process.err().includes(`Cannot reach hub ${nowhere[0]}: `), process.err());
  match(process.err(), /remedy: /);
});

test('with --log json a failure is one JSON line', async () => {
  const { code, process } = await skein(['get', '--hub', nowhere[0], '--log', 'json']);
  equal(code, 3);
  const line = JSON.parse(process.err());
  equal(process.err().split('\n').length, 2);
  deepEqual([line.level, line.event, line.code], ['error', 'failed', 'SKEIN_HUB_UNREACHABLE']);
  ok(line.remedy.length > 0);
});

test('flags beat the environment', async () => {
  const { process } = await skein(['get', '--hub', nowhere[0]], { env: { SKEIN_HUB: nowhere[1] } });
  ok(process.err().includes(`${nowhere[0]}: `));
  const other = await skein(['get'], { env: { SKEIN_HUB: nowhere[1] } });
  ok(other.process.err().includes(`${nowhere[1]}: `));
});

test('YAML that is none is refused with line and column', async () => {
  await writeFile(join(folder, 'bad.yaml'), 'kind: A\nkind: B\n');
  const { code, process } = await skein(['apply', '-f', 'bad.yaml']);
  equal(code, 2);
  match(process.err(), /line 2, column 1/);
});

test('an admin token is never said', async () => {
  const env = { SKEIN_ADMIN_TOKEN: 'hunter2', SKEIN_TOKEN: 'hunter2' };
  const lines = [
    ['get', '--hub', nowhere[0], '--log-level', 'debug'],
    ['get', '--hub', nowhere[0], '--log', 'json', '--log-level', 'debug'],
    ['token', 'create', '--help'],
    ['get', '--hub', 'ws://user:hunter2@127.0.0.1:1'],
  ];
  for (const argv of lines) {
    const { process } = await skein(argv, { env });
    ok(!`${process.out()}${process.err()}`.includes('hunter2'), argv.join(' '));
  }
});
