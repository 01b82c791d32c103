/** Accepts each counter once, in nearly any order (RFC 4303 §3.4.3): a copy of an authentic message does nothing. */

const WIDTH = 32;

export class CounterWindow {
  #highest = -1;
  /** Bit `i` stands for `highest - i`. */
  #seen = 0;

  /** False when the counter came before, or is too old to tell. Call it only for what was authentic. */
  accept(counter: number): boolean {
    if (counter > this.#highest) {
      const step = counter - this.#highest;
      this.#seen = step >= WIDTH ? 1 : (this.#seen << step) | 1;
      this.#highest = counter;
      return true;
    }
    const age = this.#highest - counter;
    if (age >= WIDTH) return false;
    const bit = 1 << age;
    if ((this.#seen & bit) !== 0) return false;
    this.#seen |= bit;
    return true;
  }
}
