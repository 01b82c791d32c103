/** A secret that cannot be printed: every text form is `[redacted]`. */

export class Redacted<T> {
  readonly #secret: T;

  constructor(secret: T) {
    this.#secret = secret;
  }

  /** The one way to the secret; easy to find by name in a review. */
  reveal(): T {
    return this.#secret;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[redacted]';
  }
}
