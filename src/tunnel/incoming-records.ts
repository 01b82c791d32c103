/** `IncomingRecords`: what comes on the paths of an open session — told apart, opened in order, and handed to the mux. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { SkeinError } from '../core/errors.ts';
import type { AckSchedule } from './ack-schedule.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';
import { protocolError } from './codes.ts';
import type { DeliveryWatch } from './delivery-watch.ts';
import { readFrames } from './frame.ts';
import type { Mux } from './mux.ts';
import type { TunnelOptions } from './options.ts';
import type { Path } from './path.ts';
import type { Paths } from './paths.ts';
import { MESSAGE_OVERHEAD_BYTES, RECORD_DATA, RECORD_HEADER_BYTES, RECORD_PATH, readRecordType } from './record.ts';
import type { RecordReceiver } from './record-receiver.ts';
import type { SessionStats } from './session-stats.ts';

export interface IncomingRecordsOptions {
  readonly clock: Clock;
  readonly limits: TunnelOptions;
  readonly stats: SessionStats;
  readonly receiver: RecordReceiver;
  readonly paths: Paths;
  readonly mux: Mux;
  readonly acks: AckSchedule;
  readonly watch: DeliveryWatch;
  readonly isOpen: boolean;
  /** The peer broke the protocol inside a record: it is told, and the session ends. */
  onBroken(error: SkeinError): void;
  /** Whatever comes is altered: the session ends without a word. */
  onHopeless(error: SkeinError): void;
}

/** Altered records are forgotten after this, in milliseconds. */
const FORGED_MEMORY_MS = 60_000;

export class IncomingRecords {
  readonly #options: IncomingRecordsOptions;
  #forgedMs: number[] = [];
  /** The path on which a record came, and the one before it had not. */
  #gapPath: Path | undefined;

  constructor(options: IncomingRecordsOptions) {
    this.#options = options;
  }

  /** Takes a whole link message that came on `path`. */
  receive(path: Path, message: Bytes): void {
    const { paths, receiver, stats, watch } = this.#options;
    const isHeader = message.length >= LINK_HEADER_BYTES + RECORD_HEADER_BYTES;
    const type = isHeader ? readRecordType(message, LINK_HEADER_BYTES) : undefined;
    if (type === RECORD_PATH) return paths.receive(path, message);
    if (type !== RECORD_DATA || message.length < MESSAGE_OVERHEAD_BYTES) {
      return this.#distrust(path, 'Cannot read record: malformed header');
    }
    if (!path.isAttached) return this.#distrust(path, 'Cannot read record: the path has not proven itself');
    switch (receiver.receive(message, this.#onOpened)) {
      case 'next':
        paths.noteHeard(path);
        if (this.#gapPath === path) stats.recordsReordered++;
        if (receiver.aheadBytes > 0) return;
        this.#gapPath = undefined;
        return watch.noteOrder();
      case 'duplicate':
        stats.recordsDuplicate++;
        return;
      case 'ahead':
        this.#gapPath ??= path;
        return watch.noteGap();
      case 'forged':
        return this.#onForged(path);
    }
  }

  /** The record before one that came is missing: whoever carried the later one has lost it. */
  onGap(): void {
    const path = this.#gapPath;
    this.#gapPath = undefined;
    if (path !== undefined) this.#distrust(path, 'Cannot read record: the one before it is missing');
  }

  readonly #onOpened = (plaintext: Bytes, messageBytes: number): boolean => {
    const options = this.#options;
    const { acks, mux, stats } = options;
    stats.recordsReceived++;
    mux.elicitsAck = false;
    const problem = readFrames(plaintext, mux);
    if (problem !== undefined) options.onBroken(protocolError(`Cannot read record: ${problem}`));
    else acks.noteReceived(messageBytes, mux.elicitsAck);
    return options.isOpen;
  };

  #onForged(path: Path): void {
    const { clock, limits, paths, stats } = this.#options;
    stats.recordsForged++;
    const nowMs = clock.monotonicMs();
    const recent = this.#forgedMs.filter((atMs) => nowMs - atMs < FORGED_MEMORY_MS);
    this.#forgedMs = [...recent, nowMs].slice(-limits.maxForgedRecords);
    // Who alters one path must not be able to end a session that has another.
    if (this.#forgedMs.length < limits.maxForgedRecords || paths.hasOther(path)) {
      this.#distrust(path, 'Cannot open record: it was altered on the way');
    } else this.#options.onHopeless(protocolError('Cannot keep session: its records are altered on every way'));
  }

  #distrust(path: Path, state: string): void {
    this.#options.stats.pathsDistrusted++;
    this.#options.paths.distrust(path, protocolError(state));
  }
}
