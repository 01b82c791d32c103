/**
 * `HttpHandler`: whoever can perform a request — a local application, a peer over a stream, the router, user code.
 * Event-style, because the data plane may not pay a promise per chunk; handlers nest like middleware.
 */

import type { Bytes } from '../core/bytes.ts';
import type { SkeinError } from '../core/errors.ts';
import type { Fields, RequestHead, ResponseHead } from './head.ts';

/** Where the answer goes. Order: `onInformational`*, `onHead`, `onData`*, then one of `onEnd` and `onAbort`. Nothing follows those. */
export interface ReplySink {
  /** A 1xx other than 101. */
  onInformational(head: ResponseHead): void;
  /** `complete`: there is no body and no `onEnd` will follow. */
  onHead(head: ResponseHead, complete: boolean): void;
  /** Part of the body (raw bytes after a 101). Each byte is returned through `RequestBody.consumed`. */
  onData(chunk: Bytes): void;
  /** The body is whole. */
  onEnd(trailers: Fields): void;
  /** The answer fails, before or after its head; no partial answer may look complete. */
  onAbort(error: SkeinError): void;
  /** `RequestBody.write` returned false and there is room again. */
  onDrain(): void;
}

/** The request's body on its way, and the credit for the answer. Calls after the end of both directions are ignored. */
export interface RequestBody {
  /** Takes ownership of `chunk`. False: accepted, but stop until `onDrain`. */
  write(chunk: Bytes): boolean;
  /** The body is whole. */
  end(trailers: Fields): void;
  /** The caller gives up: nothing more is sent to its `ReplySink`. */
  abort(error: SkeinError): void;
  /** Returns credit for `bytes` of the answer. */
  consumed(bytes: number): void;
}

export interface HttpHandler {
  /**
   * Starts one request. `complete`: there is no body, and `end` must not be called. The sink may be called before this
   * returns only through `core/clock.ts` `endOfTick`, never synchronously.
   */
  request(head: RequestHead, complete: boolean, reply: ReplySink): RequestBody;
}
