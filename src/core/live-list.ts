/**
 * A list of what comes and goes with each request. A `Map` or a `Set` that is filled and emptied all the time leaves a chain of old
 * tables: once one of them is among the old, each keeps the next and all that was in it alive until the next full collection.
 * This list is written in place.
 */

/** Something that may be in one list at a time. */
export interface Listed {
  /** Its place, written by the list; -1 while it is in none. */
  index: number;
}

export class LiveList<T extends Listed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** `item` is in no other list. Idempotent. */
  add(item: T): void {
    if (item.index >= 0) return;
    item.index = this.#items.length;
    this.#items.push(item);
  }

  /** Idempotent. */
  delete(item: T): void {
    const { index } = item;
    if (index < 0) return;
    item.index = -1;
    const last = this.#items.pop() as T;
    if (last === item) return;
    last.index = index;
    this.#items[index] = last;
  }

  /** A list of its own: items may leave while it is read. In no order. */
  all(): T[] {
    return [...this.#items];
  }
}
