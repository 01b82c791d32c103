/** The receiving half of a session's records: in order, each once, opened or refused. */

import type { Bytes } from '../core/bytes.ts';
import type { Crypto } from '../core/platform.ts';
import { RecordCipher } from './cipher-state.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';
import { readRecordEpoch, readRecordSequence } from './record.ts';
import { type Early, ReplayWindow } from './replay-window.ts';

export type Received = 'next' | 'duplicate' | 'ahead' | 'forged';

export class RecordReceiver {
  readonly #cipher: RecordCipher;
  readonly #window: ReplayWindow;

  constructor(crypto: Crypto, key: Bytes, sessionId: Bytes, reorderBytes: number) {
    this.#cipher = new RecordCipher(crypto, key, sessionId);
    this.#window = new ReplayWindow(reorderBytes);
  }

  /** Sequence of the record that is due. */
  get next(): number {
    return this.#window.next;
  }

  /** Bytes of records that came early and wait. */
  get aheadBytes(): number {
    return this.#window.aheadBytes;
  }

  /** Makes ready what opens the next record, or lets go of it. */
  prepare(isExpected: boolean): void {
    this.#cipher.prepareOpen(isExpected ? this.next : undefined);
  }

  /**
   * Takes a message with a record; `onOpened` is given its plaintext, and that of those that waited for it, in order, until
   * it returns false. `forged`: it is not what the peer sealed under this number; nothing has changed. Nothing is kept that
   * is not authentic: else who alters one path could take the place of what comes on another.
   */
  receive(message: Bytes, onOpened: (plaintext: Bytes, messageBytes: number) => boolean): Received {
    const sequence = readRecordSequence(message, LINK_HEADER_BYTES);
    const epoch = readRecordEpoch(message, LINK_HEADER_BYTES);
    const window = this.#window;
    if (window.has(sequence)) return 'duplicate';
    if (sequence !== window.next) return this.#receiveEarly(sequence, epoch, message);
    const plaintext = this.#cipher.open(sequence, epoch, message, LINK_HEADER_BYTES);
    if (plaintext === undefined) return 'forged';
    this.#cipher.moveTo(epoch);
    let following = window.advance();
    let goesOn = onOpened(plaintext, message.length);
    while (goesOn && following !== undefined) {
      const current: Early = following;
      this.#cipher.moveTo(current.epoch);
      following = window.advance();
      goesOn = onOpened(current.plaintext, current.bytes);
    }
    return 'next';
  }

  #receiveEarly(sequence: number, epoch: number, message: Bytes): Received {
    if (!this.#cipher.canOpen(epoch)) return 'ahead'; // two epochs away: nothing can be said of it yet
    const plaintext = this.#cipher.open(sequence, epoch, message, LINK_HEADER_BYTES);
    if (plaintext === undefined) return 'forged';
    this.#window.keep(sequence, { epoch, plaintext, bytes: message.length });
    return 'ahead';
  }
}
