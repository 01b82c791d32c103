/** Turns streams that have something to send into the frames of a record, in the scheduler's order and inside both windows. */

import { SendWindow } from './flow-control.ts';
import type { FrameWriter } from './frame.ts';
import { CLASS_BULK, CLASS_FRESH, CLASS_NORMAL, Scheduler } from './scheduler.ts';
import type { MuxStream } from './stream.ts';

/** First bytes of a stream that are served before older streams ("small flows first"). */
const FRESH_BYTES = 16 * 1024;
/** Streams that ended in line are taken out when there are more of them than this, and than of the others. */
const MAX_GONE = 64;

export class StreamSender {
  readonly #window: SendWindow;
  /** Undefined while none is in line, and has not been for a while. */
  #scheduler: Scheduler | undefined;
  #blocked: MuxStream[] = [];
  /** Streams that wrote something and may tell their application that there is room. */
  #drained: MuxStream[] = [];
  /** Streams that ended since the line was last cleared of them. */
  #gone = 0;

  constructor(sessionWindowBytes: number) {
    this.#window = new SendWindow(sessionWindowBytes);
  }

  /** Whether a stream of that class, or of one before it, has something to send. */
  hasWork(lastClass: number = CLASS_BULK): boolean {
    return this.#scheduler?.hasReady(lastClass) === true;
  }

  /** Streams in line, some of which may have ended. */
  get inLine(): number {
    return this.#scheduler?.size ?? 0;
  }

  /** Bytes of DATA sent in this session. */
  get sentBytes(): number {
    return this.#window.sent;
  }

  /** Puts a stream in line; false when it stands there already, or waits for the session's window. */
  add(stream: MuxStream, nowMs: number): boolean {
    if (stream.scheduled) return false;
    stream.scheduled = true;
    const fresh = stream.isHeadNext || stream.sentBytes < FRESH_BYTES;
    this.#scheduler ??= new Scheduler();
    this.#scheduler.push(stream, fresh ? CLASS_FRESH : stream.isBulk(nowMs) ? CLASS_BULK : CLASS_NORMAL);
    return true;
  }

  /** Raises the session's window; false when the offset is an old one. */
  raise(offset: number, nowMs: number): boolean {
    if (!this.#window.raise(offset)) return false;
    const blocked = this.#blocked;
    this.#blocked = [];
    for (const stream of blocked) {
      stream.scheduled = false;
      if (stream.hasWork) this.add(stream, nowMs);
    }
    return true;
  }

  /** A stream has ended. Its turn may never come, behind a head for which the peer grants no room. */
  remove(stream: MuxStream): void {
    const scheduler = this.#scheduler;
    if (!stream.scheduled || scheduler === undefined) return;
    if (this.#blocked.length > 0) this.#blocked = this.#blocked.filter((other) => other !== stream);
    if (++this.#gone <= MAX_GONE || this.#gone * 2 < scheduler.size) return;
    this.#gone = 0;
    scheduler.compact();
  }

  /** Called now and then. */
  trim(): void {
    if (this.inLine === 0) this.#scheduler = undefined;
  }

  clear(): void {
    this.#scheduler?.clear();
    this.#scheduler = undefined;
    this.#blocked = [];
    this.#drained = [];
  }

  /** Streams in turn, up to `lastClass`. */
  write(writer: FrameWriter, nowMs: number, lastClass: number = CLASS_BULK): void {
    const scheduler = this.#scheduler;
    if (scheduler === undefined) return;
    for (;;) {
      const trafficClass = scheduler.chooseClass(lastClass);
      if (trafficClass < 0) return;
      const stream = scheduler.shift(trafficClass);
      stream.scheduled = false;
      if (!stream.hasWork) continue;
      const before = writer.length;
      const outcome = stream.writeFrames(writer, scheduler.turnBytes, this.#window, nowMs);
      scheduler.charge(trafficClass, writer.length - before);
      if (writer.length > before) this.#drained.push(stream);
      switch (outcome) {
        case 'turn-over':
          this.add(stream, nowMs);
          break;
        case 'no-room':
          stream.scheduled = true;
          scheduler.unshift(stream, trafficClass);
          return;
        case 'session-blocked':
          stream.scheduled = true;
          this.#blocked.push(stream);
          break;
        default: // idle, or waiting for credit of its own: whoever brings work adds it again
      }
    }
  }

  /** Called when the record is on its way: an application may write at once. */
  tellDrained(): void {
    const drained = this.#drained;
    if (drained.length === 0) return;
    this.#drained = [];
    for (const stream of drained) stream.drained();
  }
}
