/** How many entries a part of the store has, as its watch tells: to count them by reading all would cost each who asks more than the last. */

import type { Store } from './store.ts';

export class Tally {
  readonly #keys = new Set<string>();
  readonly #unwatch: () => void;

  constructor(store: Store, prefix: string) {
    this.#unwatch = store.watch(prefix, ({ key, entry }) => {
      if (entry === undefined) this.#keys.delete(key);
      else this.#keys.add(key);
    });
  }

  get size(): number {
    return this.#keys.size;
  }

  close(): void {
    this.#unwatch();
  }
}
