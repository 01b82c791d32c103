/** Content-Length beside the framing of HTTP/2: a body must be exactly as long as it says (RFC 9113 §8.1.1). */

import { type Fields, getField } from './head.ts';

export class ContentLength {
  #expected: number | undefined;
  #received = 0;

  /** @returns whether the field is absent or a number */
  expect(fields: Fields): boolean {
    const text = getField(fields, 'content-length');
    if (text === undefined) return true;
    this.#expected = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return !Number.isNaN(this.#expected);
  }

  /** @returns whether the body is no longer than it said */
  add(bytes: number): boolean {
    this.#received += bytes;
    return this.#expected === undefined || this.#received <= this.#expected;
  }

  /** Is the body as long as it said? */
  get isReached(): boolean {
    return this.#expected === undefined || this.#received === this.#expected;
  }
}
