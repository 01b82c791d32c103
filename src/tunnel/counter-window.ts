/** Accepts each counter once, in nearly any order (RFC 4303 §3.4.3, RFC 6479): a copy of an authentic message does nothing. */

/** Records of a path that is a second slower than another one come behind hundreds of that one's. A multiple of 32. */
const WIDTH = 1024;

export class CounterWindow {
  /** Ring of bits, by counter. */
  readonly #seen = new Uint32Array(WIDTH / 32);
  #highest = -1;

  /** False when the counter came before, or is too old to tell. Call it only for what was authentic. */
  accept(counter: number): boolean {
    if (counter <= this.#highest - WIDTH) return false;
    if (counter > this.#highest) {
      const from = Math.max(this.#highest + 1, counter - WIDTH + 1);
      for (let at = from; at <= counter; at++) this.#clear(at);
      this.#highest = counter;
    }
    const word = Math.floor(counter / 32) % this.#seen.length;
    const bit = 1 << (counter % 32);
    if (((this.#seen[word] as number) & bit) !== 0) return false;
    this.#seen[word] = (this.#seen[word] as number) | bit;
    return true;
  }

  #clear(counter: number): void {
    const word = Math.floor(counter / 32) % this.#seen.length;
    this.#seen[word] = (this.#seen[word] as number) & ~(1 << (counter % 32));
  }
}
