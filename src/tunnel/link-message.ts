/** The bytes of link messages: their header, and the bodies that are not a record (docs/protocol.md §2). */

import type { Bytes } from '../core/bytes.ts';
import type { Random } from '../core/random.ts';
import { ByteReader, varintLength, writeVarint } from '../core/varint.ts';
import { LINK_HEADER_BYTES } from './circuit.ts';
import { MAX_OFFSET } from './flow-control.ts';

/*
 *  0        1                             5
 * +--------+-----------------------------+------------------...
 * | v|kind | circuit id  u32             | body
 * +--------+-----------------------------+------------------...
 */
export const VERSION = 1;
export const HELLO = 0;
export const DATA = 2;
export const CLOSE = 5;
export const CREDIT = 6;
export const PING = 7;
export const PONG = 8;
export const RENEW = 9;

/** Feature bit of HELLO: of a dialler, that it knows RENEW; of an acceptor, that it may sleep, and is asked by text whether its host is there. */
export const SLEEP = 1;

const NONCE_BYTES = 16;
/** HELLO is kept as long as its link; nothing that a later version may add to it is longer. */
const MAX_HELLO_BYTES = 1024;
export const PING_MESSAGE_BYTES = LINK_HEADER_BYTES + 8;
/** PONG tells here when PING arrived, in milliseconds of the clock of who answers, modulo 2^32. */
const PONG_ARRIVED_AT = LINK_HEADER_BYTES;
/** The number of a PING, and of its PONG. */
const PING_NUMBER_AT = LINK_HEADER_BYTES + 4;

export function newMessage(kind: number, circuit: number, bodyBytes: number): Bytes {
  const message = new Uint8Array(LINK_HEADER_BYTES + bodyBytes);
  writeHeader(message, kind, circuit);
  return message;
}

export function writeHeader(message: Bytes, kind: number, circuit: number): void {
  message[0] = (VERSION << 4) | kind;
  message[1] = circuit >>> 24;
  message[2] = (circuit >>> 16) & 0xff;
  message[3] = (circuit >>> 8) & 0xff;
  message[4] = circuit & 0xff;
}

export function readVersion(message: Bytes): number {
  return (message[0] as number) >> 4;
}

export function readKind(message: Bytes): number {
  return (message[0] as number) & 15;
}

export function readCircuit(message: Bytes): number {
  return (
    (((message[1] as number) << 24) |
      ((message[2] as number) << 16) |
      ((message[3] as number) << 8) |
      (message[4] as number)) >>>
    0
  );
}

export function encodeHello(random: Random, maxMessageBytes: number, features: number): Bytes {
  const hello = newMessage(HELLO, 0, 1 + varintLength(features) + NONCE_BYTES + varintLength(maxMessageBytes));
  let at = writeVarint(hello, LINK_HEADER_BYTES, VERSION);
  at = writeVarint(hello, at, features);
  hello.set(random.bytes(NONCE_BYTES), at);
  writeVarint(hello, at + NONCE_BYTES, maxMessageBytes);
  return hello;
}

/** undefined: malformed, of another version, or too long to be kept. What a later feature adds behind is not read. */
export function readHello(message: Bytes): { readonly maxMessageBytes: number; readonly features: number } | undefined {
  const reader = new ByteReader(message, LINK_HEADER_BYTES);
  const version = reader.varint();
  const features = reader.varint();
  reader.take(NONCE_BYTES);
  const maxMessageBytes = reader.varint();
  const isReadable = !reader.failed && version === VERSION && message.length <= MAX_HELLO_BYTES;
  return isReadable ? { maxMessageBytes, features } : undefined;
}

/** Asks for a new session on circuit 0; the same message is the answer. */
export function encodeRenew(random: Random): Bytes {
  const renew = newMessage(RENEW, 0, NONCE_BYTES);
  renew.set(random.bytes(NONCE_BYTES), LINK_HEADER_BYTES);
  return renew;
}

export function isRenew(message: Bytes): boolean {
  return message.length === LINK_HEADER_BYTES + NONCE_BYTES && readCircuit(message) === 0;
}

/** A sign of life, and nothing else. */
export function isHeartbeat(message: Bytes): boolean {
  return message.length === PING_MESSAGE_BYTES && (readKind(message) === PING || readKind(message) === PONG);
}

export function encodeCredit(circuit: number, offset: number): Bytes {
  const credit = newMessage(CREDIT, circuit, varintLength(offset));
  writeVarint(credit, LINK_HEADER_BYTES, offset);
  return credit;
}

/** undefined: malformed. */
export function readCredit(message: Bytes): number | undefined {
  const reader = new ByteReader(message, LINK_HEADER_BYTES);
  const offset = reader.varint();
  return reader.failed || reader.remaining > 0 || offset > MAX_OFFSET ? undefined : offset;
}

export function encodeClose(circuit: number, code: number): Bytes {
  const close = newMessage(CLOSE, circuit, 2);
  viewOf(close).setUint16(LINK_HEADER_BYTES, code);
  return close;
}

/** undefined: malformed. */
export function readClose(message: Bytes): number | undefined {
  const reader = new ByteReader(message, LINK_HEADER_BYTES);
  const code = reader.u16();
  return reader.failed || reader.remaining > 0 ? undefined : code;
}

export function encodePing(number: number): Bytes {
  const ping = newMessage(PING, 0, PING_MESSAGE_BYTES - LINK_HEADER_BYTES);
  viewOf(ping).setUint32(PING_NUMBER_AT, number);
  return ping;
}

/** The answer to `ping`, which arrived at `nowMs`. */
export function encodePong(ping: Bytes, nowMs: number): Bytes {
  const pong = ping.slice();
  writeHeader(pong, PONG, 0);
  viewOf(pong).setUint32(PONG_ARRIVED_AT, nowMs % 2 ** 32);
  return pong;
}

export function readPingNumber(message: Bytes): number {
  return viewOf(message).getUint32(PING_NUMBER_AT);
}

export function readPongArrived(message: Bytes): number {
  return viewOf(message).getUint32(PONG_ARRIVED_AT);
}

function viewOf(message: Bytes): DataView {
  return new DataView(message.buffer, message.byteOffset);
}
