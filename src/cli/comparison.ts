/** What files say beside what the mesh holds: resource by resource, by what they mean. */

import { findDifferences } from '../catalog/difference.ts';
import { parseManifest } from '../catalog/parse.ts';
import { type Manifest, resourceKey } from '../catalog/resource.ts';
import { parseSources } from './checked-sources.ts';
import type { SourcedManifest } from './manifest.ts';

export interface Comparison {
  /** `Kind/namespace/name` */
  readonly key: string;
  readonly status: 'same' | 'new' | 'differs';
  readonly differences: ReturnType<typeof findDifferences>;
}

/**
 * One for each resource of the files.
 * @param readPresent asked after the files were found good
 * @throws SkeinError SKEIN_CONFIG with every issue of every file
 */
export async function compareSources(
  sources: readonly SourcedManifest[],
  readPresent: () => Promise<readonly unknown[]>,
): Promise<readonly Comparison[]> {
  const wanted = parseSources(sources);
  const present = new Map((await readPresent()).flatMap(toEntry));
  return wanted.map((manifest) => compare(manifest, present.get(resourceKey(manifest))));
}

function toEntry(manifest: unknown): [string, Manifest][] {
  const parsed = parseManifest(manifest);
  return 'value' in parsed ? [[resourceKey(parsed.value), parsed.value]] : [];
}

function compare(wanted: Manifest, present: Manifest | undefined): Comparison {
  const key = resourceKey(wanted);
  if (present === undefined) return { key, status: 'new', differences: [] };
  const differences = findDifferences(present, wanted);
  return { key, status: differences.length === 0 ? 'same' : 'differs', differences };
}
