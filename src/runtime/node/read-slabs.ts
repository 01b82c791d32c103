/**
 * Memory that sockets are read into, over and over. A fresh buffer for each read, and another for the message that lies in two of
 * them, cost a relay more than all else that it does: V8 collects the whole heap whenever 64 MiB of such buffers have come and gone.
 */

import type { Bytes } from '../../core/bytes.ts';

/** What one read may bring: three full records, and the beginning of a fourth. */
export const SLAB_BYTES = 256 * 1024;
/** Slabs that are kept while nobody needs them, and that sockets may have although they hold nothing now. */
const MAX_SPARE = 8;

export type Slab = Uint8Array<ArrayBuffer>;

interface Pin {
  readonly slab: Slab;
  /** Sends that still read it. */
  sends: number;
  /** Nobody else has it any more. */
  isGiven: boolean;
}

export class ReadSlabs {
  /** For sockets that bring little: one for all, because they are read one after the other, and all that came is dealt with at once. */
  readonly shared: Slab = new Uint8Array(SLAB_BYTES);
  readonly #lent = new Set<ArrayBufferLike>();
  readonly #free: Slab[] = [];
  readonly #pins = new Map<ArrayBufferLike, Pin>();

  /** Whether a socket may have one that it does not need now. */
  get hasSpare(): boolean {
    return this.#lent.size <= MAX_SPARE;
  }

  /** One for a socket alone; what is in it is undefined. */
  take(): Slab {
    const slab = this.#free.pop() ?? new Uint8Array(SLAB_BYTES);
    this.#lent.add(slab.buffer);
    return slab;
  }

  give(slab: Slab): void {
    const pin = this.#pins.get(slab.buffer);
    if (pin !== undefined) {
      pin.isGiven = true;
      return;
    }
    this.#lent.delete(slab.buffer);
    if (this.#free.length < MAX_SPARE) this.#free.push(slab);
  }

  isPinned(slab: Slab): boolean {
    return this.#pins.has(slab.buffer);
  }

  /** A message that may be handed to the network: what is read next must not overwrite it. */
  toSendable(message: Bytes): Bytes {
    return message.buffer === this.shared.buffer ? message.slice() : message;
  }

  /** The network has not taken all of `message` yet. @returns to be called when it has; undefined: it is in no slab */
  pin({ buffer }: Bytes): (() => void) | undefined {
    if (!this.#lent.has(buffer)) return undefined;
    const pin = this.#pins.get(buffer) ?? { slab: new Uint8Array(buffer as ArrayBuffer), sends: 0, isGiven: false };
    this.#pins.set(buffer, pin);
    pin.sends++;
    return () => {
      if (--pin.sends > 0) return;
      this.#pins.delete(buffer);
      if (pin.isGiven) this.give(pin.slab);
    };
  }
}

/** Those of this process. */
export const readSlabs = new ReadSlabs();
