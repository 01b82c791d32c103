/** Files that people write, mutated: each mutant is read, or refused whole with issues; nothing else happens. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from '../../../src/catalog/parse.ts';
import { parseSidecarFile } from '../../../src/cli/config.ts';
import { parseManifests } from '../../../src/cli/manifest.ts';
import { parseYaml } from '../../../src/cli/yaml.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { mutate } from '../../support/mutants.ts';
import { readText } from '../../support/repository.ts';

const MUTANTS = 3_000;

/** The first YAML block of a document that holds `part`. */
function example(document: string, part: string): Buffer {
  const blocks = [...readText(document).matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  return Buffer.from(blocks.find((text) => text.includes(part)) ?? '');
}

interface Reader {
  readonly name: string;
  readonly good: Buffer;
  /** Throws what is wrong. */
  readonly read: (text: string) => void;
}

const readers: readonly Reader[] = [
  {
    name: 'skein.yaml',
    good: example('docs/operations.md', 'expose:'),
    read: (text) => void parseSidecarFile('skein.yaml', text, { SKEIN_TOKEN: 'x' }),
  },
  {
    name: 'policies',
    good: example('README.md', 'AuthorizationPolicy'),
    read: (text) => {
      for (const { manifest } of parseManifests('policies.yaml', text)) {
        const parsed = parseManifest(manifest);
        if ('issues' in parsed) throw new SkeinError('SKEIN_RESOURCE_INVALID', 'refused', { details: parsed });
      }
    },
  },
];

for (const { name, good, read } of readers) {
  test(`Of ${MUTANTS} mutants of ${name} each is read or refused`, (t) => {
    const random = new SeededRandom();
    t.diagnostic(random.toString());
    read(good.toString('latin1'));
    let refused = 0;
    for (let i = 0; i < MUTANTS; i++) {
      const mutant = mutate(random, good).toString('latin1');
      try {
        read(mutant);
      } catch (error) {
        refused++;
        ok(error instanceof SkeinError && Array.isArray(error.details.issues), `${random}: ${mutant}\n${error}`);
        ok(error.details.issues.length > 0);
      }
    }
    // Both sides of the border were seen.
    ok(refused > MUTANTS / 10 && refused < MUTANTS, `${refused} refused`);
  });
}

test('parseYaml reads every document, and leaves out those of comments', () => {
  deepEqual(parseYaml(''), { values: [] });
  deepEqual(parseYaml('# nothing\n'), { values: [] });
  deepEqual(parseYaml('a: 1\n---\n# nothing\n---\n- b\n'), { values: [{ a: 1 }, ['b']] });
});
