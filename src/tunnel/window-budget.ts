/**
 * Bytes that windows share beyond those they begin with. One grows only as far as what is left behind it is as much as it has then (dynamic
 * thresholds, Choudhury and Hahne 1998): a single one gets half of all, and however many have grown, the next finds room to begin.
 */
export class WindowBudget {
  #leftBytes: number;

  constructor(bytes: number) {
    this.#leftBytes = bytes;
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** Most that a window of `windowBytes` may grow to. */
  most(windowBytes: number): number {
    return Math.floor((this.#leftBytes + windowBytes) / 2);
  }

  /** Bytes that a window has grown by, or less than none: it is gone. */
  take(bytes: number): void {
    this.#leftBytes -= bytes;
  }

  giveBack(bytes: number): void {
    this.#leftBytes += bytes;
  }
}
