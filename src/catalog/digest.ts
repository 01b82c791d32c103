/**
 * Digest of a catalogue: every resource is hashed in its canonical form (JSON with sorted member names, as RFC 8785),
 * the digest is the XOR of the hashes. It does not depend on order, and a change costs the changed resources only.
 * XOR of 128 bits finds accidents (lost or doubled changes); it is no defence against a hub that lies, and none is
 * needed: the catalogue arrives over an authenticated session from the only one who makes it.
 */

import { type Bytes, encodeUtf8 } from '../core/bytes.ts';
import { type Resource, resourceKey } from './resource.ts';

export type Sha256 = (...parts: readonly Bytes[]) => Bytes;

/** The first 128 bits of a SHA-256, as four numbers of 32 bits. */
export type ResourceHash = readonly [number, number, number, number];

const NOTHING: ResourceHash = [0, 0, 0, 0];

export function hashResource(sha256: Sha256, resource: Resource): ResourceHash {
  const hash = sha256(encodeUtf8(`${resourceKey(resource)}\n${toCanonicalJson(resource)}`));
  const view = new DataView(hash.buffer, hash.byteOffset, hash.byteLength);
  return [view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12)];
}

export function isSameHash(a: ResourceHash, b: ResourceHash): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

/** The digest of a set that changes; adding and taking away are the same step. */
export class SetDigest {
  #value: ResourceHash;

  constructor(from?: SetDigest) {
    this.#value = from === undefined ? NOTHING : from.#value;
  }

  toggle(hash: ResourceHash): void {
    const [a, b, c, d] = this.#value;
    this.#value = [a ^ hash[0], b ^ hash[1], c ^ hash[2], d ^ hash[3]];
  }

  /** 32 hexadecimal digits. */
  toString(): string {
    return this.#value.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }
}

/** JSON with the members of every object in the order of their names; undefined members are left out. */
export function toCanonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => toCanonicalJson(item ?? null)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${toCanonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}
