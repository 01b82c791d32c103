/** The connections of local applications: served or joined, counted, and ended in order when the sidecar leaves. */

import { type ByteStream, pipe } from '../core/byte-stream.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { WatchedStream } from '../core/watched-stream.ts';
import { type H1ServerOptions, serveH1 } from '../http/h1-server.ts';
import { serveH2 } from '../http/h2-server.ts';
import type { HttpHandler } from '../http/handler.ts';
import { PrefaceStream } from '../http/preface-stream.ts';

export interface ConnectionsOptions {
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  /** Connections at once; more are reset as they come. @default 16_384 */
  readonly maxConnections?: number;
}

/** What can be asked to end, and made to. */
interface Connection {
  /** Ends behind what is being done. */
  drain(): void;
  close(error: SkeinError): void;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #open = new Set<Connection>();
  #isDraining = false;
  #onEmpty: () => void = () => undefined;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Takes a connection that has just come; one too many is reset. @returns whether it may go on */
  admit(stream: ByteStream): boolean {
    const { maxConnections = 16_384 } = this.#options;
    if (this.#open.size < maxConnections && !this.#isDraining) return true;
    stream.reset(new SkeinError('SKEIN_LIMIT', `Cannot take connection: ${this.#open.size} are open`));
    return false;
  }

  /** Serves HTTP on `stream`: HTTP/1.1, or HTTP/2 to a client that begins with it. */
  serve(stream: ByteStream, handler: HttpHandler, options: Partial<H1ServerOptions> = {}): void {
    const { clock, decodeLatin1 } = this.#options;
    const either = new PrefaceStream(stream, (http2) => {
      this.#track((onClose) => serveH2(http2, handler, { clock, decodeLatin1, onClose }));
    });
    this.#track((onClose) =>
      serveH1(either, handler, {
        ...{ clock, decodeLatin1, ...options },
        onClose: () => {
          onClose();
          options.onClose?.();
        },
      }),
    );
  }

  #track(serve: (onClose: () => void) => Connection): void {
    let isOver = false;
    let remove = (): void => {
      isOver = true;
    };
    const server = serve(() => remove());
    // The connection may have been lost before it could be served.
    if (isOver) return;
    remove = this.#add(server);
    if (this.#isDraining) server.drain();
  }

  /** Joins the two until both directions have ended. `onClose` is called once, with what broke them if something did. */
  join(local: ByteStream, remote: ByteStream, onClose: (error: SkeinError | undefined) => void): void {
    const watched: WatchedStream = new WatchedStream(local, () => undefined);
    const remove = this.#add({
      // What runs over it is not known, so there is no moment at which it could be asked to end.
      drain: () => undefined,
      close: (error) => watched.fail(error),
    });
    pipe(watched, remote, (error) => {
      remove();
      onClose(error);
    });
  }

  /** No connection takes on anything new. Resolves when all have ended. */
  drain(): Promise<void> {
    this.#isDraining = true;
    for (const connection of [...this.#open]) connection.drain();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      if (this.#open.size === 0) resolve();
    });
  }

  close(error: SkeinError): void {
    this.#isDraining = true;
    for (const connection of [...this.#open]) connection.close(error);
  }

  #add(connection: Connection): () => void {
    this.#open.add(connection);
    return () => {
      this.#open.delete(connection);
      if (this.#open.size === 0) this.#onEmpty();
    };
  }
}
