/** `Shelf` in a folder: a JSON file of mode 0600 for each record, keys as JWKs. */

import { type IdentityKey, importIdentityKey } from '../auth/key-pair.ts';
import { type Bytes, decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import type { Files } from '../core/platform.ts';
import type { KeptRecord, Shelf } from './shelf.ts';

export class FileShelf implements Shelf {
  readonly writesKeys = true;
  readonly #files: Files;
  readonly #folder: string;

  constructor(files: Files, folder: string) {
    this.#files = files;
    this.#folder = folder;
  }

  async get(name: string): Promise<KeptRecord | undefined> {
    const place = this.#pathOf(name);
    const content = await this.#files.read(place);
    return content && { place, read: () => parseJson(content) };
  }

  async put(name: string, record: object): Promise<void> {
    await this.#files.makeFolder(this.#folder);
    await this.#files.replace(this.#pathOf(name), encodeUtf8(`${JSON.stringify(record)}\n`));
  }

  remove(name: string): Promise<void> {
    return this.#files.remove(this.#pathOf(name));
  }

  async setAside(name: string): Promise<string> {
    const content = await this.#files.read(this.#pathOf(name));
    const copy = `${name}.json.damaged`;
    if (content !== undefined) await this.#files.replace(`${this.#folder}/${copy}`, content);
    await this.remove(name);
    return copy;
  }

  async exportKey(key: IdentityKey): Promise<unknown> {
    return (await key.exportPrivate()).reveal();
  }

  importKey(value: unknown): Promise<IdentityKey> {
    return importIdentityKey(value);
  }

  /** A folder is one process's alone: whoever starts that process has locked it. */
  async claim(): Promise<undefined> {
    return undefined;
  }

  #pathOf(name: string): string {
    return `${this.#folder}/${name}.json`;
  }
}

/** JavaScript engines quote what they could not read: here that may be a piece of a private key. */
function parseJson(content: Bytes): unknown {
  try {
    return JSON.parse(decodeUtf8(content));
  } catch {
    throw new SyntaxError('it is not JSON');
  }
}
