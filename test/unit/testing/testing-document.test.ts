/** docs/testing.md: its examples run as they stand, but for the name of the package, and hold what they assert. */
import { deepEqual, ok } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { folder } from '../../support/folder.ts';
import { readText } from '../../support/repository.ts';

/** Of the sources, or compiled as this test is. */
const TESTING = import.meta.url.replace(/\/test\/unit\/testing\/[^/]*(\.[jt]s)$/, '/src/testing$1');

/** One for each section that has any. */
const examples = readText('docs/testing.md')
  .split(/^##? /m)
  .flatMap((section) => {
    const [, text] = /^```ts\n(.*?)^```$/ms.exec(section) ?? [];
    return text === undefined ? [] : [{ name: section.split('\n', 1)[0] ?? '', text }];
  });

/** Without a runner, which this is, and without `using`, which Node 20 cannot read. */
function toModule(example: string): string {
  return example
    .replace("import { test } from 'node:test';", 'const test = (_name, run) => run();')
    .replace(/^test\(/m, 'await test(')
    .replace(/^( *)await using mesh(.*)^}\);$/ms, '$1const mesh$2$1await mesh.close();\n});')
    .replaceAll("'skein/testing'", JSON.stringify(TESTING));
}

test('docs/testing.md shows what it is about', () => {
  deepEqual(
    examples.map(({ name }) => name),
    ['Testing your services', 'Time', 'The network', 'Hubs', 'Routes and policies', 'The same run again'],
  );
});

for (const { name, text } of examples) {
  test(`docs/testing.md, ${name}`, async (t) => {
    const path = join(folder(t), 'example.mjs');
    writeFileSync(path, toModule(text));
    await import(pathToFileURL(path).href);
    ok(!Object.hasOwn(crypto.subtle, 'digest'), 'the mesh was not closed');
  });
}
