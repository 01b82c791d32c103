/**
 * The default store: one append-only file. A change is answered when it is on disk; changes that come together share one
 * fsync. A crash costs nothing that was answered; a file broken otherwise is not opened, because something that was is lost.
 */

import { type Bytes, concatBytes, EMPTY, encodeUtf8, equalBytes } from '../../core/bytes.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { AppendFile, FileLock, Files } from '../../core/platform.ts';
import { checkValue, type Store, type StoreChange, type StoreEntry } from '../store.ts';
import { encodeLog, encodeRecord, type LogRecord, readLog } from './log-format.ts';
import { StoreTable } from './table.ts';

export interface FileStoreOptions {
  readonly files: Files;
  readonly log: Logger;
  /** Compacts when at least this much of the file is history. @default 1 MiB */
  readonly compactBytes?: number;
}

/** How the file was found; `torn` was logged. */
export type StoreRecovery = 'new' | 'whole' | 'torn';

interface Pending {
  readonly record: LogRecord;
  readonly bytes: Bytes;
  readonly change: StoreChange;
  readonly resolve: () => void;
  readonly reject: (error: SkeinError) => void;
}

export class FileStore implements Store {
  readonly isShared = false;
  readonly isUp = true;
  readonly recovery: StoreRecovery;
  readonly #path: string;
  readonly #options: FileStoreOptions;
  readonly #lock: FileLock;
  readonly #table = new StoreTable();
  /** Changes on their way to the disk: what the next compare-and-set must compare with. */
  readonly #staged = new Map<string, StoreChange>();
  #file: AppendFile;
  #pending: Pending[] = [];
  #writing: Promise<void> | undefined;
  #revision = 0;
  /** The path holds a newer file than `#file`: nothing may be written to the old one. */
  #isReplaced = false;
  /** Bytes of the records that still count. */
  #liveBytes = 0;
  #isClosed = false;

  private constructor(
    path: string,
    options: FileStoreOptions,
    found: { readonly file: AppendFile; readonly lock: FileLock; readonly recovery: StoreRecovery },
    records: readonly LogRecord[],
  ) {
    this.#path = path;
    this.#options = options;
    this.#lock = found.lock;
    this.#file = found.file;
    this.recovery = found.recovery;
    for (const record of records) this.#replay(record);
  }

  /**
   * Opens or makes the store at `path`; `<path>.lock` keeps a second process out.
   * @throws SkeinError SKEIN_STORE when the disk refuses, another process uses it, or records in its middle are broken
   */
  static async open(path: string, options: FileStoreOptions): Promise<FileStore> {
    const { files, log } = options;
    const lock = await files.lock(`${path}.lock`);
    try {
      const bytes = (await files.read(path)) ?? EMPTY;
      const contents = readLog(bytes);
      const { state } = contents;
      if (state === 'corrupt') throw corrupt(path, contents.goodBytes, await setAside(files, path, bytes));
      const recovery: StoreRecovery = bytes.length === 0 ? 'new' : state;
      if (state === 'torn') {
        log.log('warn', 'store-tail-truncated', {
          path,
          keptBytes: contents.goodBytes,
          lostBytes: bytes.length - contents.goodBytes,
        });
      }
      if (contents.goodBytes === 0) await files.replace(path, encodeLog([]));
      const file = await files.openAppend(path);
      if (file.sizeBytes > contents.goodBytes && contents.goodBytes > 0) await file.truncate(contents.goodBytes);
      return new FileStore(path, options, { file, lock, recovery }, contents.records);
    } catch (thrown) {
      await lock.release();
      throw toSkeinError(thrown, 'SKEIN_STORE');
    }
  }

  get revision(): number {
    return this.#table.revision;
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  async get(key: string): Promise<StoreEntry | undefined> {
    return this.#table.get(key);
  }

  async list(prefix: string): Promise<readonly StoreEntry[]> {
    return this.#table.list(prefix);
  }

  async compareAndSet(key: string, revision: number, value: string): Promise<StoreEntry | undefined> {
    checkValue(encodeUtf8(value).length);
    if ((this.#latest(key)?.revision ?? 0) !== revision) return undefined;
    const entry = { key, value, revision: this.#revision + 1 };
    await this.#commit({ kind: 'put', ...entry }, { key, revision: entry.revision, entry });
    return entry;
  }

  async delete(key: string, revision: number): Promise<boolean> {
    if (this.#latest(key)?.revision !== revision) return false;
    const gone = { key, revision: this.#revision + 1 };
    await this.#commit({ kind: 'delete', ...gone }, { ...gone, entry: undefined });
    return true;
  }

  watch(prefix: string, listener: (change: StoreChange) => void): () => void {
    return this.#table.watch(prefix, listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing;
    await this.#file.close();
    await this.#lock.release();
  }

  #latest(key: string): StoreEntry | undefined {
    const staged = this.#staged.get(key);
    return staged === undefined ? this.#table.get(key) : staged.entry;
  }

  #commit(record: LogRecord, change: StoreChange): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new SkeinError('SKEIN_STORE', 'Cannot write to store: it is closed');
      const bytes = encodeRecord(record);
      this.#revision = record.revision;
      this.#staged.set(change.key, change);
      this.#pending.push({ record, bytes, change, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** Writes batch after batch until nothing waits: all that came during one fsync goes with the next. */
  async #write(): Promise<void> {
    await undefined; // what is asked for in this turn joins the first batch
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      try {
        if (this.#isReplaced) await this.#reopen();
        await this.#file.append(concatBytes(...batch.map(({ bytes }) => bytes)));
      } catch (thrown) {
        this.#giveUp(batch, toSkeinError(thrown, 'SKEIN_STORE'));
        continue;
      }
      for (const pending of batch) this.#settle(pending);
      await this.#compact();
    }
    this.#writing = undefined;
  }

  #settle({ change, bytes, resolve }: Pending): void {
    if (this.#staged.get(change.key) === change) this.#staged.delete(change.key);
    this.#account(change, bytes.length);
    this.#table.apply(change);
    resolve();
  }

  /** The disk refused a batch: neither it nor what was built upon it has happened. */
  #giveUp(batch: readonly Pending[], error: SkeinError): void {
    this.#options.log.log('error', 'store-write-failed', { path: this.#path, code: error.code, error: error.message });
    const all = [...batch, ...this.#pending];
    this.#pending = [];
    this.#staged.clear();
    for (const { reject } of all) reject(error);
  }

  #replay(record: LogRecord): void {
    this.#revision = record.revision;
    if (record.kind === 'floor') {
      this.#table.revision = record.revision;
      return;
    }
    const { key, revision } = record;
    const change = { key, revision, entry: record.kind === 'put' ? { key, revision, value: record.value } : undefined };
    this.#account(change, encodeRecord(record).length);
    this.#table.apply(change);
  }

  #account(change: StoreChange, bytes: number): void {
    const before = this.#table.get(change.key);
    if (before !== undefined) this.#liveBytes -= encodeRecord({ kind: 'put', ...before }).length;
    if (change.entry !== undefined) this.#liveBytes += bytes;
  }

  /** Replaces a file that is mostly history by one that holds what still counts. */
  async #compact(): Promise<void> {
    const historyBytes = this.#file.sizeBytes - this.#liveBytes;
    if (historyBytes < (this.#options.compactBytes ?? 1024 * 1024) || historyBytes < this.#liveBytes) return;
    const records: LogRecord[] = this.#table
      .list('')
      .sort((a, b) => a.revision - b.revision)
      .map((entry) => ({ kind: 'put', ...entry }));
    // The last revision given out may belong to a deletion, or to a change that still waits.
    const lastWritten = records.at(-1)?.revision ?? 0;
    const floor = this.#pending[0] === undefined ? this.#revision : this.#pending[0].record.revision - 1;
    if (floor > lastWritten) records.push({ kind: 'floor', revision: floor });
    try {
      await this.#options.files.replace(this.#path, encodeLog(records));
      this.#isReplaced = true;
      await this.#reopen();
    } catch (thrown) {
      this.#options.log.log('warn', 'store-compaction-failed', {
        path: this.#path,
        error: toSkeinError(thrown).message,
      });
    }
  }

  async #reopen(): Promise<void> {
    const file = await this.#options.files.openAppend(this.#path);
    const before = this.#file;
    this.#file = file;
    this.#isReplaced = false;
    await before.close();
  }
}

/** Keeps a copy of a broken file for those who want to look at it, one of each however often it is tried to start. */
async function setAside(files: Files, path: string, bytes: Bytes): Promise<string> {
  for (let number = 1; ; number++) {
    const copy = `${path}.corrupt-${number}`;
    const kept = await files.read(copy);
    if (kept === undefined) await files.replace(copy, bytes);
    else if (!equalBytes(kept, bytes)) continue;
    return copy;
  }
}

/** To go on with the good beginning would forget what was answered, and nobody would know what. */
function corrupt(path: string, goodBytes: number, copy: string): SkeinError {
  return new SkeinError('SKEIN_STORE', `Cannot open store "${path}": it is damaged from byte ${goodBytes} on`, {
    details: {
      path,
      copy,
      goodBytes,
      remedy:
        `A copy is "${copy}". Put the file of a backup in its place; without one, move the file away: ` +
        'the hub starts without the tokens, routes and policies in it, and sidecars keep their identities.',
    },
  });
}
