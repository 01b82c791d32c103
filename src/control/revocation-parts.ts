/** The list of revoked identities in as many messages as it needs: cut by the hub, put together again by the sidecar. */

import { SkeinError } from '../core/errors.ts';
import { measureMessage } from './codec.ts';
import { MAX_REVOCATIONS, PART_BYTES } from './limits.ts';
import type { Push } from './messages.ts';

type Entry = Push<'revocations'>['entries'][number];

export interface RevokedEntries {
  readonly number: number;
  readonly entries: readonly Entry[];
}

/** The pushes of a list, in order; the last one has `more: false`. */
export function splitRevocations({ number, entries }: RevokedEntries): Push<'revocations'>[] {
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
  return parts.map((part, index) => ({ number, more: index < parts.length - 1, entries: part }));
}

/** Collects the parts that come over one channel. */
export class RevocationAssembler {
  #number = 0;
  #entries: Entry[] = [];

  /** The list, when `push` is its last part. @throws SkeinError SKEIN_LIMIT */
  push({ number, more, entries }: Push<'revocations'>): RevokedEntries | undefined {
    if (number !== this.#number) this.#entries = [];
    this.#number = number;
    if (this.#entries.length + entries.length > MAX_REVOCATIONS) {
      throw new SkeinError('SKEIN_LIMIT', 'Cannot take revocations: there are too many');
    }
    this.#entries.push(...entries);
    if (more) return undefined;
    const list = { number, entries: this.#entries };
    this.#entries = [];
    return list;
  }
}
