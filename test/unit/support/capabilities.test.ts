/** The one list of what a host cannot do is complete and answers only to its own names. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { currentHost, expectedSkips, LACKS, lacking } from '../../runtime/capabilities.ts';
import { readTree } from '../../support/repository.ts';

const anyHost = {
  runtime: 'node',
  major: 20,
  platform: 'linux',
  arch: 'x64',
  root: false,
  hasCommand: () => false,
} as const;

test('currentHost() names the runtime and its version', () => {
  const { runtime, major } = currentHost();
  equal(runtime, 'Bun' in globalThis ? 'bun' : 'Deno' in globalThis ? 'deno' : 'node');
  ok(major > 0);
});

test('lacking() refuses a name that the list does not hold', () => {
  throws(() => lacking('the ability to fly'), RangeError);
});

test('every lack gives its reason and lists existing test files', () => {
  const files = readTree('test');
  for (const [name, { reason, tests }] of Object.entries(LACKS)) {
    ok(reason.length > 10, name);
    for (const file of Object.keys(tests)) ok(files.has(file), `${name}: ${file}`);
  }
});

test('expectedSkips() lists only tests of what the host lacks', () => {
  const lists = Object.values(LACKS).filter((lack) => lack.on(anyHost));
  const names = lists.flatMap(({ tests }) => Object.values(tests).flat());
  deepEqual(expectedSkips(anyHost).length, names.length);
});
