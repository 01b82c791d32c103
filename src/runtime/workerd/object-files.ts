/** `Files` in the storage of a Durable Object: a hub keeps there what elsewhere is in its data folder. */

import type { Bytes } from '../../core/bytes.ts';
import { SkeinError } from '../../core/errors.ts';
import type { AppendFile, Files } from '../../core/platform.ts';
import type { ObjectValues } from './object-types.ts';

const PREFIX = 'file/';

/** Whole files only: there is one process, and no log that grows. */
export class ObjectFiles implements Files {
  readonly #values: ObjectValues;

  constructor(values: ObjectValues) {
    this.#values = values;
  }

  async read(path: string): Promise<Bytes | undefined> {
    const content = this.#values.get(PREFIX + path);
    return content instanceof Uint8Array ? (content as Bytes) : undefined;
  }

  async replace(path: string, content: Bytes): Promise<void> {
    this.#values.put(PREFIX + path, content);
  }

  async remove(path: string): Promise<void> {
    this.#values.delete(PREFIX + path);
  }

  async makeFolder(): Promise<void> {
    // Paths are keys.
  }

  async openAppend(path: string): Promise<AppendFile> {
    throw new SkeinError('SKEIN_STORE', `Cannot append to "${path}": an object keeps whole files only`);
  }

  async lock(): Promise<{ release(): Promise<void> }> {
    // An object runs once at a time, anywhere.
    return { release: async () => undefined };
  }
}
