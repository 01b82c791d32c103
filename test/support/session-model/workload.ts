/** What the applications of the model do: streams whose every byte is known, and requests that count how often they are executed. */

import assert from 'node:assert/strict';
import type { HeadedSink, HeadedStream } from '../../../src/core/byte-stream.ts';
import { type Bytes, decodeUtf8, encodeUtf8 } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import type { Session } from '../../../src/tunnel/session.ts';
import { type IncomingStream, STREAM_KIND } from '../../../src/tunnel/stream.ts';
import type { ModelProcess } from './process.ts';

/** One stream, and what each end does on it. `way` 0 is from the one that opened it to the other. */
export interface StreamPlan {
  readonly key: number;
  /** A request is tried again when it was not processed, and answered by a head with its key. */
  readonly isRequest: boolean;
  readonly bytes: readonly [out: number, back: number];
  readonly chunkBytes: number;
  /** Between two chunks, and before what came is consumed; 0 for as fast as it goes. */
  readonly writeMs: readonly [number, number];
  readonly readMs: readonly [number, number];
  /** Which end resets it, once it has received so many bytes. */
  readonly reset: { readonly way: 0 | 1; readonly afterBytes: number } | undefined;
  /** The callee refuses it unprocessed. */
  readonly isRefused: boolean;
}

const MAX_TRIES = 5;
const RETRY_MS = 100;
/** Codes by which a stream may end that nobody has broken. */
const EXPECTED_ENDS: ReadonlySet<string> = new Set([
  'SKEIN_CANCELLED',
  'SKEIN_REFUSED',
  'SKEIN_DRAINING',
  'SKEIN_SESSION_LOST',
]);

/** Byte `i` of stream `key` in direction `way`: a reader can tell what is missing, doubled or foreign. */
function byteAt(key: number, way: number, i: number): number {
  return (key * 31 + way * 17 + i * 7 + (i >> 8)) & 255;
}

/** One end of a stream. */
export class StreamEnd implements HeadedSink {
  readonly plan: StreamPlan;
  readonly way: 0 | 1;
  readonly #stream: HeadedStream;
  readonly process: ModelProcess;
  readonly #onOver: (end: StreamEnd) => void;
  written = 0;
  received = 0;
  answer: string | undefined;
  error: SkeinError | undefined;
  #unread = 0;
  #isEnded = false;
  #hasEnded = false;
  #mayWrite = true;
  #isWaiting = false;
  #isReading = false;

  constructor(
    plan: StreamPlan,
    way: 0 | 1,
    stream: HeadedStream,
    process: ModelProcess,
    onOver: (end: StreamEnd) => void,
    isComplete = false,
  ) {
    this.plan = plan;
    this.way = way;
    this.#stream = stream;
    this.process = process;
    this.#onOver = onOver;
    this.#isEnded = isComplete;
    stream.attach(this);
    this.#write();
  }

  get isOver(): boolean {
    return this.error !== undefined || this.isWhole;
  }

  /** Everything was written, and everything has come and been read. */
  get isWhole(): boolean {
    return this.#isEnded && this.#hasEnded && this.#unread === 0;
  }

  onData(chunk: Bytes): void {
    assert.ok(this.error === undefined && !this.#isEnded, `stream ${this.plan.key}: bytes after its end`);
    for (const byte of chunk) {
      const i = this.received++;
      if (byte !== byteAt(this.plan.key, 1 - this.way, i))
        assert.fail(`stream ${this.plan.key}: byte ${i} is another one`);
    }
    const { reset } = this.plan;
    if (reset?.way === this.way && this.received >= reset.afterBytes) {
      this.error = new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the model says so');
      this.#stream.reset(this.error);
      return this.#onOver(this);
    }
    const delayMs = this.plan.readMs[this.way];
    this.#unread += chunk.length;
    if (delayMs === 0) return this.#read();
    if (this.#isReading) return;
    this.#isReading = true;
    this.process.setTimer(delayMs, () => {
      this.#isReading = false;
      this.#read();
    });
  }

  onHead(block: Bytes): void {
    assert.equal(this.answer, undefined, `stream ${this.plan.key}: a second head`);
    this.answer = decodeUtf8(block);
  }

  onEnd(): void {
    assert.equal(this.#isEnded, false, `stream ${this.plan.key}: END comes once`);
    assert.equal(this.received, this.plan.bytes[1 - this.way], `stream ${this.plan.key}: END before the last byte`);
    this.#isEnded = true;
    if (this.isWhole) this.#onOver(this);
  }

  onDrain(): void {
    this.#mayWrite = true;
    if (!this.#isWaiting) this.#write();
  }

  onReset(error: SkeinError): void {
    assert.equal(this.error, undefined, `stream ${this.plan.key}: nothing follows its end`);
    this.error = error;
    assert.ok(EXPECTED_ENDS.has(error.code), `stream ${this.plan.key}: ended by ${error.code}: ${error.message}`);
    this.#onOver(this);
  }

  #read(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (this.error !== undefined) return;
    this.#stream.consumed(bytes);
    if (this.isWhole) this.#onOver(this);
  }

  #write(): void {
    const { bytes, chunkBytes, key, writeMs } = this.plan;
    const total = bytes[this.way];
    while (this.error === undefined && !this.#hasEnded) {
      if (this.written === total) {
        this.#hasEnded = true;
        this.#stream.end();
        if (this.isWhole) this.#onOver(this);
        return;
      }
      if (!this.#mayWrite) return;
      const chunk = new Uint8Array(Math.min(chunkBytes, total - this.written));
      for (let i = 0; i < chunk.length; i++) chunk[i] = byteAt(key, this.way, this.written + i);
      this.written += chunk.length;
      this.#mayWrite = this.#stream.write(chunk);
      const delayMs = writeMs[this.way];
      if (delayMs === 0) continue;
      this.#isWaiting = true;
      this.process.setTimer(delayMs, () => {
        this.#isWaiting = false;
        this.#write();
      });
      return;
    }
  }
}

/** All that is asked of both applications, and what became of it. */
export class Workload {
  readonly ends: StreamEnd[] = [];
  /** How often a request was executed, by its key. */
  readonly executed = new Map<number, number>();
  /** Requests of which the caller was told that they were not processed, and gave up. */
  readonly unprocessed = new Set<number>();
  readonly #answered = new Set<number>();
  readonly #plans = new Map<number, StreamPlan>();
  #retries = 0;

  /** Requests that wait for another try. */
  get retries(): number {
    return this.#retries;
  }

  get answered(): number {
    return this.#answered.size;
  }

  /** Opens it on `session`, as the application of `process` would. */
  start(plan: StreamPlan, session: Session, process: ModelProcess, tries = 1): void {
    this.#plans.set(plan.key, plan);
    const meta = encodeUtf8(String(plan.key));
    const kind = plan.isRequest ? STREAM_KIND.http : STREAM_KIND.raw;
    try {
      const stream = session.openStream(kind, meta, meta.length, false);
      this.ends.push(
        new StreamEnd(plan, 0, stream, process, (end) => this.#onCallerOver(end, session, process, tries)),
      );
    } catch (thrown) {
      const error = thrown as SkeinError;
      assert.ok(error.code === 'SKEIN_LIMIT' || EXPECTED_ENDS.has(error.code), `cannot open stream: ${error.message}`);
      assert.equal(error.notProcessed, true, 'what could not be opened was not processed');
      this.#retry(plan, session, process, tries);
    }
  }

  /** The application of the callee is given a stream. */
  accept(stream: IncomingStream, process: ModelProcess): void {
    const key = Number(decodeUtf8(stream.meta));
    const plan = this.#plans.get(key);
    assert.ok(plan, `stream "${key}" was never opened`);
    if (plan.isRefused) {
      return stream.reset(
        new SkeinError('SKEIN_REFUSED', 'Cannot take stream: the model says so', { notProcessed: true }),
      );
    }
    if (plan.isRequest) {
      this.executed.set(key, (this.executed.get(key) ?? 0) + 1);
      const answer = encodeUtf8(`answer ${key}`);
      stream.sendHead(answer, answer.length, 0);
    }
    this.ends.push(new StreamEnd(plan, 1, stream, process, () => undefined, stream.complete));
  }

  /** Each request at most once, and what was promised about it is true. */
  check(): void {
    for (const [key, times] of this.executed) assert.equal(times, 1, `request ${key} was executed ${times} times`);
    for (const key of this.unprocessed) {
      assert.equal(this.executed.get(key), undefined, `request ${key} was said to be unprocessed, and was executed`);
    }
    for (const key of this.#answered) assert.equal(this.executed.get(key), 1, `request ${key} was answered by nobody`);
  }

  #onCallerOver(end: StreamEnd, session: Session, process: ModelProcess, tries: number): void {
    const { plan, error } = end;
    if (!plan.isRequest) {
      if (error?.notProcessed) assert.equal(end.received, 0, `stream ${plan.key} had an answer, unprocessed`);
      return;
    }
    if (error === undefined) {
      assert.equal(end.answer, `answer ${plan.key}`);
      this.#answered.add(plan.key);
    } else if (error.notProcessed) {
      assert.equal(this.executed.get(plan.key), undefined, `request ${plan.key} is not unprocessed`);
      this.#retry(plan, session, process, tries);
    }
  }

  #retry(plan: StreamPlan, session: Session, process: ModelProcess, tries: number): void {
    if (!plan.isRequest) return;
    if (tries === MAX_TRIES || !session.isOpen || session.isDraining) {
      this.unprocessed.add(plan.key);
      return;
    }
    this.#retries++;
    process.setTimer(RETRY_MS, () => {
      this.#retries--;
      this.start(plan, session, process, tries + 1);
    });
  }
}
