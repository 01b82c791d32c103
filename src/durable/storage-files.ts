/** `Files` of a member that has no disk: each file is one text in a Durable Object's storage, or in a KV namespace. */

import { decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { AppendFile, FileLock, Files } from '../core/platform.ts';
import type { TextStorage } from './bindings.ts';

/** Files of text, replaced as a whole: an identity is kept in such. */
export class StorageFiles implements Files {
  readonly #storage: TextStorage;
  readonly #prefix: string;

  /** @param prefix of the names, which tells these files from what else is stored there */
  constructor(storage: TextStorage, prefix = 'skein:') {
    this.#storage = storage;
    this.#prefix = prefix;
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    const text = await this.#storage.get(this.#prefix + path);
    return typeof text === 'string' ? encodeUtf8(text) : undefined;
  }

  replace(path: string, content: Uint8Array): Promise<void> {
    return this.#storage.put(this.#prefix + path, decodeUtf8(content));
  }

  async remove(path: string): Promise<void> {
    await this.#storage.delete(this.#prefix + path);
  }

  makeFolder(): Promise<void> {
    return Promise.resolve();
  }

  /** An object is alone with its storage. */
  lock(): Promise<FileLock> {
    return Promise.resolve({ release: () => Promise.resolve() });
  }

  openAppend(path: string): Promise<AppendFile> {
    const error = new SkeinError('SKEIN_CONFIG', `Cannot append to "${path}": there are only texts as a whole here`);
    return Promise.reject(error);
  }
}
