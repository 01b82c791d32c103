/** The mistakes people make first: each is answered with its cause and its remedy, and nothing is half done. */
import { equal, match, ok } from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createHub, type Hub, nodePlatform } from '../../../src/node.ts';
import { runCommand } from '../../support/command.ts';

interface Place {
  /** A hub that runs, and the address of one that does not. */
  readonly hub: string;
  readonly nowhere: string;
  /** Where somebody listens already. */
  readonly taken: string;
  token(): Promise<string>;
}

interface Mistake {
  readonly name: string;
  readonly line: (place: Place) => Promise<readonly string[]>;
  readonly code: number;
  /** Parts of what is said, each in one of its lines. */
  readonly says: readonly (RegExp | ((place: Place) => string))[];
}

const mistakes: readonly Mistake[] = [
  {
    name: 'no hub runs',
    line: async ({ nowhere }) => ['status', '--hub', nowhere],
    code: 3,
    says: [({ nowhere }) => `Cannot reach hub ${nowhere}: `, /remedy: Start a hub on this machine with `skein hub`/],
  },
  {
    name: 'a call without a hub',
    line: async () => ['call', 'api/'],
    code: 3,
    says: [/Cannot reach hub ws:\/\/127\.0\.0\.1:7000: |no token and no identity/, /remedy: .*`skein hub`/],
  },
  {
    name: 'a token cut short',
    line: async ({ hub, token }) => ['sidecar', '--hub', hub, '--token', (await token()).slice(0, -3), ...LISTEN],
    code: 4,
    says: [/Cannot read join token: /, /remedy: Copy it whole/],
  },
  {
    name: 'a token in a file that is not there',
    line: async ({ hub }) => ['sidecar', '--hub', hub, '--token', '@api.token', ...LISTEN],
    code: 2,
    says: [/Cannot read --token: no file ".*api\.token"/],
  },
  {
    name: 'a name that the token does not hold',
    line: async ({ hub, token }) => ['sidecar', '--hub', hub, '--token', await token(), '--expose', 'web=3000'],
    code: 4,
    says: [/Cannot register "web\.default": the join token did not name it/, /remedy: .*skein token create/],
  },
  {
    name: 'a port in use',
    line: async ({ hub, taken, token }) => [
      ...['sidecar', '--hub', hub, '--token', await token(), '--listen-http', taken],
    ],
    code: 2,
    says: [({ taken }) => `Cannot listen on ${taken}: address in use`, /remedy: Stop the other process/],
  },
  {
    name: 'a hub on a port in use',
    line: async ({ taken }) => ['hub', '--listen', taken, '--store', 'memory'],
    code: 2,
    says: [({ taken }) => `Cannot listen on ${taken}: address in use`, /remedy: Stop the other process/],
  },
  {
    name: 'a data folder where a file is',
    line: async ({ hub, token }) => ['sidecar', '--hub', hub, '--token', await token(), '--data', 'file/id', ...LISTEN],
    code: 1,
    says: [/Cannot .*file\/id.*: a file is where a folder is needed/, /remedy: Choose another folder/],
  },
  {
    name: 'a service that nobody serves',
    line: async ({ hub, token }) => ['call', '--hub', hub, '--token', await token(), '-o', 'answer', 'nobody/'],
    code: 1,
    says: [/SKEIN_NO_SUCH_SERVICE/, /remedy: .*`skein services`/],
  },
  {
    name: 'a member of a policy that there is not',
    line: async ({ hub }) => ['apply', '-f', 'policies.yaml', '--hub', hub, '--data', 'hub'],
    code: 1,
    says: [/policies\.yaml#2: AuthorizationPolicy\/second: spec\.alow: /, /remedy: .*nothing was changed/],
  },
  {
    name: 'YAML that is none',
    line: async ({ hub }) => ['apply', '-f', 'bad.yaml', '--hub', hub, '--data', 'hub'],
    code: 2,
    says: [/Cannot use bad\.yaml: /, /line \d, column \d+: /, /remedy: Correct bad\.yaml/],
  },
  {
    name: 'a file that is not there',
    line: async ({ hub }) => ['apply', '-f', 'no.yaml', '--hub', hub, '--data', 'hub'],
    code: 2,
    says: [/Cannot read "no\.yaml": no such file/, /remedy: Check the path/],
  },
  {
    name: 'keys of skein.yaml that there are not',
    line: async () => ['sidecar', '--config', 'skein.yaml'],
    code: 2,
    says: [
      /Cannot use skein\.yaml: 2 issues/,
      /tokn: is not a known key/,
      /expose\[0\]\.servce: is not a known key|is missing/,
    ],
  },
  {
    name: 'no admin token',
    line: async ({ hub }) => ['status', '--hub', hub, '--data', 'elsewhere'],
    code: 4,
    says: [/no admin token given/, /remedy: .*SKEIN_ADMIN_TOKEN/],
  },
];

const LISTEN = ['--listen-http', '127.0.0.1:0'];

let folder = '';
let hub: Hub;
let listener: Server;
let place: Place;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'skein-mistakes-'));
  hub = await createHub({ listen: { host: '127.0.0.1', port: 0 }, dataFolder: join(folder, 'hub') });
  const open = await nodePlatform().listenTcp?.({ host: '127.0.0.1', port: 0 }, () => undefined);
  await open?.close();
  listener = createServer().listen(0, '127.0.0.1');
  await new Promise<void>((resolve) => listener.once('listening', resolve));
  const { port } = listener.address() as { port: number };
  place = {
    hub: hub.url,
    nowhere: `ws://${open?.address}`,
    taken: `127.0.0.1:${port}`,
    token: async () => (await hub.createJoinToken({ services: ['api'] })).text,
  };
  await writeFile(join(folder, 'file'), '');
  await mkdir(join(folder, 'elsewhere'));
  await writeFile(join(folder, 'bad.yaml'), 'kind: A\n  bad: [1\n');
  await writeFile(join(folder, 'skein.yaml'), 'tokn: x\nexpose:\n  - { service: api, target: 3000, servce: x }\n');
  await writeFile(join(folder, 'policies.yaml'), `${policy('first', 'allow')}---\n${policy('second', 'alow')}`);
});
after(async () => {
  listener.close();
  await hub.close();
  await rm(folder, { recursive: true });
});

function policy(name: string, member: string): string {
  const rule = `{ from: [{ ids: ['spiffe://skein.mesh/ns/default/sa/web'] }] }`;
  return `kind: AuthorizationPolicy\nmetadata: { name: ${name} }\nspec: { targets: [{ service: api }], ${member}: [${rule}] }\n`;
}

for (const { name, line, code, says } of mistakes) {
  test(`Says what is wrong, and what to do: ${name}`, async () => {
    const said = await runCommand(await line(place), { folder });
    equal(said.code, code, said.err);
    const lines = said.err.split('\n');
    for (const part of says) {
      const found = (text: string): boolean => (part instanceof RegExp ? part.test(text) : text.includes(part(place)));
      ok(lines.some(found), `${part}\n${said.err}`);
    }
    match(said.err, /remedy: \S/);
    equal(said.out, '');
  });
}
