/** The security checklist names files that exist, so that a test that goes is missed. */
import { deepEqual, ok } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../../support/repository.ts';

for (const document of ['docs/security-checklist.md', 'docs/security.md']) {
  test(`Every test that ${document} names is there`, () => {
    const text = readFileSync(join(root, document), 'utf8');
    const named = [...text.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, path = '']) => path);
    ok(named.length > 0, 'some are named');
    deepEqual(
      [...new Set(named)].filter((path) => !existsSync(join(root, path))),
      [],
    );
  });
}

test('A line of the checklist that says it is tested names a test', () => {
  const lines = readFileSync(join(root, 'docs/security-checklist.md'), 'utf8').split('\n');
  const tested = lines.filter((line) => line.startsWith('| ✔ |'));
  ok(tested.length > 20);
  deepEqual(
    tested.filter((line) => !/`test\/|\| the same/.test(line)),
    [],
  );
});
