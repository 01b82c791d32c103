/** The receiving half of a session's records: in order, each once, opened or refused. */

import type { Bytes } from '../core/bytes.ts';
import type { Crypto } from '../core/platform.ts';
import { RecordCipher } from './cipher-state.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';
import { readRecordEpoch, readRecordSequence } from './record.ts';
import { ReplayWindow } from './replay-window.ts';

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

  /**
   * Takes a message with a record; `onOpened` is given its plaintext, and that of those that waited for it, in order, until
   * it returns false. `forged`: it is not what the peer sealed under this number; nothing has changed.
   */
  receive(message: Bytes, onOpened: (plaintext: Bytes, message: Bytes) => boolean): Received {
    const verdict = this.#window.judge(readRecordSequence(message, LINK_HEADER_BYTES), message);
    if (verdict !== 'next') return verdict;
    let current: Bytes | undefined = message;
    while (current !== undefined) {
      const epoch = readRecordEpoch(current, LINK_HEADER_BYTES);
      const plaintext = this.#cipher.open(this.#window.next, epoch, current, LINK_HEADER_BYTES);
      // One that waited and does not open is dropped: the peer has it still.
      if (plaintext === undefined) return current === message ? 'forged' : 'next';
      const following = this.#window.advance();
      if (!onOpened(plaintext, current)) break;
      current = following;
    }
    return 'next';
  }
}
