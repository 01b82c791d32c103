/** `Files` on node:fs: what a promise has resolved for survives a power cut. */

import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Bytes } from '../../core/bytes.ts';
import { SkeinError } from '../../core/errors.ts';
import type { AppendFile, Files } from '../../core/platform.ts';
import { lockFile } from './file-lock.ts';
import { explainSystemError, systemErrorCode } from './system-error.ts';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

let temporaryFiles = 0;

export const nodeFiles: Files = {
  async read(path) {
    try {
      const content = await readFile(path);
      return new Uint8Array(content.buffer, content.byteOffset, content.length);
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw storeError('read', path, error);
    }
  },

  async replace(path, content, mode = FILE_MODE) {
    // Beside the target: a rename is atomic only inside one file system.
    const temporary = `${path}.${process.pid}.${temporaryFiles++}.tmp`;
    try {
      await makeFolder(dirname(path));
      const file = await open(temporary, 'wx', mode);
      try {
        // The umask may have taken bits away.
        await file.chmod(mode);
        await writeWhole(file, content, 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
      await syncFolder(dirname(path));
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw storeError('write', path, error);
    }
  },

  async openAppend(path) {
    try {
      await makeFolder(dirname(path));
      // Not 'a': appending ignores positions on Linux, and a torn tail must be overwritten, not followed.
      const file = await open(path, 'r+', FILE_MODE).catch((error: unknown) => {
        if (systemErrorCode(error) !== 'ENOENT') throw error;
        return open(path, 'wx+', FILE_MODE);
      });
      await syncFolder(dirname(path));
      const { size } = await file.stat();
      return new NodeAppendFile(path, file, size);
    } catch (error) {
      throw storeError('open', path, error);
    }
  },

  async remove(path) {
    try {
      await rm(path, { force: true });
      await syncFolder(dirname(path)).catch((error: unknown) => {
        if (systemErrorCode(error) !== 'ENOENT') throw error;
      });
    } catch (error) {
      throw storeError('remove', path, error);
    }
  },

  async makeFolder(path) {
    try {
      await makeFolder(path);
    } catch (error) {
      throw storeError('make folder', path, error);
    }
  },

  async lock(path) {
    try {
      await makeFolder(dirname(path));
      return await lockFile(path);
    } catch (error) {
      throw error instanceof SkeinError ? error : storeError('lock', path, error);
    }
  },
};

class NodeAppendFile implements AppendFile {
  readonly #path: string;
  readonly #file: FileHandle;
  /** Bytes known to be on disk. */
  #sizeBytes: number;
  /** Calls run one after the other, in the order in which they came. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string, file: FileHandle, sizeBytes: number) {
    this.#path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  append(bytes: Bytes): Promise<void> {
    return this.#enqueue('append to', async () => {
      try {
        await writeWhole(this.#file, bytes, this.#sizeBytes);
        await this.#file.datasync();
      } catch (error) {
        // A full disk may have taken half of it; what follows must not stand behind half a record.
        await this.#file.truncate(this.#sizeBytes).catch(() => undefined);
        throw error;
      }
      this.#sizeBytes += bytes.length;
    });
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#enqueue('truncate', async () => {
      await this.#file.truncate(sizeBytes);
      await this.#file.sync();
      this.#sizeBytes = sizeBytes;
    });
  }

  close(): Promise<void> {
    return this.#enqueue('close', () => this.#file.close());
  }

  #enqueue(action: string, run: () => Promise<void>): Promise<void> {
    const result = this.#last.then(run).catch((error: unknown) => {
      throw storeError(action, this.#path, error);
    });
    this.#last = result.catch(() => undefined);
    return result;
  }
}

async function writeWhole(file: FileHandle, bytes: Bytes, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

/**
 * The folder and those above it. Not by the option `recursive`: where a parent is there and takes no children (a link to
 * a disk that is not mounted, /proc), it tries for ever, on Node in /proc and on Bun everywhere (oven-sh/bun#40600).
 */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: FOLDER_MODE });
  } catch (error) {
    if (await isFolder(path)) return;
    const parent = dirname(path);
    if (systemErrorCode(error) !== 'ENOENT' || parent === path) throw error;
    await makeFolder(parent);
    await mkdir(path, { mode: FOLDER_MODE }).catch(async (again: unknown) => {
      if (!(await isFolder(path))) throw again;
    });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** A new name is on disk only when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Of files and folders; an error code alone may as well be about a port. */
const FILE_REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'Give this user the right to it, or choose another folder.',
  EPERM: 'Give this user the right to it, or choose another folder.',
};

function storeError(action: string, path: string, cause: unknown): SkeinError {
  const { state, remedy: generalRemedy } = explainSystemError(cause);
  const remedy = FILE_REMEDIES[systemErrorCode(cause) ?? ''] ?? generalRemedy;
  return new SkeinError('SKEIN_STORE', `Cannot ${action} '${path}': ${state}`, {
    cause,
    details: { path, systemCode: systemErrorCode(cause), remedy },
  });
}
