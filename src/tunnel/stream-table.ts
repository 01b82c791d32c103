/**
 * The open streams of a session by id. A `Map` that is filled and emptied all the time leaves a chain of old tables, each
 * of which keeps the streams of its day alive until the next full collection (measured: a third of all garbage was
 * promoted); this table is written in place and allocates only to grow.
 */

import type { MuxStream } from './stream.ts';

/** Room for one: a session with a hub never has more. */
const INITIAL_SLOTS = 4;

export class StreamTable {
  /** Open addressing with linear probing. Ids come one after the other, so that their low bits spread well. */
  #streams: (MuxStream | undefined)[] = new Array(INITIAL_SLOTS).fill(undefined);
  #mask = INITIAL_SLOTS - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): MuxStream | undefined {
    return this.#streams[this.#find(id)];
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  /** `id` is greater than 0 and not in the table. */
  add(id: number, stream: MuxStream): void {
    if (++this.#size * 2 > this.#mask) this.#grow();
    this.#streams[this.#find(id)] = stream;
  }

  /** Whether it was there. */
  delete(id: number): boolean {
    let hole = this.#find(id);
    if (this.#streams[hole] === undefined) return false;
    this.#size--;
    // Those behind the hole move up, or a search that begins before it would end in it.
    for (let slot = (hole + 1) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const stream = this.#streams[slot];
      if (stream === undefined) break;
      const home = this.#homeOf(stream.id);
      if (((slot - home) & this.#mask) < ((slot - hole) & this.#mask)) continue;
      this.#streams[hole] = stream;
      hole = slot;
    }
    this.#streams[hole] = undefined;
    return true;
  }

  clear(): void {
    this.#streams.fill(undefined);
    this.#size = 0;
  }

  /** A list of its own: streams may be removed while it is read. In no order. */
  all(): MuxStream[] {
    return this.#streams.filter((stream) => stream !== undefined);
  }

  #homeOf(id: number): number {
    return id & this.#mask;
  }

  /** The slot of `id`, or the free one where it would be put. */
  #find(id: number): number {
    let slot = this.#homeOf(id);
    for (;;) {
      const found = this.#streams[slot];
      if (found === undefined || found.id === id) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }

  #grow(): void {
    const streams = this.#streams;
    const slots = streams.length * 2;
    this.#streams = new Array(slots).fill(undefined);
    this.#mask = slots - 1;
    for (const stream of streams) if (stream !== undefined) this.#streams[this.#find(stream.id)] = stream;
  }
}
