/**
 * Owner tree: the links of a stretch of the audit log by whom they are about, under one hash. Few hashes show an owner that it is told of
 * all that is about itself, or that there is nothing; what is about others they do not say.
 */

import type { Sha256 } from '../catalog/digest.ts';
import { type Bytes, encodeUtf8, fromBase64Url, toBase64Url } from '../core/bytes.ts';

/*
 * leaf: SHA-256("skein/1 audit-leaf LF", owner 16 bytes, list 32 bytes); list: the digest of the one entry, or SHA-256("skein/1 audit-list LF", their digests)
 * node: SHA-256("skein/1 audit-node LF", bit u8, hash of those whose owner has 0 there, hash of those who have 1)
 * `bit`: the first in which owners below differ. So a tree has one form, and the bits of an owner lead to the one leaf that it may have.
 */
const LEAF = encodeUtf8('skein/1 audit-leaf\n');
const LIST = encodeUtf8('skein/1 audit-list\n');
const NODE = encodeUtf8('skein/1 audit-node\n');

export const OWNER_BYTES = 16;
const HASH_BYTES = 32;
const STEP_BYTES = 1 + HASH_BYTES;
/** Of `path`, for each node on the way: its bit, and the hash of the other side. */
export const STEP_CHARS = 44;
/** Of `leaf`. */
const OWNER_CHARS = 22;

/** An entry as those see it whom it does not concern: whom it is about, and what it says, each as a hash, base64url. */
export interface AuditLink {
  readonly owner: string;
  readonly digest: string;
}

export interface OwnerProof {
  /** From the root down. */
  readonly path: string;
  /** Owner and list of who stands where this owner would; undefined: it has a leaf of its own. */
  readonly leaf?: string | undefined;
}

export class OwnerTree {
  readonly root: string;
  readonly #sha256: Sha256;
  /** Each once, in order. */
  readonly #owners: Bytes;
  readonly #lists: Bytes;
  /** A node is named by the first owner of its right side, which no other one has. */
  readonly #nodes: Bytes;
  readonly #size: number;

  /** @param links at least one; those of one owner in the order of the log */
  constructor(sha256: Sha256, links: Iterable<AuditLink>) {
    this.#sha256 = sha256;
    const byOwner = new Map<string, string[]>();
    for (const { owner, digest } of links) {
      const known = byOwner.get(owner);
      if (known === undefined) byOwner.set(owner, [digest]);
      else known.push(digest);
    }
    const sorted = [...byOwner].map(([owner, digests]) => {
      const bytes = fromBase64Url(owner);
      return { bytes, order: String.fromCharCode(...bytes), digests };
    });
    sorted.sort((a, b) => (a.order < b.order ? -1 : 1));
    this.#size = sorted.length;
    this.#owners = new Uint8Array(OWNER_BYTES * sorted.length);
    this.#lists = new Uint8Array(HASH_BYTES * sorted.length);
    this.#nodes = new Uint8Array(HASH_BYTES * sorted.length);
    sorted.forEach(({ bytes, digests }, at) => {
      this.#owners.set(bytes, OWNER_BYTES * at);
      this.#lists.set(toList(sha256, digests), HASH_BYTES * at);
    });
    this.root = toBase64Url(this.#fill(0, sorted.length));
  }

  has(owner: string): boolean {
    const at = this.#find(fromBase64Url(owner)).at;
    return toBase64Url(this.#owner(at)) === owner;
  }

  prove(owner: string): OwnerProof {
    const { at, path } = this.#find(fromBase64Url(owner));
    const found = toBase64Url(this.#owner(at));
    return found === owner ? { path } : { path, leaf: found + toBase64Url(this.#list(at)) };
  }

  /** Where the bits of an owner lead. */
  #find(owner: Bytes): { readonly at: number; readonly path: string } {
    let [from, to, path] = [0, this.#size, ''];
    const step = new Uint8Array(STEP_BYTES);
    while (to - from > 1) {
      const bit = this.#bitOf(from, to);
      const middle = this.#middle(from, to, bit);
      const isRight = bitAt(owner, bit) === 1;
      step[0] = bit;
      step.set(isRight ? this.#hash(from, middle) : this.#hash(middle, to), 1);
      path += toBase64Url(step);
      if (isRight) from = middle;
      else to = middle;
    }
    return { at: from, path };
  }

  #fill(from: number, to: number): Bytes {
    if (to - from === 1) return this.#hash(from, to);
    const bit = this.#bitOf(from, to);
    const middle = this.#middle(from, to, bit);
    const hash = toNode(this.#sha256, bit, this.#fill(from, middle), this.#fill(middle, to));
    this.#nodes.set(hash, HASH_BYTES * middle);
    return hash;
  }

  #hash(from: number, to: number): Bytes {
    if (to - from === 1) return toLeaf(this.#sha256, this.#owner(from), this.#list(from));
    const middle = this.#middle(from, to, this.#bitOf(from, to));
    return this.#nodes.subarray(HASH_BYTES * middle, HASH_BYTES * (middle + 1));
  }

  /** They are in order: where the first and the last are alike all are. */
  #bitOf(from: number, to: number): number {
    const [first, last] = [this.#owner(from), this.#owner(to - 1)];
    for (let at = 0; ; at++) {
      const differ = (first[at] as number) ^ (last[at] as number);
      if (differ !== 0) return 8 * at + Math.clz32(differ) - 24;
    }
  }

  /** The first owner that has the bit. */
  #middle(from: number, to: number, bit: number): number {
    let [low, high] = [from + 1, to - 1];
    while (low < high) {
      const half = (low + high) >> 1;
      if (bitAt(this.#owner(half), bit) === 1) high = half;
      else low = half + 1;
    }
    return low;
  }

  #owner(at: number): Bytes {
    return this.#owners.subarray(OWNER_BYTES * at, OWNER_BYTES * (at + 1));
  }

  #list(at: number): Bytes {
    return this.#lists.subarray(HASH_BYTES * at, HASH_BYTES * (at + 1));
  }
}

/** The root of which `proof` shows that these digests, or none, are all of the owner; undefined: it shows nothing. */
export function rootOfProof(
  sha256: Sha256,
  owner: string,
  digests: readonly string[],
  { path, leaf }: OwnerProof,
): string | undefined {
  const steps = readSteps(path);
  if (steps === undefined || (leaf === undefined) !== digests.length > 0) return undefined;
  const own = fromBase64Url(owner);
  let hash: Bytes;
  if (leaf === undefined) hash = toLeaf(sha256, own, toList(sha256, digests));
  else {
    const [other, list] = readLeaf(leaf);
    if (other === undefined || list === undefined) return undefined;
    // Who stands where the bits of the owner lead has the same there.
    if (leaf.startsWith(owner) || steps.some(({ bit }) => bitAt(other, bit) !== bitAt(own, bit))) return undefined;
    hash = toLeaf(sha256, other, list);
  }
  for (const { bit, other } of steps.reverse()) {
    hash = bitAt(own, bit) === 1 ? toNode(sha256, bit, other, hash) : toNode(sha256, bit, hash, other);
  }
  return toBase64Url(hash);
}

function readLeaf(leaf: string): readonly Bytes[] {
  try {
    return [fromBase64Url(leaf.slice(0, OWNER_CHARS)), fromBase64Url(leaf.slice(OWNER_CHARS))];
  } catch {
    return [];
  }
}

/** undefined: bits do not grow on the way down. */
function readSteps(path: string): { readonly bit: number; readonly other: Bytes }[] | undefined {
  const steps = [];
  let above = -1;
  for (let at = 0; at < path.length; at += STEP_CHARS) {
    const step = fromBase64Url(path.slice(at, at + STEP_CHARS));
    const bit = step[0] as number;
    if (bit <= above || bit >= 8 * OWNER_BYTES) return undefined;
    above = bit;
    steps.push({ bit, other: step.subarray(1) });
  }
  return steps;
}

function toList(sha256: Sha256, digests: readonly string[]): Bytes {
  const bytes = digests.map(fromBase64Url);
  return bytes.length === 1 ? (bytes[0] as Bytes) : sha256(LIST, ...bytes);
}

function toLeaf(sha256: Sha256, owner: Bytes, list: Bytes): Bytes {
  return sha256(LEAF, owner, list);
}

function toNode(sha256: Sha256, bit: number, left: Bytes, right: Bytes): Bytes {
  return sha256(NODE, Uint8Array.of(bit), left, right);
}

function bitAt(owner: Bytes, bit: number): number {
  return ((owner[bit >> 3] as number) >> (7 - (bit & 7))) & 1;
}
