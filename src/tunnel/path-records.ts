/** Path records (type 2): how one end of a session proves on a circuit that it belongs to it, and measures the way there. */

import { type Bytes, concatBytes, encodeUtf8, equalBytes, toHex } from '../core/bytes.ts';
import type { Crypto } from '../core/platform.ts';
import { ByteReader, writeVarint } from '../core/varint.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';
import { CounterWindow } from './counter-window.ts';
import type { HandshakeRole } from './handshake.ts';
import {
  RECORD_HEADER_BYTES,
  RECORD_PATH,
  readRecordSequence,
  readRecordType,
  SESSION_ID_BYTES,
  writeRecordHeader,
} from './record.ts';

/*
 * Behind the record header, whose sequence is a counter of the sender for these records:
 *
 *  step u8 | session id 16 | body | MAC 16
 *
 *  1 ATTACH    flags u8 (1 TAKE_OVER), varint next expected sequence
 *  2 ATTACHED  varint counter of the ATTACH, varint next expected sequence
 *  3 PROBE     8 bytes, then padding
 *  4 PROBED    the 8 bytes
 *  5 REFUSED   u16 code; the MAC is zeros, because who does not know the session has no key
 */
const ATTACH = 1;
const ATTACHED = 2;
const PROBE = 3;
const PROBED = 4;
const REFUSED = 5;

const TAKE_OVER = 1;
const MAC_BYTES = 16;
const NONCE_BYTES = 8;
const BODY_AT = LINK_HEADER_BYTES + RECORD_HEADER_BYTES + 1 + SESSION_ID_BYTES;
const MIN_BYTES = BODY_AT + MAC_BYTES;
/** Flags and a varint. Whoever sends more, to whom nobody has proven anything yet, would make this end hash it. */
const MAX_ATTACH_BYTES = MIN_BYTES + 1 + 8;
const LABELS: Readonly<Record<HandshakeRole, Bytes>> = {
  initiator: encodeUtf8('skein/1 path initiator'),
  responder: encodeUtf8('skein/1 path responder'),
};

export type PathRecord =
  /** `takesOver`: the sender has no other way that it trusts, so what it has not got must come here. */
  | { readonly step: 'attach'; readonly takesOver: boolean; readonly next: number; readonly counter: number }
  | { readonly step: 'attached'; readonly attach: number; readonly next: number }
  | { readonly step: 'probe'; readonly nonce: Bytes }
  | { readonly step: 'probed'; readonly nonce: Bytes }
  | { readonly step: 'refused'; readonly code: number };

/** Session id, hexadecimal, that a circuit's first message wants to attach to; undefined when it is anything else. */
export function readAttach(message: Bytes): string | undefined {
  if (message.length < MIN_BYTES || readRecordType(message, LINK_HEADER_BYTES) !== RECORD_PATH) return undefined;
  const at = LINK_HEADER_BYTES + RECORD_HEADER_BYTES;
  if (message[at] !== ATTACH || message.length > MAX_ATTACH_BYTES) return undefined;
  return toHex(message.subarray(at + 1, at + 1 + SESSION_ID_BYTES));
}

/** The answer to an ATTACH for a session that is not here. */
export function refuseAttach(attach: Bytes, code: number): Bytes {
  const message = new Uint8Array(MIN_BYTES + 2);
  writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_PATH, 0, 0);
  const at = LINK_HEADER_BYTES + RECORD_HEADER_BYTES;
  message[at] = REFUSED;
  message.set(attach.subarray(at + 1, BODY_AT), at + 1);
  message[BODY_AT] = code >> 8;
  message[BODY_AT + 1] = code & 0xff;
  return message;
}

/** One for each direction, so that nothing can be sent back to who made it. */
interface Keys {
  readonly send: Bytes;
  readonly receive: Bytes;
}

/** Makes and reads the path records of one session. */
export class PathRecords {
  readonly #crypto: Crypto;
  readonly #role: HandshakeRole;
  readonly #exporter: Bytes;
  readonly #sessionId: Bytes;
  /** Both made when they are needed: most sessions keep to the path that they began on. */
  #keys: Keys | undefined;
  #seen: CounterWindow | undefined;
  #counter = 0;

  /** `exporter` is that of the handshake. */
  constructor(crypto: Crypto, role: HandshakeRole, exporter: Bytes, sessionId: Bytes) {
    this.#crypto = crypto;
    this.#role = role;
    this.#exporter = exporter;
    this.#sessionId = sessionId;
  }

  /** The message, and the counter that its ATTACHED will name. */
  attach(takesOver: boolean, next: number): { readonly message: Bytes; readonly counter: number } {
    const body = new Uint8Array(9);
    body[0] = takesOver ? TAKE_OVER : 0;
    const counter = this.#counter;
    return { message: this.#seal(ATTACH, body.subarray(0, writeVarint(body, 1, next))), counter };
  }

  attached(attach: number, next: number): Bytes {
    const body = new Uint8Array(16);
    return this.#seal(ATTACHED, body.subarray(0, writeVarint(body, writeVarint(body, 0, attach), next)));
  }

  /** `paddingBytes` more than needed, to see how fast the way is. */
  probe(nonce: Bytes, paddingBytes = 0): Bytes {
    return this.#seal(PROBE, concatBytes(nonce, new Uint8Array(paddingBytes)));
  }

  probed(nonce: Bytes): Bytes {
    return this.#seal(PROBED, nonce);
  }

  /** undefined when it is not authentic, is malformed, or came before. */
  read(message: Bytes): PathRecord | undefined {
    if (message.length < MIN_BYTES || readRecordType(message, LINK_HEADER_BYTES) !== RECORD_PATH) return undefined;
    const at = LINK_HEADER_BYTES + RECORD_HEADER_BYTES;
    if (!equalBytes(message.subarray(at + 1, BODY_AT), this.#sessionId)) return undefined;
    if (message[at] === ATTACH && message.length > MAX_ATTACH_BYTES) return undefined;
    const end = message.length - MAC_BYTES;
    const reader = new ByteReader(message, BODY_AT, end);
    if (message[at] === REFUSED) {
      const code = reader.u16();
      return reader.failed ? undefined : { step: 'refused', code };
    }
    const mac = this.#mac(this.#directions.receive, message.subarray(LINK_HEADER_BYTES, end));
    if (!equalBytes(mac, message.subarray(end))) return undefined;
    const counter = readRecordSequence(message, LINK_HEADER_BYTES);
    const record = readBody(message[at] as number, counter, reader);
    this.#seen ??= new CounterWindow();
    return record !== undefined && this.#seen.accept(counter) ? record : undefined;
  }

  get #directions(): Keys {
    const keyOf = (sender: HandshakeRole): Bytes =>
      this.#crypto.hmacSha256(this.#exporter, LABELS[sender], this.#sessionId);
    const other = this.#role === 'initiator' ? 'responder' : 'initiator';
    this.#keys ??= { send: keyOf(this.#role), receive: keyOf(other) };
    return this.#keys;
  }

  #seal(step: number, body: Bytes): Bytes {
    const message = new Uint8Array(MIN_BYTES + body.length);
    writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_PATH, 0, this.#counter++);
    const at = LINK_HEADER_BYTES + RECORD_HEADER_BYTES;
    message[at] = step;
    message.set(this.#sessionId, at + 1);
    message.set(body, BODY_AT);
    const end = message.length - MAC_BYTES;
    message.set(this.#mac(this.#directions.send, message.subarray(LINK_HEADER_BYTES, end)), end);
    return message;
  }

  #mac(key: Bytes, covered: Bytes): Bytes {
    return this.#crypto.hmacSha256(key, covered).subarray(0, MAC_BYTES);
  }
}

function readBody(step: number, counter: number, reader: ByteReader): PathRecord | undefined {
  switch (step) {
    case ATTACH: {
      const flags = reader.u8();
      const next = reader.varint();
      if (reader.failed || flags > TAKE_OVER) return undefined;
      return { step: 'attach', takesOver: flags === TAKE_OVER, next, counter };
    }
    case ATTACHED: {
      const attach = reader.varint();
      const next = reader.varint();
      return reader.failed ? undefined : { step: 'attached', attach, next };
    }
    case PROBE:
    case PROBED: {
      const nonce = reader.take(NONCE_BYTES).slice();
      if (reader.failed) return undefined;
      return { step: step === PROBE ? 'probe' : 'probed', nonce };
    }
    default:
      return undefined;
  }
}
