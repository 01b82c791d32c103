/** A storage of texts that is asked for each of them once: an identity is the same for all requests of an isolate, and KV is slow. */

import type { TextStorage } from './bindings.ts';

export class RememberedTexts implements TextStorage {
  readonly #storage: TextStorage;
  readonly #texts = new Map<string, string>();

  constructor(storage: TextStorage) {
    this.#storage = storage;
  }

  async get(key: string): Promise<unknown> {
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    const text = await this.#storage.get(key);
    // What is not there yet may be soon.
    if (typeof text === 'string') this.#texts.set(key, text);
    return text;
  }

  async put(key: string, value: string): Promise<void> {
    await this.#storage.put(key, value);
    this.#texts.set(key, value);
  }

  async delete(key: string): Promise<void> {
    this.#texts.delete(key);
    await this.#storage.delete(key);
  }
}
