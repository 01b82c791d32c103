/** `OutgoingRecords`: when an open session builds a record, what goes into it, on which path it leaves, and what is sent again. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { AckSchedule } from './ack-schedule.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';
import type { DeliveryWatch } from './delivery-watch.ts';
import { FrameWriter } from './frame.ts';
import type { Mux } from './mux.ts';
import type { TunnelOptions } from './options.ts';
import type { Path } from './path.ts';
import type { Paths } from './paths.ts';
import { RECORD_HEADER_BYTES, TAG_BYTES } from './record.ts';
import type { RecordSender } from './record-sender.ts';
import type { ReplayBudget } from './replay-budget.ts';
import { CLASS_NONE } from './scheduler.ts';
import type { SessionStats } from './session-stats.ts';

export interface OutgoingRecordsOptions {
  readonly clock: Clock;
  readonly limits: TunnelOptions;
  readonly stats: SessionStats;
  readonly sender: RecordSender;
  readonly paths: Paths;
  readonly mux: Mux;
  readonly acks: AckSchedule;
  readonly watch: DeliveryWatch;
  readonly replayBudget: ReplayBudget | undefined;
  /** Sequence of the record that is due here. */
  next(): number;
  readonly isOpen: boolean;
  /** A record is on its way, and nothing is left to be written now. */
  onLull(): void;
  /** The peer asks for too much: it is told, and the session ends. */
  onBroken(error: SkeinError): void;
  /** Nothing can be sealed any more. */
  onHopeless(error: SkeinError): void;
}

/** Records move to another path once what is under way has arrived. */
interface Fence {
  readonly target: Path;
  /** Sequence of the FENCE record; undefined while it is not written. */
  sequence: number | undefined;
  readonly timer: Timer;
}

/** A record smaller than this is built only when there is credit for at least so much. */
const MIN_RECORD_BYTES = 512;
/** What one record and its control frames may put on top of a full session window in the resend buffer; twice that ends the session. */
const RESEND_SLACK_BYTES = 256 * 1024;
/** A message about paths, and how many of them wait at most. */
const MAX_PATH_MESSAGE_BYTES = 4096;
const MAX_PATH_MESSAGES = 16;
/** Type, flags and length of a PATH frame. */
const PATH_OVERHEAD_BYTES = 5;

export class OutgoingRecords {
  readonly #options: OutgoingRecordsOptions;
  #fence: Fence | undefined;
  #pathMessages: Bytes[] = [];
  #flushScheduled = false;
  /** Since when something waits for room on the path in use, in monotonic milliseconds. */
  #waitingMs: number | undefined;

  constructor(options: OutgoingRecordsOptions) {
    this.#options = options;
  }

  /** When the oldest record was sent, or would have been if its path took it, whose ACK is awaited; in monotonic milliseconds. */
  get oldestAwaitedMs(): number | undefined {
    return this.#options.sender.oldestSentMs ?? this.#waitingMs;
  }

  /** A record is built at the end of the tick, so that all of the tick goes into one. */
  scheduleFlush(): void {
    const { clock, isOpen } = this.#options;
    if (this.#flushScheduled || !isOpen) return;
    this.#flushScheduled = true;
    clock.endOfTick(this.#flush);
  }

  /** The path has room for what was asked. */
  onWritable(path: Path): void {
    const { paths, sender, stats, watch } = this.#options;
    if (path !== paths.active) return;
    this.#waitingMs = undefined;
    if (sender.againBytes === 0) return this.#writeRecord(path);
    const record = sender.takeAgain();
    stats.recordsResent++;
    stats.bytesResent += record.length;
    path.circuit.send(record);
    watch.noteSent();
    this.#requestWrite();
  }

  /** The peer has acknowledged something. */
  onAcknowledged(): void {
    const { sender, mux } = this.#options;
    const { sequence } = this.#fence ?? {};
    if (sequence !== undefined && sender.firstSequence > sequence) this.#endFence();
    if (mux.hasWork(sender.lastClass)) this.scheduleFlush();
  }

  /** @throws SkeinError SKEIN_LIMIT */
  sendPathMessage(message: Bytes): void {
    if (message.length > MAX_PATH_MESSAGE_BYTES || this.#pathMessages.length >= MAX_PATH_MESSAGES) {
      throw new SkeinError('SKEIN_LIMIT', 'Cannot send path message: it is too large, or too many wait');
    }
    this.#pathMessages.push(message);
    this.scheduleFlush();
  }

  /** Moves to `target` when what is under way has arrived, or was waited for long enough. */
  startFence(target: Path): void {
    const { clock, isOpen, limits } = this.#options;
    if (this.#fence !== undefined || !isOpen) return;
    const timer = clock.setTimer(limits.fenceMs, () => this.#endFence());
    this.#fence = { target, sequence: undefined, timer };
    this.scheduleFlush();
  }

  clearFence(): void {
    this.#fence?.timer.cancel();
    this.#fence = undefined;
  }

  /** No path is in use: nothing is awaited of any. */
  onDetached(): void {
    this.clearFence();
    this.#waitingMs = undefined;
  }

  /** Another path is in use: what the peer may not have goes there first. */
  onActive(): void {
    const { clock, sender } = this.#options;
    this.onDetached();
    sender.rewind(clock.monotonicMs());
    this.#requestWrite();
  }

  /** The last record: GOAWAY with the reason, sealed, so that only the peer can have said it. */
  sayFarewell(error: SkeinError): void {
    const { limits, mux, paths, sender } = this.#options;
    const path = paths.active;
    if (path === undefined || sender.againBytes > 0) return;
    const room = path.circuit.sendableBytes - RECORD_HEADER_BYTES - TAG_BYTES;
    if (room < MIN_RECORD_BYTES) return;
    const writer = scratchWriter(limits.maxRecordBytes);
    writer.reset(Math.min(limits.maxRecordBytes, room));
    mux.goAway(error, true);
    mux.fill(writer, CLASS_NONE);
    if (writer.length > 0) this.#seal(path, writer);
  }

  /** The session is over. */
  release(): void {
    this.clearFence();
    this.#pathMessages = [];
    this.#options.sender.release();
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    this.#requestWrite();
  };

  #requestWrite(): void {
    const { isOpen, paths, sender } = this.#options;
    const path = paths.active;
    if (path === undefined || !isOpen) return;
    const { againBytes } = sender;
    if (againBytes > 0) this.#request(path, againBytes - LINK_HEADER_BYTES);
    else if (this.#hasWork) this.#request(path, MIN_RECORD_BYTES);
  }

  /** A path that takes nothing is noticed as one that answers nothing is. */
  #request(path: Path, bytes: number): void {
    const { clock, watch } = this.#options;
    this.#waitingMs ??= clock.monotonicMs();
    path.requestWrite(bytes);
    if (this.#waitingMs !== undefined) watch.noteSent();
  }

  get #hasWork(): boolean {
    if (this.#options.acks.isDue) return true;
    if (this.#fence !== undefined) return this.#fence.sequence === undefined;
    return this.#hasMessages;
  }

  get #hasMessages(): boolean {
    const { mux, sender } = this.#options;
    return this.#pathMessages.length > 0 || mux.hasWork(sender.lastClass);
  }

  #writeRecord(path: Path): void {
    const options = this.#options;
    const { limits, mux, replayBudget, sender } = options;
    const { maxRecordBytes, maxSessionWindowBytes } = limits;
    const aboveWindow = sender.keptBytes - maxSessionWindowBytes;
    if (aboveWindow > 2 * RESEND_SLACK_BYTES)
      return options.onBroken(new SkeinError('SKEIN_LIMIT', 'Cannot keep session: the peer acknowledges nothing'));
    const isInBudget = replayBudget?.mayGrow(sender.keptBytes) ?? true;
    if (!options.isOpen) return; // whose streams were given up for it has closed this one too
    const lastClass = aboveWindow <= RESEND_SLACK_BYTES && isInBudget ? sender.lastClass : CLASS_NONE;
    const { sendableBytes } = path.circuit;
    // It was asked to send a small record again, which was acknowledged meanwhile.
    if (sendableBytes < MIN_RECORD_BYTES) return this.#requestWrite();
    const room = sendableBytes - RECORD_HEADER_BYTES - TAG_BYTES;
    const writer = scratchWriter(maxRecordBytes);
    writer.reset(Math.min(sender.recordBytes, room));
    this.#fill(writer, lastClass);
    if (writer.length === 0 && room > sender.recordBytes && this.#hasMessages) {
      writer.reset(Math.min(maxRecordBytes, room)); // one head may be larger than what suits the path
      this.#fill(writer, lastClass);
    }
    if (writer.length > 0) {
      this.#seal(path, writer);
      mux.tellDrained();
      this.#requestWrite();
      if (!this.#hasWork) options.onLull();
    } else if (lastClass !== CLASS_NONE && this.#fence === undefined && this.#hasMessages) {
      this.#request(path, maxRecordBytes); // a head that needs more credit than there is
    } // else an ACK brings the next turn: asking again would be answered at once, for ever
  }

  #fill(writer: FrameWriter, lastClass: number): void {
    const { acks, mux } = this.#options;
    const next = this.#options.next();
    if (acks.hasNews(next)) {
      writer.ack(next);
      acks.noteSent(next);
    }
    if (this.#fence !== undefined) {
      if (this.#fence.sequence === undefined) writer.fence();
      return;
    }
    while (this.#pathMessages.length > 0 && lastClass !== CLASS_NONE) {
      const message = this.#pathMessages[0] as Bytes;
      if (writer.room < message.length + PATH_OVERHEAD_BYTES) break;
      writer.path(message);
      this.#pathMessages.shift();
    }
    mux.fill(writer, lastClass);
  }

  #seal(path: Path, writer: FrameWriter): void {
    const { clock, sender, stats, watch } = this.#options;
    const sequence = sender.nextSequence;
    const message = sender.seal(writer, clock.monotonicMs());
    if (message === undefined)
      return this.#options.onHopeless(
        new SkeinError('SKEIN_SESSION_LOST', 'Cannot seal record: the session is at its end'),
      );
    if (this.#fence !== undefined) this.#fence.sequence ??= sequence;
    stats.recordsSent++;
    if (writer.elicitsAck) watch.noteSent();
    path.circuit.send(message);
  }

  #endFence(): void {
    const fence = this.#fence;
    if (fence === undefined) return;
    this.clearFence();
    this.#options.paths.activate(fence.target);
    this.scheduleFlush();
  }
}

let scratch: FrameWriter | undefined;

/** One plaintext buffer for all sessions: sealing is synchronous, so no two records are ever built at once. */
function scratchWriter(bytes: number): FrameWriter {
  if (scratch === undefined || scratch.bytes.length < bytes) scratch = new FrameWriter(new Uint8Array(bytes));
  return scratch;
}
