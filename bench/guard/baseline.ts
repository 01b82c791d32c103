/** What counted work was when somebody last looked at it, and what is more than that by too much. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { readText, root } from '../../test/support/repository.ts';
import type { Counted, Work } from './count.ts';

const PATH = 'bench/guard/baseline.json';
/** Runs on a busy machine differ by half of that. */
const ALLOWED_RATIO = 1.1;
/** Of counts per thousand: acknowledgements and heartbeats fall where they fall. */
const ALLOWED_COUNT = 20;

interface Baseline {
  /** Major version of Node: each allocates in its own way. */
  readonly node: string;
  readonly work: Counted;
}

const nodeMajor = (): string => process.versions.node.split('.', 1)[0] ?? '';

export function saveBaseline(work: Counted): string {
  const baseline: Baseline = { node: nodeMajor(), work };
  writeFileSync(join(root, PATH), `${JSON.stringify(baseline, undefined, 2)}\n`);
  return PATH;
}

/** One line for each thing that takes more than it did. */
export function findGrowth(counted: Counted): string[] {
  const { node, work } = JSON.parse(readText(PATH)) as Baseline;
  return (Object.keys(work) as (keyof Counted)[]).flatMap((load) =>
    (Object.keys(work[load]) as (keyof Work)[]).flatMap((name) => {
      const isBytes = name === 'heapBytesPerRequest';
      if (isBytes && node !== nodeMajor()) return [];
      const [was, is] = [work[load][name], counted[load][name]];
      const allowed = was * ALLOWED_RATIO + (isBytes ? 0 : ALLOWED_COUNT);
      return is <= allowed ? [] : [`${load}: ${name} was ${was} and is ${is}`];
    }),
  );
}
