/** What a member keeps of its identity between two starts: key, WIT-SVID and bundle; an enrolment that is under way; the audit log's head. */

import type { AuditHead } from '../auth/audit-chain.ts';
import { createIdentityKey, type IdentityKey } from '../auth/key-pair.ts';
import { parseTrustBundle, type TrustBundle } from '../auth/trust-bundle.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Shelf } from './shelf.ts';

export interface StoredIdentity {
  readonly key: IdentityKey;
  readonly wit: string;
  readonly bundle: TrustBundle;
}

/** A key made for a token, whose enrolment may have been cut off before its answer came. */
export interface StoredEnrolment {
  readonly key: IdentityKey;
  readonly tokenId: string;
}

interface IdentityRecord {
  readonly version: 1;
  /** As the shelf keeps keys. */
  readonly key: unknown;
  readonly wit: string;
  readonly bundle: TrustBundle;
}

interface EnrolmentRecord {
  readonly version: 1;
  readonly key: unknown;
  readonly tokenId: string;
}

interface AuditRecord extends AuditHead {
  readonly version: 1;
}

const IDENTITY = 'identity';
const AUDIT = 'audit';
const ENROLMENT = 'enrolment';

export class IdentityStore {
  readonly #shelf: Shelf | undefined;
  /** Writes follow each other, so that the last one wins. */
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** @param shelf undefined: nothing is kept */
  constructor(shelf: Shelf | undefined) {
    this.#shelf = shelf;
  }

  /** A new key, of the kind that can be kept here; one that need not be written down nothing can read. */
  createKey(): Promise<IdentityKey> {
    return createIdentityKey(this.#shelf?.writesKeys ?? false);
  }

  /** Waits until nobody else joins with what is kept here, and keeps others from it until the release; undefined: there are no others. */
  async claim(): Promise<(() => void) | undefined> {
    return this.#shelf?.claim();
  }

  /** @throws SkeinError SKEIN_STORE when there is one and it cannot be read */
  readIdentity(): Promise<StoredIdentity | undefined> {
    return this.#read(IDENTITY, async ({ key, wit, bundle }: Partial<IdentityRecord>, shelf) => {
      if (typeof wit !== 'string') throw new SyntaxError('no WIT-SVID');
      return { key: await shelf.importKey(key), wit, bundle: parseTrustBundle(bundle) };
    });
  }

  /** @throws SkeinError SKEIN_STORE when there is one and it cannot be read */
  readEnrolment(): Promise<StoredEnrolment | undefined> {
    return this.#read(ENROLMENT, async ({ key, tokenId }: Partial<EnrolmentRecord>, shelf) => {
      if (typeof tokenId !== 'string') throw new SyntaxError('no token id');
      return { key: await shelf.importKey(key), tokenId };
    });
  }

  /** Writes nothing more. Resolves when what was begun is over: the folder may be somebody else's then. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#writing.catch(() => undefined); // told to whoever wrote
  }

  /**
   * Puts what cannot be read beside its place, where a start with a token takes it for missing and somebody may look at it.
   * @returns what it is called now
   * @throws SkeinError SKEIN_STORE when nothing can be written
   */
  async setDamagedAside(): Promise<readonly string[]> {
    const moved: string[] = [];
    for (const [name, read] of [
      [IDENTITY, () => this.readIdentity()],
      [ENROLMENT, () => this.readEnrolment()],
      [AUDIT, () => this.readAudit()],
    ] as const) {
      const isDamaged = await read().then(
        () => false,
        () => true,
      );
      if (!isDamaged) continue;
      await this.#write(async (shelf) => {
        moved.push(await shelf.setAside(name));
      });
    }
    return moved;
  }

  /** How far the audit log had come when it was looked at last. @throws SkeinError SKEIN_STORE when there is one and it cannot be read */
  readAudit(): Promise<AuditHead | undefined> {
    return this.#read(AUDIT, async ({ seq, hash }: Partial<AuditRecord>) => {
      if (typeof seq !== 'number' || typeof hash !== 'string') throw new SyntaxError('no head');
      return { seq, hash };
    });
  }

  /** @throws SkeinError SKEIN_STORE */
  writeAudit({ seq, hash }: AuditHead): Promise<void> {
    return this.#write((shelf) => shelf.put(AUDIT, { version: 1, seq, hash } satisfies AuditRecord));
  }

  /** Replaces the identity; an enrolment is finished by it. @throws SkeinError SKEIN_STORE */
  writeIdentity({ key, wit, bundle }: StoredIdentity): Promise<void> {
    return this.#write(async (shelf) => {
      const record: IdentityRecord = { version: 1, key: await shelf.exportKey(key), wit, bundle };
      await shelf.put(IDENTITY, record);
      await shelf.remove(ENROLMENT);
    });
  }

  /** @throws SkeinError SKEIN_STORE */
  writeEnrolment({ key, tokenId }: StoredEnrolment): Promise<void> {
    return this.#write(async (shelf) => {
      const record: EnrolmentRecord = { version: 1, key: await shelf.exportKey(key), tokenId };
      await shelf.put(ENROLMENT, record);
    });
  }

  async #read<T, R extends { readonly version: number }>(
    name: string,
    parse: (record: Partial<R>, shelf: Shelf) => Promise<T>,
  ): Promise<T | undefined> {
    const shelf = this.#shelf;
    if (shelf === undefined) return undefined;
    const kept = await shelf.get(name);
    if (kept === undefined) return undefined;
    try {
      const record = (await kept.read()) as Partial<R> | null;
      if (record?.version !== 1) throw new SyntaxError('unknown version');
      return await parse(record, shelf);
    } catch (cause) {
      throw new SkeinError('SKEIN_STORE', `Cannot read identity: "${kept.place}" is damaged`, {
        cause,
        details: { remedy: 'Start with a new token of `skein token create`; what is damaged is set aside then.' },
      });
    }
  }

  #write(run: (shelf: Shelf) => Promise<void>): Promise<void> {
    const shelf = this.#shelf;
    if (shelf === undefined || this.#isClosed) return Promise.resolve();
    this.#writing = this.#writing
      .catch(() => undefined) // told to whoever wrote
      .then(() => run(shelf))
      .catch((thrown) => {
        throw toSkeinError(thrown, 'SKEIN_STORE');
      });
    return this.#writing;
  }
}
