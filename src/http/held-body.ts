/** The body of a request that has no way out yet: what comes meanwhile is kept, the client is stopped, and later both go on. */

import type { Bytes } from '../core/bytes.ts';
import type { SkeinError } from '../core/errors.ts';
import type { ReplySink, RequestBody } from './handler.ts';
import type { Fields } from './head.ts';

export class HeldBody implements RequestBody {
  readonly #reply: ReplySink;
  #held: Bytes[] = [];
  #trailers: Fields | undefined;
  #out: RequestBody | undefined;
  #isOver = false;

  constructor(reply: ReplySink) {
    this.#reply = reply;
  }

  /** The client has given up: nothing must be started for it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  write(chunk: Bytes): boolean {
    if (this.#out !== undefined) return this.#out.write(chunk);
    if (!this.#isOver) this.#held.push(chunk);
    return this.#isOver;
  }

  end(trailers: Fields): void {
    if (this.#out === undefined) this.#trailers = trailers;
    else this.#out.end(trailers);
  }

  abort(error: SkeinError): void {
    this.#isOver = true;
    this.#held = [];
    this.#out?.abort(error);
  }

  consumed(bytes: number): void {
    this.#out?.consumed(bytes);
  }

  /** There is a way out now; called once, and not when `isOver`. */
  release(out: RequestBody): void {
    this.#out = out;
    const held = this.#held;
    this.#held = [];
    let hasRoom = true;
    for (const chunk of held) hasRoom = out.write(chunk);
    if (this.#trailers !== undefined) out.end(this.#trailers);
    else if (held.length > 0 && hasRoom) this.#reply.onDrain();
  }
}
