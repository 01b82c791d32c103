/** `mesh.connect` and `mesh.listen`: raw connections as pairs of WHATWG streams. */

import type { ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { BodySource } from './web-streams.ts';

/** A raw connection. Each direction ends on its own: closing `writable` is half a close, as in TCP. */
export interface MeshSocket {
  /** What the other end sends; it errors when the connection is lost or reset. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What is sent to the other end. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when both directions have ended; rejects with the `SkeinError` that ended the connection. */
  readonly closed: Promise<void>;
  /** Ends both directions at once; what is not sent yet is dropped. */
  abort(reason?: unknown): void;
}

/** A connection that another member has opened. */
export interface IncomingSocket extends MeshSocket {
  /** Proven SPIFFE id of who opened it. */
  readonly clientId: string;
}

export function toSocket(stream: ByteStream): MeshSocket {
  return new Socket(stream);
}

class Socket implements MeshSocket {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<void>;
  readonly #stream: ByteStream;
  readonly #source: BodySource;
  #writer: WritableStreamDefaultController | undefined;
  #drained: (() => void) | undefined;
  #openDirections = 2;
  #error: SkeinError | undefined;
  #resolveClosed: () => void = () => undefined;
  #rejectClosed: (error: SkeinError) => void = () => undefined;

  constructor(stream: ByteStream) {
    this.#stream = stream;
    this.closed = new Promise((resolve, reject) => {
      this.#resolveClosed = resolve;
      this.#rejectClosed = reject;
    });
    this.closed.catch(() => undefined); // who wants to know asks for it
    this.#source = new BodySource({
      onTaken: (bytes) => stream.consumed(bytes),
      onCancel: (reason) => this.abort(reason),
    });
    this.readable = this.#source.stream;
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writer = controller;
      },
      write: (chunk) => this.#write(chunk),
      close: () => {
        stream.end();
        this.#endDirection();
      },
      abort: (reason) => this.abort(reason),
    });
    stream.attach({
      onData: (chunk) => this.#source.push(chunk),
      onEnd: () => {
        this.#source.end();
        this.#endDirection();
      },
      onDrain: () => this.#wake(),
      onReset: (error) => this.#fail(error),
    });
  }

  abort(reason?: unknown): void {
    if (this.#error !== undefined || this.#openDirections === 0) return;
    const cause = reason === undefined ? {} : { cause: toSkeinError(reason) };
    const error = new SkeinError('SKEIN_CANCELLED', 'Cannot go on with connection: it was aborted here', cause);
    this.#stream.reset(error);
    this.#fail(error);
  }

  #write(chunk: unknown): Promise<void> | undefined {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('Cannot write: the chunk is not a Uint8Array');
    if (chunk.length === 0 || this.#stream.write(chunk.slice() as Bytes)) return undefined;
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  #wake(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  #endDirection(): void {
    if (--this.#openDirections === 0) this.#resolveClosed();
  }

  #fail(error: SkeinError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#writer?.error(error);
    this.#source.fail(error);
    this.#wake();
    this.#rejectClosed(error);
  }
}
