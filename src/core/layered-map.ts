/** An immutable map by text: the one after a change shares what did not change, and costs about the root of their size. */

/** Fewer are not worth a layer of their own. */
const MIN_LAYER = 32;

export class LayeredMap<V> {
  /** Entries that are there. */
  readonly size: number;
  readonly #base: ReadonlyMap<string, V>;
  /** What differs from the base; undefined: it is gone. */
  readonly #layer: ReadonlyMap<string, V | undefined>;

  private constructor(base: ReadonlyMap<string, V>, layer: ReadonlyMap<string, V | undefined>, size: number) {
    this.#base = base;
    this.#layer = layer;
    this.size = size;
  }

  /** Without an entry. */
  static empty<V>(): LayeredMap<V> {
    return new LayeredMap<V>(new Map(), new Map(), 0);
  }

  get(key: string): V | undefined {
    return this.#layer.has(key) ? this.#layer.get(key) : this.#base.get(key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  *entries(): IterableIterator<[string, V]> {
    for (const [key, value] of this.#base) {
      const now = this.#layer.has(key) ? this.#layer.get(key) : value;
      if (now !== undefined) yield [key, now];
    }
    for (const [key, value] of this.#layer) if (value !== undefined && !this.#base.has(key)) yield [key, value];
  }

  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  /** The map after `changes`; undefined takes an entry away. */
  with(changes: ReadonlyMap<string, V | undefined>): LayeredMap<V> {
    const layer = new Map(this.#layer);
    let { size } = this;
    for (const [key, value] of changes) {
      size += Number(value !== undefined) - Number(this.has(key));
      if (value !== undefined || this.#base.has(key)) layer.set(key, value);
      else layer.delete(key);
    }
    const next = new LayeredMap(this.#base, layer, size);
    if (layer.size < MIN_LAYER || layer.size ** 2 < this.#base.size) return next;
    return new LayeredMap(new Map(next.entries()), new Map(), size);
  }
}
