/** Where a member keeps its key, its WIT-SVID and the bundle: a file of mode 0600 in its data folder, or nowhere. */

import type { AuditHead } from '../auth/audit-chain.ts';
import { type IdentityKey, importIdentityKey, type PrivateJwk } from '../auth/key-pair.ts';
import { parseTrustBundle, type TrustBundle } from '../auth/trust-bundle.ts';
import { type Bytes, decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Files } from '../core/platform.ts';

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

interface IdentityFile {
  readonly version: 1;
  readonly key: PrivateJwk;
  readonly wit: string;
  readonly bundle: TrustBundle;
}

interface EnrolmentFile {
  readonly version: 1;
  readonly key: PrivateJwk;
  readonly tokenId: string;
}

interface AuditFile extends AuditHead {
  readonly version: 1;
}

const IDENTITY = 'identity.json';
const AUDIT = 'audit.json';
const ENROLMENT = 'enrolment.json';

export class IdentityStore {
  readonly #files: Files | undefined;
  readonly #folder: string;
  /** Writes follow each other, so that the last one wins. */
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** @throws SkeinError SKEIN_CONFIG when a folder is named where there are no files */
  constructor(files: Files | undefined, folder: string | undefined) {
    if (folder !== undefined && files === undefined) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot keep identity: this runtime has no files');
    }
    this.#files = folder === undefined ? undefined : files;
    this.#folder = folder ?? '';
  }

  /** @throws SkeinError SKEIN_STORE when there is a file and it cannot be read */
  readIdentity(): Promise<StoredIdentity | undefined> {
    return this.#read(IDENTITY, async ({ key, wit, bundle }: Partial<IdentityFile>) => {
      if (typeof wit !== 'string') throw new SyntaxError('no WIT-SVID');
      return { key: await importIdentityKey(key), wit, bundle: parseTrustBundle(bundle) };
    });
  }

  /** @throws SkeinError SKEIN_STORE when there is a file and it cannot be read */
  readEnrolment(): Promise<StoredEnrolment | undefined> {
    return this.#read(ENROLMENT, async ({ key, tokenId }: Partial<EnrolmentFile>) => {
      if (typeof tokenId !== 'string') throw new SyntaxError('no token id');
      return { key: await importIdentityKey(key), tokenId };
    });
  }

  /** Writes nothing more. Resolves when what was begun is over: the folder may be somebody else's then. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#writing.catch(() => undefined); // told to whoever wrote
  }

  /**
   * Puts files that cannot be read beside their places, where a start with a token takes them for missing and somebody may look at them.
   * @returns what they are called now
   * @throws SkeinError SKEIN_STORE when the folder cannot be written
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
      const copy = `${name}.damaged`;
      await this.#write(async (files) => {
        const content = await files.read(`${this.#folder}/${name}`);
        if (content !== undefined) await files.replace(`${this.#folder}/${copy}`, content);
        await files.remove(`${this.#folder}/${name}`);
      });
      moved.push(copy);
    }
    return moved;
  }

  /** How far the audit log had come when it was looked at last. @throws SkeinError SKEIN_STORE when there is a file and it cannot be read */
  readAudit(): Promise<AuditHead | undefined> {
    return this.#read(AUDIT, async ({ seq, hash }: Partial<AuditFile>) => {
      if (typeof seq !== 'number' || typeof hash !== 'string') throw new SyntaxError('no head');
      return { seq, hash };
    });
  }

  /** @throws SkeinError SKEIN_STORE */
  writeAudit({ seq, hash }: AuditHead): Promise<void> {
    return this.#write(async (files) => {
      const file: AuditFile = { version: 1, seq, hash };
      await files.replace(`${this.#folder}/${AUDIT}`, encodeUtf8(`${JSON.stringify(file)}\n`));
    });
  }

  /** Replaces the identity; an enrolment is finished by it. @throws SkeinError SKEIN_STORE */
  writeIdentity({ key, wit, bundle }: StoredIdentity): Promise<void> {
    return this.#write(async (files) => {
      const file: IdentityFile = { version: 1, key: (await key.exportPrivate()).reveal(), wit, bundle };
      await files.replace(`${this.#folder}/${IDENTITY}`, encodeUtf8(`${JSON.stringify(file)}\n`));
      await files.remove(`${this.#folder}/${ENROLMENT}`);
    });
  }

  /** @throws SkeinError SKEIN_STORE */
  writeEnrolment({ key, tokenId }: StoredEnrolment): Promise<void> {
    return this.#write(async (files) => {
      const file: EnrolmentFile = { version: 1, key: (await key.exportPrivate()).reveal(), tokenId };
      await files.makeFolder(this.#folder);
      await files.replace(`${this.#folder}/${ENROLMENT}`, encodeUtf8(`${JSON.stringify(file)}\n`));
    });
  }

  async #read<T, F>(name: string, parse: (file: F) => Promise<T>): Promise<T | undefined> {
    const path = `${this.#folder}/${name}`;
    const content = await this.#files?.read(path);
    if (content === undefined) return undefined;
    try {
      const file = parseJson(content);
      if (file?.version !== 1) throw new SyntaxError('unknown version');
      return await parse(file);
    } catch (cause) {
      throw new SkeinError('SKEIN_STORE', `Cannot read identity: "${path}" is damaged`, {
        cause,
        details: { remedy: 'Start with a new token of `skein token create`; the damaged file is set aside then.' },
      });
    }
  }

  #write(run: (files: Files) => Promise<void>): Promise<void> {
    const files = this.#files;
    if (files === undefined || this.#isClosed) return Promise.resolve();
    this.#writing = this.#writing
      .catch(() => undefined) // told to whoever wrote
      .then(() => run(files))
      .catch((thrown) => {
        throw toSkeinError(thrown, 'SKEIN_STORE');
      });
    return this.#writing;
  }
}

/** JavaScript engines quote what they could not read: here that may be a piece of a private key. */
function parseJson(content: Bytes) {
  try {
    return JSON.parse(decodeUtf8(content));
  } catch {
    throw new SyntaxError('it is not JSON');
  }
}
