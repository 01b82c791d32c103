/**
 * Seal index: what every topic of the mesh holds, as one digest each, and one over all of them, which the issuer signs. Who has the
 * index can check the part of the catalogue that he is told against it; a topic that is not in it holds nothing.
 */

import { encodeUtf8, toBase64Url } from '../core/bytes.ts';
import { type Sha256, toCanonicalJson } from './digest.ts';
import { type Manifest, resourceKey } from './resource.ts';
import { topicsOf } from './topic.ts';

/** Digest of a topic, by the hash of its name. */
export type SealEntry = readonly [topic: string, digest: string];

/** As the first half of a SHA-256: names that others choose must not meet. */
const TOPIC_BYTES = 16;

interface Sealed {
  readonly hash: string;
  readonly topics: readonly string[];
}

/** Manifests do not change, and are looked at again with every change of another. */
const known = new WeakMap<Manifest, Sealed>();

export class SealIndex {
  readonly topics: ReadonlyMap<string, string>;
  /** Of all topics: equal digests mean the same manifests. */
  readonly digest: string;

  constructor(sha256: Sha256, topics: ReadonlyMap<string, string>) {
    const lines = [...topics].map(([topic, digest]) => `${topic} ${digest}\n`).sort();
    this.topics = topics;
    this.digest = toBase64Url(sha256(encodeUtf8(lines.join(''))));
  }

  static of(sha256: Sha256, manifests: Iterable<Manifest>): SealIndex {
    return new SealIndex(sha256, digestTopics(sha256, manifests));
  }

  /** What was not so in `before`; topics that hold nothing any more have the digest "". */
  since(before: SealIndex): readonly SealEntry[] {
    const entries: SealEntry[] = [];
    for (const [topic, digest] of this.topics) if (before.topics.get(topic) !== digest) entries.push([topic, digest]);
    for (const topic of before.topics.keys()) if (!this.topics.has(topic)) entries.push([topic, '']);
    return entries;
  }
}

/** Digest of each topic that `manifests` have a part in. */
export function digestTopics(sha256: Sha256, manifests: Iterable<Manifest>): Map<string, string> {
  const hashes = new Map<string, string[]>();
  for (const manifest of manifests) {
    const { hash, topics } = seal(sha256, manifest);
    for (const topic of topics) {
      const others = hashes.get(topic);
      if (others === undefined) hashes.set(topic, [hash]);
      else others.push(hash);
    }
  }
  const digests = new Map<string, string>();
  for (const [topic, all] of hashes) digests.set(topic, toBase64Url(sha256(encodeUtf8(all.sort().join('\n')))));
  return digests;
}

export function hashTopic(sha256: Sha256, topic: string): string {
  return toBase64Url(sha256(encodeUtf8(topic)).subarray(0, TOPIC_BYTES));
}

function seal(sha256: Sha256, manifest: Manifest): Sealed {
  let sealed = known.get(manifest);
  if (sealed === undefined) {
    const hash = toBase64Url(sha256(encodeUtf8(`${resourceKey(manifest)}\n${toCanonicalJson(manifest)}`)));
    sealed = { hash, topics: topicsOf(manifest).map((topic) => hashTopic(sha256, topic)) };
    known.set(manifest, sealed);
  }
  return sealed;
}
