/** Vaults of one web origin, in memory: pages that are given the same `Vaults` share what they keep. */
import type { Vault } from '../../src/core/platform.ts';

export class Vaults {
  readonly #records = new Map<string, Map<string, unknown>>();
  /** Of each vault, the end of the last claim. */
  readonly #claims = new Map<string, Promise<void>>();

  readonly open = async (name: string): Promise<Vault> => {
    const records = this.recordsOf(name);
    return {
      read: async (key) => records.get(key),
      write: async (entries) => {
        for (const [key, value] of Object.entries(entries)) {
          if (value === undefined) records.delete(key);
          else records.set(key, value);
        }
      },
      lock: async () => {
        const before = this.#claims.get(name);
        let release = (): void => undefined;
        this.#claims.set(name, new Promise((resolve) => (release = resolve)));
        await before;
        return { release: async () => release() };
      },
    };
  };

  recordsOf(name: string): Map<string, unknown> {
    const records = this.#records.get(name) ?? new Map<string, unknown>();
    this.#records.set(name, records);
    return records;
  }
}
