/** `Files` in memory: a disk that ends with the test. */

import { type Bytes, concatBytes, EMPTY } from '../core/bytes.ts';
import type { AppendFile, FileLock, Files } from '../core/platform.ts';

export class MemoryFiles implements Files {
  readonly #contents = new Map<string, Bytes>();

  async read(path: string): Promise<Bytes | undefined> {
    return this.#contents.get(path)?.slice();
  }

  async replace(path: string, content: Bytes): Promise<void> {
    this.#contents.set(path, content.slice());
  }

  async openAppend(path: string): Promise<AppendFile> {
    const contents = this.#contents;
    const content = (): Bytes => contents.get(path) ?? EMPTY;
    return {
      get sizeBytes() {
        return content().length;
      },
      append: async (bytes) => void contents.set(path, concatBytes(content(), bytes)),
      truncate: async (sizeBytes) => void contents.set(path, content().slice(0, sizeBytes)),
      close: async () => undefined,
    };
  }

  async remove(path: string): Promise<void> {
    this.#contents.delete(path);
  }

  async makeFolder(): Promise<void> {
    // Folders are where files are.
  }

  async lock(): Promise<FileLock> {
    // Whoever held it has ended: there is one process, which starts each folder's owner once.
    return { release: async () => undefined };
  }
}
