/** A secret that cannot be printed: every text form is `[redacted]`. */

/** Holds a secret, such as a token, that comes out by `reveal` alone. */
export class Redacted<T> {
  readonly #secret: T;

  /** Keeps a secret, whatever it is, as it is. */
  constructor(secret: T) {
    this.#secret = secret;
  }

  /** The one way to the secret; easy to find by name in a review. */
  reveal(): T {
    return this.#secret;
  }

  /** `[redacted]`. */
  toString(): string {
    return '[redacted]';
  }

  /** `[redacted]`, in JSON. */
  toJSON(): string {
    return '[redacted]';
  }

  /** `[redacted]`, in what `console.log` prints */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[redacted]';
  }
}
