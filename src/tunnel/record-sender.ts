/** The sending half of a session's records: seals them once, keeps them until acknowledged, sends them again as they are. */

import type { Bytes } from '../core/bytes.ts';
import type { Crypto } from '../core/platform.ts';
import { RecordCipher } from './cipher-state.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';
import { FlightWindow } from './flight-window.ts';
import type { FrameWriter } from './frame.ts';
import { MessagePool } from './message-pool.ts';
import type { TunnelOptions } from './options.ts';
import { MAX_SEQUENCE, MESSAGE_OVERHEAD_BYTES, RECORD_DATA, writeRecordHeader } from './record.ts';
import type { ReplayBudget } from './replay-budget.ts';
import { ResendBuffer } from './resend-buffer.ts';
import { CLASS_BULK, CLASS_FRESH, CLASS_NORMAL } from './scheduler.ts';

const messages = new MessagePool();
const giveBack = (message: Bytes): void => messages.give(message);

/** A record above this is built only where acknowledgements come back quickly: a slow link must not be blocked for long. */
const FIRST_RECORD_BYTES = 8 * 1024;
const LEAST_RECORD_BYTES = 4 * 1024;
const QUICK_ACK_MS = 60;
const SLOW_ACK_MS = 500;

export class RecordSender {
  readonly #limits: TunnelOptions;
  readonly #cipher: RecordCipher;
  readonly #budget: ReplayBudget | undefined;
  readonly #flight: FlightWindow;
  readonly #resend = new ResendBuffer(giveBack);
  #epochRecords = 0;
  #epochMs: number;
  /** Sequence of the next record to be sent again; `nextSequence` when there is none. */
  #again = 0;
  #recordBytes: number;

  constructor(
    crypto: Crypto,
    key: Bytes,
    sessionId: Bytes,
    limits: TunnelOptions,
    budget: ReplayBudget | undefined,
    nowMs: number,
  ) {
    this.#limits = limits;
    this.#cipher = new RecordCipher(crypto, key, sessionId);
    this.#budget = budget;
    this.#flight = new FlightWindow(limits.maxSessionWindowBytes);
    this.#epochMs = nowMs;
    this.#recordBytes = Math.min(FIRST_RECORD_BYTES, limits.maxRecordBytes);
  }

  get nextSequence(): number {
    return this.#resend.nextSequence;
  }

  /** The oldest record that is kept; `nextSequence` when all are acknowledged. */
  get firstSequence(): number {
    return this.#resend.firstSequence;
  }

  /** Bytes kept, headers included. */
  get keptBytes(): number {
    return this.#resend.bytes;
  }

  /** The last class of streams that may add to what is under way: bulk leaves room for what is small to come by. */
  get lastClass(): number {
    const { bytes } = this.#resend;
    const most = this.#flight.bytes;
    if (bytes < most) return CLASS_BULK;
    return bytes < 2 * most ? CLASS_NORMAL : CLASS_FRESH;
  }

  /** When the oldest record was sent whose ACK is awaited, in milliseconds, or undefined. */
  get oldestSentMs(): number | undefined {
    return this.#resend.oldestSentMs;
  }

  /** Plaintext of the next record, at most. */
  get recordBytes(): number {
    return this.#recordBytes;
  }

  /** Seals the next record and keeps it. undefined: the numbers are used up. */
  seal(writer: FrameWriter, nowMs: number): Bytes | undefined {
    if (this.#epochRecords >= this.#limits.rekeyAfterRecords || nowMs - this.#epochMs >= this.#limits.rekeyAfterMs) {
      this.#cipher.advance();
      this.#epochRecords = 0;
      this.#epochMs = nowMs;
    }
    const sequence = this.#resend.nextSequence;
    if (sequence > MAX_SEQUENCE) return undefined;
    const message = messages.take(MESSAGE_OVERHEAD_BYTES + writer.length);
    writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_DATA, this.#cipher.epoch, sequence);
    this.#cipher.seal(sequence, writer.bytes.subarray(0, writer.length), message, LINK_HEADER_BYTES);
    this.#epochRecords++;
    if (this.#again === sequence) this.#again++;
    this.#resend.push(message, writer.elicitsAck ? nowMs : undefined);
    if (writer.elicitsAck) this.#flight.onSent(sequence, this.#resend.bytes, nowMs);
    this.#budget?.add(message.length);
    return message;
  }

  /** Makes ready what seals the next record, or lets go of it. */
  prepare(isExpected: boolean): void {
    this.#cipher.prepareSeal(isExpected ? this.#resend.nextSequence : undefined);
  }

  /** Drops what the peer has; false when it claims what was never sent. `onRtt` is told a round trip, if one was measured. */
  acknowledge(next: number, nowMs: number, onRtt: (sampleMs: number) => void): boolean {
    if (next > this.#resend.nextSequence) return false;
    const before = this.#resend.bytes;
    const sentMs = this.#resend.acknowledge(next);
    const droppedBytes = before - this.#resend.bytes;
    this.#flight.onAcknowledged(next, droppedBytes, nowMs);
    this.#budget?.add(-droppedBytes);
    if (this.#again < this.#resend.firstSequence) this.#again = this.#resend.firstSequence;
    if (sentMs === undefined) return true;
    const sampleMs = nowMs - sentMs;
    if (sampleMs <= QUICK_ACK_MS) {
      this.#recordBytes = Math.min(2 * this.#recordBytes, this.#limits.maxRecordBytes);
    } else if (sampleMs >= SLOW_ACK_MS) {
      this.#recordBytes = Math.max(this.#recordBytes >> 1, Math.min(LEAST_RECORD_BYTES, this.#limits.maxRecordBytes));
    }
    onRtt(sampleMs);
    return true;
  }

  /** Another path: all that is not acknowledged must be sent on it. */
  rewind(nowMs: number): void {
    this.#again = this.#resend.firstSequence;
    this.#resend.keepOut(nowMs);
    this.#flight.restart();
  }

  /** Size of the record that must be sent again first, 0 when there is none. */
  get againBytes(): number {
    return this.#again < this.#resend.nextSequence ? this.#resend.at(this.#again).length : 0;
  }

  /** That record. A copy: the first one may still wait in the queue of another link, under that link's header. */
  takeAgain(): Bytes {
    return this.#resend.at(this.#again++).slice();
  }

  /** Called now and then: gives back what only a session that sends something needs. */
  trim(): void {
    this.#resend.trim();
  }

  /** The session is over. */
  release(): void {
    this.#budget?.add(-this.#resend.bytes);
    this.#resend.clear();
  }
}
