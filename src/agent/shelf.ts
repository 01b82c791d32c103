/** `Shelf`: where records of an identity lie, and in which form its key may lie there. */

import type { IdentityKey } from '../auth/key-pair.ts';

/** A record as it lies there. */
export interface KeptRecord {
  /** Where, for people. */
  readonly place: string;
  /** @throws SyntaxError when it is none */
  read(): unknown;
}

export interface Shelf {
  /** Keys are written down, so that whoever keeps one must be able to read it. */
  readonly writesKeys: boolean;
  /** @throws SkeinError SKEIN_STORE */
  get(name: string): Promise<KeptRecord | undefined>;
  /** @throws SkeinError SKEIN_STORE */
  put(name: string, record: object): Promise<void>;
  remove(name: string): Promise<void>;
  /** Moves a record out of the way. @returns what it is called now */
  setAside(name: string): Promise<string>;
  /** The key as it is kept in a record. */
  exportKey(key: IdentityKey): Promise<unknown>;
  /** @throws SkeinError SKEIN_CONFIG when it is no key */
  importKey(value: unknown): Promise<IdentityKey>;
  /** Keeps others from joining with what lies here until the release, and waits for those who do; undefined: there cannot be any. */
  claim(): Promise<(() => void) | undefined>;
}
