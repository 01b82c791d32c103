/** `Shelf` in a vault of the runtime, such as that of a web origin: keys lie there as they are, and nothing reads them out. */

import { holdIdentityKey, type IdentityKey } from '../auth/key-pair.ts';
import type { Vault } from '../core/platform.ts';
import type { KeptRecord, Shelf } from './shelf.ts';

interface KeptKey {
  readonly publicJwk: unknown;
  readonly privateKey: unknown;
}

export class VaultShelf implements Shelf {
  readonly writesKeys = false;
  readonly #vault: Vault;
  readonly #name: string;

  constructor(vault: Vault, name: string) {
    this.#vault = vault;
    this.#name = name;
  }

  async get(name: string): Promise<KeptRecord | undefined> {
    const record = await this.#vault.read(name);
    return record === undefined ? undefined : { place: `${this.#name}/${name}`, read: () => record };
  }

  put(name: string, record: object): Promise<void> {
    return this.#vault.write({ [name]: record });
  }

  remove(name: string): Promise<void> {
    return this.#vault.write({ [name]: undefined });
  }

  async setAside(name: string): Promise<string> {
    const copy = `${name}.damaged`;
    await this.#vault.write({ [copy]: await this.#vault.read(name), [name]: undefined });
    return copy;
  }

  async exportKey({ privateKey, publicJwk }: IdentityKey): Promise<KeptKey> {
    return { privateKey, publicJwk };
  }

  importKey(value: unknown): Promise<IdentityKey> {
    const { privateKey, publicJwk } = (value ?? {}) as Partial<KeptKey>;
    return holdIdentityKey(privateKey, publicJwk);
  }

  async claim(): Promise<() => void> {
    const lock = await this.#vault.lock();
    return () => void lock.release();
  }
}
