/** The local application as bytes: one TCP connection to it for each raw stream of the mesh. */

import { type ByteStream, pipe } from '../core/byte-stream.ts';
import { SkeinError } from '../core/errors.ts';
import type { ListenAddress, Platform } from '../core/platform.ts';

export interface RawAppOptions {
  readonly connectTcp: NonNullable<Platform['connectTcp']>;
  readonly target: ListenAddress;
  /** Connections at once; more are refused, and others try another instance. @default 4096 */
  readonly maxConnections?: number;
}

export class RawApp {
  readonly #options: RawAppOptions;
  #size = 0;

  constructor(options: RawAppOptions) {
    this.#options = options;
  }

  /** Connections open now. */
  get size(): number {
    return this.#size;
  }

  accept(stream: ByteStream): void {
    const { connectTcp, target, maxConnections = 4096 } = this.#options;
    if (this.#size >= maxConnections) {
      stream.reset(new SkeinError('SKEIN_LIMIT', `Cannot ask application: there are ${this.#size} connections to it`));
      return;
    }
    this.#size++;
    pipe(stream, connectTcp(target), () => {
      this.#size--;
    });
  }
}
