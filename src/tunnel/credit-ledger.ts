/** What the peer may still send, for the session and for each stream, and the CREDIT frames that are due. */

import { ReceiveWindow } from './flow-control.ts';
import { CONTROL_FRAME_BYTES, type FrameWriter } from './frame.ts';
import type { TunnelOptions } from './options.ts';
import type { MuxStream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';
import type { UnreadBudget } from './unread-budget.ts';
import { WindowBudget } from './window-budget.ts';

export class CreditLedger {
  readonly #session: ReceiveWindow;
  /** What streams' windows share above the first ones: the session's largest, so that stalled readers cannot take all of it. */
  readonly #growth: WindowBudget;
  #grownBytes = 0;
  readonly #limits: TunnelOptions;
  /** Undefined behind the end of the session, and where there is none. */
  #budget: UnreadBudget | undefined;
  #sessionDue = false;
  #due: MuxStream[] = [];
  /** Round trip used for the growth of windows, in milliseconds; written by the mux. */
  rttMs = 1;

  constructor(limits: TunnelOptions, budget: UnreadBudget | undefined, nowMs: number) {
    this.#limits = limits;
    this.#budget = budget;
    this.#session = new ReceiveWindow(limits.sessionWindowBytes, limits.maxSessionWindowBytes, nowMs);
    this.#growth = new WindowBudget(limits.maxSessionWindowBytes);
  }

  get hasWork(): boolean {
    return this.#sessionDue || this.#due.length > 0;
  }

  /** Bytes that arrived and nobody has consumed: what this session pins. */
  get unreadBytes(): number {
    return this.#session.unread;
  }

  /** The process holds so much that no window may grow. */
  get isTight(): boolean {
    return this.#budget?.isTight === true;
  }

  /** Counts arriving bytes against the session; false when they are beyond it. */
  receive(bytes: number): boolean {
    this.#budget?.add(bytes);
    return this.#session.receive(bytes);
  }

  /** Stalled readers must not starve the others (ztunnel#1538): what they hold comes on top of the session's window. */
  makeRoomForStalled(nowMs: number): void {
    if (!this.#session.isNearlySpent || this.isTight) return;
    this.#session.widen(this.#session.unread + this.#limits.sessionWindowBytes);
    this.#noteSession(nowMs);
  }

  /** Bytes for a stream that is gone: discarded, but counted (RFC 9113 §5.1). */
  discard(bytes: number, nowMs: number): void {
    this.#budget?.add(-bytes);
    this.#session.consume(bytes);
    this.#noteSession(nowMs);
  }

  /** The session is over: what it holds is nobody's any more. */
  close(): void {
    this.#budget?.add(-this.#session.unread);
    this.#budget?.growth.giveBack(this.#grownBytes);
    this.#budget = undefined;
  }

  /** The application has taken `bytes`; what a reset released is not returned twice. */
  consume(stream: MuxStream, bytes: number, nowMs: number): void {
    const counted = Math.min(bytes, stream.receiveWindow.unread);
    stream.receiveWindow.consume(counted);
    stream.consumedMs = nowMs;
    this.discard(counted, nowMs);
    if (stream.creditDue || stream.isFinished || !stream.receiveWindow.isGrantDue(nowMs, this.rttMs)) return;
    stream.creditDue = true;
    this.#due.push(stream);
  }

  /** What the application will never read any more counts as read. */
  release(stream: MuxStream, nowMs: number): void {
    const unread = stream.receiveWindow.unread;
    if (unread === 0) return;
    stream.receiveWindow.consume(unread);
    this.discard(unread, nowMs);
  }

  /** `stream` is over, and what its window had grown by is free for others. */
  forget({ receiveWindow }: MuxStream): void {
    const grownBytes = receiveWindow.windowBytes - this.#limits.streamWindowBytes;
    if (grownBytes > 0) this.#noteGrown(-grownBytes);
  }

  /** `open` are the streams that still want their credit announced. */
  write(writer: FrameWriter, nowMs: number, open: Pick<StreamTable, 'has'>): void {
    let written = 0;
    for (const stream of this.#due) {
      if (writer.room <= 2 * CONTROL_FRAME_BYTES) break;
      written++;
      stream.creditDue = false;
      if (!open.has(stream.id)) continue;
      const { receiveWindow } = stream;
      const before = receiveWindow.windowBytes;
      writer.credit(stream.id, receiveWindow.grant(nowMs, this.rttMs, this.#mostBytes(before)));
      if (receiveWindow.windowBytes > before) this.#noteGrown(receiveWindow.windowBytes - before);
      // equal windows dead-lock: the session's stays at least four times the largest stream's, as far as it grows
      this.#session.widen(4 * receiveWindow.windowBytes);
      this.#noteSession(nowMs);
    }
    if (written > 0) this.#due = this.#due.slice(written);
    if (this.#sessionDue && writer.room > CONTROL_FRAME_BYTES) {
      this.#sessionDue = false;
      writer.credit(0, this.#session.grant(nowMs, this.rttMs, this.isTight ? 0 : undefined));
    }
  }

  /** Most that a stream's window of `windowBytes` may grow to now. */
  #mostBytes(windowBytes: number): number {
    if (this.isTight) return windowBytes;
    const most = this.#growth.most(windowBytes);
    return this.#budget === undefined ? most : Math.min(most, this.#budget.growth.most(windowBytes));
  }

  #noteGrown(bytes: number): void {
    this.#growth.take(bytes);
    this.#budget?.growth.take(bytes);
    this.#grownBytes += bytes;
  }

  #noteSession(nowMs: number): void {
    if (!this.#sessionDue && this.#session.isGrantDue(nowMs, this.rttMs)) this.#sessionDue = true;
  }
}
