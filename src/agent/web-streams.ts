/** Between the event-style streams of the data plane and the WHATWG streams of applications, with credit in both directions. */

import type { Bytes } from '../core/bytes.ts';

/** Where a `BodyReader` puts what it reads. */
export interface ChunkSink {
  /** False: stop until `resume` is called. */
  write(chunk: Bytes): boolean;
  end(): void;
  /** The source failed, or gave something that is no bytes. */
  fail(reason: unknown): void;
}

/** Reads a WHATWG stream as fast as its sink takes it. */
export class BodyReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #sink: ChunkSink;
  #resume: (() => void) | undefined;
  #isCancelled = false;

  constructor(stream: ReadableStream<Uint8Array>, sink: ChunkSink) {
    this.#reader = stream.getReader();
    this.#sink = sink;
  }

  start(): void {
    this.#run().catch((reason) => {
      if (!this.#isCancelled) this.#sink.fail(reason);
    });
  }

  /** The sink has room again. */
  resume(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  /** Nobody wants the rest. */
  cancel(reason: unknown): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    this.resume();
    this.#reader.cancel(reason).catch(() => undefined); // a source that fails while it is cancelled is of no interest
  }

  async #run(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (this.#isCancelled) return;
      if (done) {
        this.#sink.end();
        return;
      }
      if (!(value instanceof Uint8Array)) throw new TypeError('Cannot send body: a chunk is not a Uint8Array');
      if (value.length === 0) continue;
      // The application may write into its chunk again; what is handed on is never changed.
      if (this.#sink.write(value.slice())) continue;
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
      });
      if (this.#isCancelled) return;
    }
  }
}

/** What a `BodySource` tells its producer. */
export interface SourceOwner {
  /** The application has taken `bytes`. */
  onTaken(bytes: number): void;
  /** The application wants no more. */
  onCancel(reason: unknown): void;
}

/** A WHATWG stream that is fed by events. Bytes count as taken when the application reads them, so that credit follows it. */
export class BodySource {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #owner: SourceOwner;
  readonly #waiting: Bytes[] = [];
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #wanted: (() => void) | undefined;
  #isEnded = false;
  #isOver = false;

  constructor(owner: SourceOwner) {
    this.#owner = owner;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: (reason) => {
          this.#isOver = true;
          this.#waiting.length = 0;
          this.#owner.onCancel(reason);
        },
      },
      // Nothing is taken ahead of the application: what waits is under the sender's window.
      { highWaterMark: 0 },
    );
  }

  push(chunk: Bytes): void {
    if (this.#isOver) {
      this.#owner.onTaken(chunk.length);
      return;
    }
    this.#waiting.push(chunk);
    this.#serve();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isEnded = true;
    if (this.#waiting.length === 0) this.#finish();
  }

  fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting.length = 0;
    this.#controller?.error(reason);
    this.#wake();
  }

  #pull(): Promise<void> | undefined {
    if (this.#isOver) return undefined;
    if (this.#waiting.length > 0) {
      this.#give();
      return undefined;
    }
    return new Promise((resolve) => {
      this.#wanted = resolve;
    });
  }

  #serve(): void {
    if (this.#wanted === undefined || this.#waiting.length === 0) return;
    this.#give();
    this.#wake();
  }

  #give(): void {
    const chunk = this.#waiting.shift() as Bytes;
    this.#controller?.enqueue(chunk as Uint8Array<ArrayBuffer>);
    this.#owner.onTaken(chunk.length);
    if (this.#isEnded && this.#waiting.length === 0) this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    this.#controller?.close();
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wanted;
    this.#wanted = undefined;
    wake?.();
  }
}
