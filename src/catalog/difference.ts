/** Differences between two manifests in what they mean: the order of members, comments and values that are defaults anyway are none. */

import { toCanonicalJson } from './digest.ts';
import { parseSpec } from './parse.ts';
import type { Manifest } from './resource.ts';

export interface Difference {
  /** Path inside the manifest, `spec.rules[0].backendRefs[1].weight`. */
  readonly path: string;
  /** As it was written, else the default that stood for it; undefined: it was not there. */
  readonly before: unknown;
  readonly after: unknown;
}

/** A value beside the same place of the manifest that it was read from. */
interface Side {
  readonly value: unknown;
  readonly written: unknown;
}

/** Everything that a change from `before` to `after` would change; what the hub writes itself is left out. */
export function findDifferences(before: Manifest, after: Manifest): readonly Difference[] {
  const found: Difference[] = [];
  compare(toSide(before, 'apiVersion'), toSide(after, 'apiVersion'), 'apiVersion', found);
  for (const member of ['labels', 'annotations']) {
    const [a, b] = [before.metadata[member], after.metadata[member]];
    compare({ value: a, written: a }, { value: b, written: b }, `metadata.${member}`, found);
  }
  compare(toSpec(before), toSpec(after), 'spec', found);
  return found;
}

function toSide(manifest: Manifest, member: 'apiVersion' | 'spec'): Side {
  return { value: manifest[member], written: manifest[member] };
}

/** The specification as its parser understands it; of one that it does not, the words. */
function toSpec(manifest: Manifest): Side {
  const parsed = parseSpec(manifest);
  return 'value' in parsed ? { value: parsed.value, written: manifest.spec } : toSide(manifest, 'spec');
}

function compare(before: Side, after: Side, path: string, found: Difference[]): void {
  if (toCanonicalJson(before.value) === toCanonicalJson(after.value)) return;
  const { value: a } = before;
  const { value: b } = after;
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.max(a.length, b.length); i++) {
      compare(memberOf(before, i), memberOf(after, i), `${path}[${i}]`, found);
    }
  } else if (isObject(a) && isObject(b)) {
    for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
      compare(memberOf(before, name), memberOf(after, name), `${path}.${name}`, found);
    }
  } else {
    found.push({ path, before: before.written ?? a, after: after.written ?? b });
  }
}

function memberOf({ value, written }: Side, name: string | number): Side {
  const of = (from: unknown): unknown =>
    isObject(from) ? (from as Record<string | number, unknown>)[name] : undefined;
  return { value: of(value), written: of(written) };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
