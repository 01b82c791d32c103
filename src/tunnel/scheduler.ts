/**
 * Which stream sends next: deficit round robin over four classes (RFC 9218 urgencies, plus what a stream just did).
 * A class with more weight goes first and oftener, but never strictly, so bulk cannot starve.
 */

import type { MuxStream } from './stream.ts';

/** No stream at all. */
export const CLASS_NONE = -1;
/** Classes in order: heads and the first bytes of a stream, urgent (1, for frames with an urgency of their own), normal, bulk. */
export const CLASS_FRESH = 0;
export const CLASS_NORMAL = 2;
export const CLASS_BULK = 3;

const QUANTUM_BYTES = 16 * 1024;
const WEIGHTS = [16, 8, 4, 1] as const;

export class Scheduler {
  readonly #classes: readonly MuxStream[][] = [[], [], [], []];
  readonly #heads = [0, 0, 0, 0];
  readonly #deficits = WEIGHTS.map((weight) => weight * QUANTUM_BYTES);
  #size = 0;

  /** Streams that are ready to send. */
  get size(): number {
    return this.#size;
  }

  /** Whether one of that class, or of one before it, is ready. */
  hasReady(lastClass: number): boolean {
    if (this.#size === 0) return false;
    for (let i = 0; i <= lastClass; i++) if (this.#length(i) > 0) return true;
    return false;
  }

  push(stream: MuxStream, trafficClass: number): void {
    (this.#classes[trafficClass] as MuxStream[]).push(stream);
    this.#size++;
  }

  /** Returns a stream to the front: it could not use its turn. */
  unshift(stream: MuxStream, trafficClass: number): void {
    const queue = this.#classes[trafficClass] as MuxStream[];
    const head = this.#heads[trafficClass] as number;
    if (head > 0) {
      queue[head - 1] = stream;
      this.#heads[trafficClass] = head - 1;
    } else {
      queue.unshift(stream);
    }
    this.#size++;
  }

  /** The class whose turn it is, or -1 when nothing is ready up to `lastClass`. */
  chooseClass(lastClass: number = CLASS_BULK): number {
    if (!this.hasReady(lastClass)) return -1;
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i <= lastClass; i++) if (this.#length(i) > 0 && (this.#deficits[i] as number) > 0) return i;
      // every class that has something to send has used its share: a new round begins
      for (let i = 0; i < 4; i++) {
        this.#deficits[i] = Math.min(0, this.#deficits[i] as number) + (WEIGHTS[i] as number) * QUANTUM_BYTES;
      }
    }
    for (let i = 0; i <= lastClass; i++) if (this.#length(i) > 0) return i;
    return -1;
  }

  shift(trafficClass: number): MuxStream {
    const queue = this.#classes[trafficClass] as MuxStream[];
    const head = this.#heads[trafficClass] as number;
    const stream = queue[head] as MuxStream;
    if (head > 32 && head * 2 > queue.length) {
      queue.splice(0, head + 1);
      this.#heads[trafficClass] = 0;
    } else {
      this.#heads[trafficClass] = head + 1;
    }
    this.#size--;
    return stream;
  }

  /** Notes that a turn of the class used `bytes`. */
  charge(trafficClass: number, bytes: number): void {
    this.#deficits[trafficClass] = (this.#deficits[trafficClass] as number) - bytes;
  }

  /** Whether a turn should be cut short because somebody else waits. */
  get turnBytes(): number {
    return this.#size > 0 ? QUANTUM_BYTES : Number.POSITIVE_INFINITY;
  }

  /** Drops the streams that have nothing to send any more. */
  compact(): void {
    this.#size = 0;
    for (let i = 0; i < 4; i++) {
      const queue = this.#classes[i] as MuxStream[];
      const ready = queue.slice(this.#heads[i]).filter((stream) => stream.hasWork);
      queue.length = 0;
      queue.push(...ready);
      this.#heads[i] = 0;
      this.#size += ready.length;
    }
  }

  clear(): void {
    for (let i = 0; i < 4; i++) {
      (this.#classes[i] as MuxStream[]).length = 0;
      this.#heads[i] = 0;
    }
    this.#size = 0;
  }

  #length(trafficClass: number): number {
    return (this.#classes[trafficClass] as MuxStream[]).length - (this.#heads[trafficClass] as number);
  }
}
