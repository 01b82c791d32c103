/** The list of revoked identities in as many messages as it needs: cut by the hub, put together again by the sidecar. */

import { SkeinError } from '../core/errors.ts';
import { measureMessage } from './codec.ts';
import { MAX_REVOCATIONS, PART_BYTES } from './limits.ts';
import type { Push } from './messages.ts';

type Entry = Push<'revocations'>['entries'][number];

export interface RevokedEntries {
  readonly number: number;
  readonly entries: readonly Entry[];
  /** The issuer's word on both. */
  readonly head?: string | undefined;
}

/** The pushes of a list, in order; the last one has `more: false`. */
export function splitRevocations({ number, entries, head }: RevokedEntries): Push<'revocations'>[] {
  const parts: Entry[][] = [[]];
  let size = 0;
  for (const entry of entries) {
    const bytes = measureMessage(entry);
    if (size > 0 && size + bytes > PART_BYTES) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1)?.push(entry);
    size += bytes;
  }
  const last = parts.length - 1;
  return parts.map((part, index) => {
    const more = index < last;
    return { number, more, entries: part, ...(more || head === undefined ? {} : { head }) };
  });
}

/** Collects the parts that come over one channel. */
export class RevocationAssembler {
  #number = 0;
  #entries: Entry[] = [];

  /** The list, when `push` is its last part. @throws SkeinError SKEIN_LIMIT */
  push({ number, more, entries, head }: Push<'revocations'>): RevokedEntries | undefined {
    if (number !== this.#number) this.#entries = [];
    this.#number = number;
    if (this.#entries.length + entries.length > MAX_REVOCATIONS) {
      throw new SkeinError('SKEIN_LIMIT', 'Cannot take revocations: there are too many');
    }
    this.#entries.push(...entries);
    if (more) return undefined;
    const list = { number, entries: this.#entries, ...(head === undefined ? {} : { head }) };
    this.#entries = [];
    return list;
  }
}
