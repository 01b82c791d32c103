/** Drives the Noise handshake of one session over a circuit: three records, credentials checked in between. */

import { type Bytes, concatBytes, decodeUtf8, EMPTY, encodeUtf8 } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Crypto, X25519KeyPair } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import { ByteReader, writeVarint } from '../core/varint.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';
import {
  type Authenticator,
  type HandshakeRole,
  HandshakeState,
  MAX_TICKET_BYTES,
  type PeerIdentity,
  type SplitKeys,
} from './handshake.ts';
import type { PeerSettings } from './mux.ts';
import type { TunnelOptions } from './options.ts';
import {
  RECORD_HANDSHAKE,
  RECORD_HEADER_BYTES,
  readRecordEpoch,
  readRecordSequence,
  readRecordType,
  SESSION_ID_BYTES,
  writeRecordHeader,
} from './record.ts';

/** Protocol version and features in payload 1; in the clear, but covered by the handshake hash. Behind a ticket's feature follows that. */
const VERSION = 1;
const FEATURES_NONE = 0;
const WITH_NAMED_TICKET = 1;
const WITH_SEALED_TICKET = 2;
const FEATURES_AT = 1;
const TICKET_AT = 2;
const TICKET_LABEL = encodeUtf8('skein/1 ticket');
const PROLOGUE_NAME = encodeUtf8('skein/1');
const MAX_PAYLOAD_BYTES = 16 * 1024;
const MAX_NAME_BYTES = 255;

const SETTING_STREAM_WINDOW = 1;
const SETTING_SESSION_WINDOW = 2;
const SETTING_MAX_STREAMS = 3;
/** Seconds for which this end remembers the other one, if that wants it as well; who does not know it passes over it. */
const SETTING_TICKET = 4;

export interface SessionHandshakeOptions {
  readonly role: HandshakeRole;
  readonly authenticator: Authenticator;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly limits: TunnelOptions;
  readonly trustDomain: string;
  readonly localInstance: string;
  /** Empty: whoever answers (the hub at the other end of a link), or whoever calls. */
  readonly remoteInstance: string;
  /** More for the prologue: both HELLOs of the link, for the session on its circuit 0. */
  readonly binding: Bytes;
  readonly staticKey: X25519KeyPair;
}

export interface SessionKeys {
  readonly sessionId: Bytes;
  readonly keys: SplitKeys;
  readonly settings: PeerSettings;
  readonly remoteInstance: string;
  /** The peer, or why it was refused: a responder says so inside the session before it closes. */
  readonly outcome: PeerIdentity | SkeinError;
}

/**
 * One handshake. `start` and `receive` return the messages to send; when `result` is set, the handshake is over.
 * Messages must be given one after the other: each call is awaited before the next.
 */
export class SessionHandshake {
  readonly #options: SessionHandshakeOptions;
  #noise: HandshakeState | undefined;
  #sessionId: Bytes = EMPTY;
  #remoteInstance: string;
  #step = 0;
  #settings: PeerSettings | undefined;
  #peer: PeerIdentity | undefined;
  result: SessionKeys | undefined;

  constructor(options: SessionHandshakeOptions) {
    this.#options = options;
    this.#remoteInstance = options.remoteInstance;
  }

  /** The initiator's first message. */
  start(): Bytes {
    this.#sessionId = this.#options.random.bytes(SESSION_ID_BYTES);
    const clear = encodePreamble(
      this.#sessionId,
      this.#options.localInstance,
      this.#options.remoteInstance,
      this.#options.trustDomain,
    );
    const noise = this.#begin(clear);
    noise.beginWrite();
    const ticket = this.#options.authenticator.tickets?.offer();
    return this.#message(concatBytes(clear, noise.finishWrite(encodeHello(ticket))));
  }

  /** @throws SkeinError SKEIN_HANDSHAKE, SKEIN_IDENTITY and what else the authenticator throws */
  async receive(message: Bytes): Promise<Bytes | undefined> {
    const at = LINK_HEADER_BYTES;
    // the header is not under the handshake's hash, so each of its bits is fixed here
    if (
      message.length < at + RECORD_HEADER_BYTES ||
      readRecordType(message, at) !== RECORD_HANDSHAKE ||
      readRecordEpoch(message, at) !== 0 ||
      readRecordSequence(message, at) !== this.#step
    ) {
      throw failure('a record is out of turn');
    }
    this.#step++;
    const body = message.subarray(at + RECORD_HEADER_BYTES);
    if (this.#options.role === 'responder') return this.#step === 1 ? this.#answer(body) : this.#finish(body);
    return this.#reveal(body);
  }

  /** Responder: message 1 in, message 2 out. */
  async #answer(body: Bytes): Promise<Bytes> {
    const options = this.#options;
    const { length, sessionId, initiator, responder, trustDomain } = decodePreamble(body);
    if (trustDomain !== options.trustDomain) throw failure('the peer is of another trust domain');
    if (responder !== '' && responder !== options.localInstance) throw failure('the peer dialled another instance');
    if (options.remoteInstance !== '' && initiator !== options.remoteInstance)
      throw failure('the peer is not the announced instance');
    this.#sessionId = sessionId;
    this.#remoteInstance = initiator;
    const noise = this.#begin(body.subarray(0, length));
    noise.beginRead(body.subarray(length));
    this.#readHello(noise.finishRead());
    noise.beginWrite();
    const credential = await options.authenticator.prove('responder', noise.hash);
    return this.#message(noise.finishWrite(this.#encodePayload(credential)));
  }

  /** Initiator: message 2 in, message 3 out; nothing of us is revealed before the responder is who we dialled. */
  async #reveal(body: Bytes): Promise<Bytes> {
    const noise = this.#running();
    noise.beginRead(body);
    const hash = noise.hash;
    const { credential, settings, ticketSeconds } = decodePayload(noise.finishRead());
    this.#peer = await this.#options.authenticator.verify('responder', hash, credential);
    this.#settings = settings;
    noise.beginWrite();
    const own = await this.#options.authenticator.prove('initiator', noise.hash);
    const message = this.#message(noise.finishWrite(this.#encodePayload(own)));
    this.#complete(noise, this.#peer, ticketSeconds);
    return message;
  }

  /** Responder: message 3 in. */
  async #finish(body: Bytes): Promise<undefined> {
    const noise = this.#running();
    noise.beginRead(body);
    const hash = noise.hash;
    const { credential, settings, ticketSeconds } = decodePayload(noise.finishRead());
    this.#settings = settings;
    let outcome: PeerIdentity | SkeinError;
    try {
      outcome = await this.#options.authenticator.verify('initiator', hash, credential);
    } catch (thrown) {
      outcome = toSkeinError(thrown, 'SKEIN_IDENTITY');
    }
    this.#complete(noise, outcome, ticketSeconds);
    return undefined;
  }

  #begin(clear: Bytes): HandshakeState {
    const { crypto, role, staticKey, binding } = this.#options;
    this.#noise = new HandshakeState({ crypto, role, staticKey, prologue: concatBytes(PROLOGUE_NAME, clear, binding) });
    return this.#noise;
  }

  #running(): HandshakeState {
    if (this.#noise === undefined || this.result !== undefined) throw failure('a record is out of turn');
    return this.#noise;
  }

  #readHello(hello: Bytes): void {
    const features = hello[0] === VERSION ? hello[FEATURES_AT] : undefined;
    const ticket = hello.subarray(TICKET_AT);
    if (features === FEATURES_NONE && ticket.length === 0) return;
    const isTicket =
      features === WITH_NAMED_TICKET
        ? ticket.length === SESSION_ID_BYTES
        : features === WITH_SEALED_TICKET && ticket.length > SESSION_ID_BYTES && ticket.length <= MAX_TICKET_BYTES;
    if (!isTicket) throw failure('the peer speaks another version');
    this.#options.authenticator.tickets?.present(ticket);
  }

  #complete(noise: HandshakeState, outcome: PeerIdentity | SkeinError, theirSeconds: number): void {
    const keys = noise.split();
    const { crypto, authenticator } = this.#options;
    const { tickets } = authenticator;
    if (tickets !== undefined && !(outcome instanceof SkeinError)) {
      const secret = crypto.hmacSha256(keys.exporter, TICKET_LABEL, this.#sessionId);
      tickets.keep({ id: this.#sessionId, secret, peer: outcome }, Math.min(theirSeconds, tickets.seconds));
    }
    this.result = {
      sessionId: this.#sessionId,
      keys,
      settings: this.#settings as PeerSettings,
      remoteInstance: this.#remoteInstance,
      outcome,
    };
  }

  #message(body: Bytes): Bytes {
    const message = new Uint8Array(LINK_HEADER_BYTES + RECORD_HEADER_BYTES + body.length);
    writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_HANDSHAKE, 0, this.#step++);
    message.set(body, LINK_HEADER_BYTES + RECORD_HEADER_BYTES);
    return message;
  }

  /** varint length, credential, then settings as pairs of varints. */
  #encodePayload(credential: Bytes): Bytes {
    if (credential.length > MAX_PAYLOAD_BYTES) throw failure('own credential is too large');
    const { limits, authenticator } = this.#options;
    const { streamWindowBytes, sessionWindowBytes, maxStreams } = limits;
    const head = new Uint8Array(8);
    const tail = new Uint8Array(4 * 9);
    let at = 0;
    for (const [id, value] of [
      [SETTING_STREAM_WINDOW, streamWindowBytes],
      [SETTING_SESSION_WINDOW, sessionWindowBytes],
      [SETTING_MAX_STREAMS, maxStreams],
    ] as const) {
      at = writeVarint(tail, writeVarint(tail, at, id), value);
    }
    const seconds = authenticator.tickets?.seconds ?? 0;
    if (seconds > 0) at = writeVarint(tail, writeVarint(tail, at, SETTING_TICKET), seconds);
    return concatBytes(head.subarray(0, writeVarint(head, 0, credential.length)), credential, tail.subarray(0, at));
  }
}

interface HandshakePayload {
  readonly credential: Bytes;
  readonly settings: PeerSettings;
  /** 0: the peer remembers nothing. */
  readonly ticketSeconds: number;
}

function decodePayload(payload: Bytes): HandshakePayload {
  if (payload.length > MAX_PAYLOAD_BYTES + 64) throw failure('the peer sends a credential that is too large');
  const reader = new ByteReader(payload);
  const credential = reader.take(reader.varint());
  const values = new Map<number, number>();
  while (reader.remaining > 0) {
    const id = reader.varint();
    if (values.has(id)) throw failure('the peer repeats a setting');
    values.set(id, reader.varint());
  }
  const streamWindowBytes = values.get(SETTING_STREAM_WINDOW);
  const sessionWindowBytes = values.get(SETTING_SESSION_WINDOW);
  const maxStreams = values.get(SETTING_MAX_STREAMS);
  if (reader.failed || !streamWindowBytes || !sessionWindowBytes || !maxStreams)
    throw failure('the peer sends malformed settings');
  const ticketSeconds = values.get(SETTING_TICKET) ?? 0;
  return { credential, settings: { streamWindowBytes, sessionWindowBytes, maxStreams }, ticketSeconds };
}

/** By a session's name, or sealed: what its length says. */
function encodeHello(ticket: Bytes | undefined): Bytes {
  if (ticket === undefined) return new Uint8Array([VERSION, FEATURES_NONE]);
  const features = ticket.length === SESSION_ID_BYTES ? WITH_NAMED_TICKET : WITH_SEALED_TICKET;
  return concatBytes(new Uint8Array([VERSION, features]), ticket);
}

/** session id (16), then initiator instance, intended responder instance and trust domain, each u8 length + bytes. */
function encodePreamble(sessionId: Bytes, initiator: string, responder: string, trustDomain: string): Bytes {
  const parts = [sessionId];
  for (const name of [initiator, responder, trustDomain]) {
    const bytes = encodeUtf8(name);
    if (bytes.length > MAX_NAME_BYTES) throw failure('a name is too long');
    parts.push(new Uint8Array([bytes.length]), bytes);
  }
  return concatBytes(...parts);
}

interface Preamble {
  readonly length: number;
  readonly sessionId: Bytes;
  readonly initiator: string;
  readonly responder: string;
  readonly trustDomain: string;
}

function decodePreamble(body: Bytes): Preamble {
  const reader = new ByteReader(body);
  const sessionId = reader.take(SESSION_ID_BYTES).slice();
  const names = [0, 1, 2].map(() => reader.take(reader.u8()));
  if (reader.failed) throw failure('the first record is truncated');
  let texts: string[];
  try {
    texts = names.map(decodeUtf8);
  } catch (cause) {
    throw failure('a name is not UTF-8', cause);
  }
  const [initiator = '', responder = '', trustDomain = ''] = texts;
  return { length: reader.offset, sessionId, initiator, responder, trustDomain };
}

function failure(state: string, cause?: unknown): SkeinError {
  return new SkeinError('SKEIN_HANDSHAKE', `Cannot complete handshake: ${state}`, { cause });
}
