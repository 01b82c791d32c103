/** What every client of HTTP/2 says first (RFC 9113 §3.4). */

import { type Bytes, concatBytes, EMPTY, encodeUtf8 } from '../core/bytes.ts';
import { H2_CODE, H2Violation } from './h2-code.ts';

export const H2_PREFACE: Bytes = encodeUtf8('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Do all of `bytes` belong to a preface, as far as it is long? */
export function beginsPreface(bytes: Bytes): boolean {
  const length = Math.min(bytes.length, H2_PREFACE.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== H2_PREFACE[i]) return false;
  return true;
}

export class PrefaceReader {
  #held: Bytes = EMPTY;
  #isRead: boolean;

  /** @param isExpected a server waits for one */
  constructor(isExpected: boolean) {
    this.#isRead = !isExpected;
  }

  get isRead(): boolean {
    return this.#isRead;
  }

  /** What follows it in `chunk`. @throws H2Violation */
  push(chunk: Bytes): Bytes {
    const all = concatBytes(this.#held, chunk);
    if (!beginsPreface(all)) throw new H2Violation(H2_CODE.protocolError, 'Cannot read preface: it is another');
    this.#isRead = all.length >= H2_PREFACE.length;
    this.#held = this.#isRead ? EMPTY : all;
    return all.subarray(Math.min(all.length, H2_PREFACE.length));
  }
}
