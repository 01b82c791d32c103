/** Sinks that record what they are told and let a test wait for it. */

import type { ByteSink, ByteStream } from '../../../src/core/byte-stream.ts';
import { type Bytes, concatBytes } from '../../../src/core/bytes.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import type { MessagePipe, MessagePipeEvents } from '../../../src/core/platform.ts';

class Waiters {
  #waiting: { readonly ready: () => boolean; readonly resolve: () => void }[] = [];

  check(): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ ready }) => !ready());
    for (const waiter of waiting) if (!this.#waiting.includes(waiter)) waiter.resolve();
  }

  until(ready: () => boolean): Promise<void> {
    if (ready()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ ready, resolve });
    });
  }
}

export class PipeRecorder implements MessagePipeEvents {
  readonly pipe: MessagePipe;
  readonly messages: Bytes[] = [];
  progress = 0;
  idlePongs = 0;
  closed: { readonly code: number; readonly reason: string } | undefined;
  /** Told after the close: must stay 0. */
  late = 0;
  onEach: (message: Bytes) => void = () => undefined;
  readonly #waiters = new Waiters();

  constructor(pipe: MessagePipe) {
    this.pipe = pipe;
    pipe.attach(this);
  }

  onMessage(message: Bytes): void {
    if (this.closed !== undefined) this.late++;
    this.onEach(message);
    this.messages.push(message.slice()); // it is only lent
    this.#waiters.check();
  }

  onProgress(): void {
    if (this.closed !== undefined) this.late++;
    this.progress++;
    this.#waiters.check();
  }

  onClose(code: number, reason: string): void {
    if (this.closed !== undefined) this.late++;
    this.closed = { code, reason };
    this.#waiters.check();
  }

  onIdlePong(): void {
    this.idlePongs++;
    this.#waiters.check();
  }

  until(ready: (recorder: this) => boolean): Promise<void> {
    return this.#waiters.until(() => ready(this));
  }

  async untilClosed(): Promise<{ readonly code: number; readonly reason: string }> {
    await this.until(() => this.closed !== undefined);
    return this.closed as { readonly code: number; readonly reason: string };
  }
}

export class StreamRecorder implements ByteSink {
  readonly stream: ByteStream;
  readonly chunks: Bytes[] = [];
  receivedBytes = 0;
  ended = false;
  drains = 0;
  error: SkeinError | undefined;
  /** Told after a reset: must stay 0. */
  late = 0;
  /** False: chunks are kept and no credit is returned. */
  consumes: boolean;
  /** False: only counted, for streams too large to keep. */
  keeps = true;
  readonly #waiters = new Waiters();

  constructor(stream: ByteStream, { consumes = true } = {}) {
    this.stream = stream;
    this.consumes = consumes;
    stream.attach(this);
  }

  onData(chunk: Bytes): void {
    if (this.error !== undefined) this.late++;
    if (this.keeps) this.chunks.push(chunk);
    this.receivedBytes += chunk.length;
    if (this.consumes) this.stream.consumed(chunk.length);
    this.#waiters.check();
  }

  onEnd(): void {
    if (this.error !== undefined) this.late++;
    this.ended = true;
    this.#waiters.check();
  }

  onDrain(): void {
    if (this.error !== undefined) this.late++;
    this.drains++;
    this.#waiters.check();
  }

  onReset(error: SkeinError): void {
    if (this.error !== undefined) this.late++;
    this.error = error;
    this.#waiters.check();
  }

  get bytes(): Bytes {
    return concatBytes(...this.chunks);
  }

  get text(): string {
    return new TextDecoder().decode(this.bytes);
  }

  until(ready: (recorder: this) => boolean): Promise<void> {
    return this.#waiters.until(() => ready(this));
  }
}
