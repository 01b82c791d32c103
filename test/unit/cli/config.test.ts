/** `skein.yaml`: what is accepted, and every issue of what is not. */
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { parseHubFile, parseSidecarFile } from '../../../src/cli/config.ts';
import { SkeinError } from '../../../src/core/errors.ts';

const WHOLE = `
hub: [wss://hub.example.com]
token: \${SKEIN_TOKEN}
region: eu-west
expose:
  - service: api
    target: http://127.0.0.1:3000
    labels: { version: v2 }
    health: { path: /healthz, interval: 5s }
  - { service: db.shop, port: 5432, target: tcp://127.0.0.1:5432 }
  - { service: web, target: 3001 }
listen:
  http: 127.0.0.1:8080
  dns: 127.0.0.1:5353
  tcp:
    - { service: db, address: 127.0.0.1:5432 }
`;

test('parseSidecarFile reads the whole example of the documentation', () => {
  deepEqual(parseSidecarFile('skein.yaml', WHOLE, { SKEIN_TOKEN: 't' }), {
    hub: ['wss://hub.example.com'],
    token: 't',
    region: 'eu-west',
    expose: [
      {
        service: 'api',
        target: 'http://127.0.0.1:3000',
        labels: { version: 'v2' },
        health: { path: '/healthz', interval: '5s' },
      },
      { service: 'db.shop', port: 5432, target: 'tcp://127.0.0.1:5432' },
      { service: 'web', target: '3001' },
    ],
    listen: {
      http: '127.0.0.1:8080',
      dns: '127.0.0.1:5353',
      tcp: [{ service: 'db', address: '127.0.0.1:5432' }],
    },
  });
});

test('an empty file is an empty configuration', () => {
  deepEqual(parseSidecarFile('skein.yaml', '', {}), {});
  deepEqual(parseHubFile('hub.yaml', '# nothing\n', {}), {});
});

const cases: readonly [name: string, content: string, issues: readonly string[]][] = [
  ['an unknown key', 'hbu: wss://h', ['hbu: is not a known key']],
  [
    'an unknown key deep inside',
    'expose: [{service: a, target: 3000, porrt: 1}]',
    ['expose[0].porrt: is not a known key'],
  ],
  ['a missing key', 'expose: [{service: a}]', ['expose[0].target: is missing']],
  ['the wrong kind of value', 'region: 7', ['region: must be text']],
  ['a list where text belongs', 'region: [a]', ['region: must be text']],
  ['text where a list belongs', 'expose: api', ['expose: must be a list']],
  ['text where a mapping belongs', 'listen: 8080', ['listen: must be a mapping of keys']],
  ['an empty text', 'region: ""', ['region: must not be empty']],
  ['a port out of range', 'expose: [{service: a, target: 3000, port: 70000}]', ['expose[0].port: must be 1 to 65535']],
  [
    'a variable that is not set',
    'token: ${NOWHERE}',
    ['token: environment variable NOWHERE is not set', 'token: must not be empty'],
  ],
  [
    'several issues at once',
    'region: 1\nlisten: {htp: x}\nexpose: [{target: 1}]',
    ['region: must be text', 'expose[0].service: is missing', 'listen.htp: is not a known key'],
  ],
  ['two documents', 'region: a\n---\nregion: b', [': holds more than one document']],
  ['a key given twice', 'region: a\nregion: b', ['line 2, column 1: Map keys must be unique']],
  ['a top level that is no mapping', '- a', [': must be a mapping of keys']],
];

for (const [name, content, issues] of cases) {
  test(`parseSidecarFile refuses ${name}`, () => {
    throws(
      () => parseSidecarFile('skein.yaml', content, {}),
      (error) => {
        equal(error instanceof SkeinError && error.code, 'SKEIN_CONFIG');
        const found = (error as SkeinError).details.issues as { path: string; message: string }[];
        deepEqual(
          found.map(({ path, message }) => `${path}: ${message}`),
          issues,
        );
        return true;
      },
    );
  });
}

test('an alias bomb is refused', () => {
  const levels = Array.from(
    { length: 12 },
    (_, i) => `l${i + 1}: &l${i + 1} [${'*l'.concat(String(i), ', ').repeat(9)}]`,
  );
  throws(() => parseSidecarFile('skein.yaml', `l0: &l0 [a]\n${levels.join('\n')}`, {}), {
    code: 'SKEIN_CONFIG',
  });
});

test('environment variables add text, never structure', () => {
  const { region } = parseSidecarFile('skein.yaml', 'region: "${R}"', { R: 'a\nhub: wss://evil' });
  equal(region, 'a\nhub: wss://evil');
});

test('a default and a dollar sign in the file', () => {
  const { region, zone } = parseSidecarFile('skein.yaml', 'region: ${R:-eu}\nzone: a$$b', {});
  equal(region, 'eu');
  equal(zone, 'a$b');
});

test('an issue never shows the value, which may be a secret', () => {
  throws(
    () => parseSidecarFile('skein.yaml', 'token: [hunter2]', {}),
    (error) => !JSON.stringify((error as SkeinError).details).includes('hunter2'),
  );
});
