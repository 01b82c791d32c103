/** DNS messages (RFC 1035 §4, RFC 2782, RFC 6891): queries read strictly, answers written without compression but for the name asked for. */

import type { Bytes } from '../core/bytes.ts';

/** Types that are answered here; every other type of a name that exists has no data. */
export const DNS_TYPE = { a: 1, aaaa: 28, srv: 33 } as const;
/** Response codes of RFC 1035 §4.1.1. */
export const DNS_CODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
} as const;

export type DnsCode = (typeof DNS_CODE)[keyof typeof DNS_CODE];

export interface DnsQuery {
  readonly id: number;
  /** In lower case, without the dot at the end. */
  readonly name: string;
  readonly type: number;
  readonly recursionDesired: boolean;
  /** Largest answer the asker takes by UDP: 512, or what its OPT record says, up to 4096. */
  readonly udpBytes: number;
  /** Name, type and class as they came: the answer repeats them, letter case included. */
  readonly question: Bytes;
}

export type DnsRecord =
  | { readonly type: 'a' /** `127.80.0.1` */; readonly address: string }
  | { readonly type: 'srv'; readonly port: number; readonly target: string };

export interface DnsAnswer {
  readonly code: DnsCode;
  readonly records: readonly DnsRecord[];
  /** How long the records may be kept. */
  readonly ttlSeconds: number;
}

const HEADER_BYTES = 12;
const CLASS_IN = 1;
const TYPE_OPT = 41;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
const MIN_UDP_BYTES = 512;
const MAX_UDP_BYTES = 4096;
/** The name of the question, which begins right behind the header. */
const POINTER_TO_QUESTION = 0xc00c;
const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;

/**
 * A query for one name, or the code of the refusal; undefined for what must not be answered at all: responses, and what
 * is too short to hold an id.
 */
export function parseDnsQuery(message: Bytes): DnsQuery | DnsCode | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const flags = view.getUint16(2);
  if ((flags & RESPONSE) !== 0) return undefined;
  if (((flags >> 11) & 0xf) !== 0) return DNS_CODE.notImplemented;
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => view.getUint16(at));
  if (questions !== 1 || answers !== 0 || authorities !== 0) return DNS_CODE.formatError;
  const name = readName(message, HEADER_BYTES);
  if (name === undefined || name.end + 4 > message.length) return DNS_CODE.formatError;
  if (view.getUint16(name.end + 2) !== CLASS_IN) return DNS_CODE.notImplemented;
  return {
    id: view.getUint16(0),
    name: name.text,
    type: view.getUint16(name.end),
    recursionDesired: (flags & RECURSION_DESIRED) !== 0,
    udpBytes: additionals === 0 ? MIN_UDP_BYTES : readUdpBytes(view, name.end + 4),
    question: message.subarray(HEADER_BYTES, name.end + 4),
  };
}

/** @param maxBytes with more the answer is cut down to its question, and says so (TC) */
export function encodeDnsAnswer(query: DnsQuery, { code, records, ttlSeconds }: DnsAnswer, maxBytes: number): Bytes {
  const data = records.map(encodeData);
  const length = data.reduce((sum, { length: bytes }) => sum + 12 + bytes, HEADER_BYTES + query.question.length);
  const isTruncated = length > maxBytes;
  const out = new Uint8Array(isTruncated ? HEADER_BYTES + query.question.length : length);
  const view = new DataView(out.buffer);
  view.setUint16(0, query.id);
  const flags = RESPONSE | AUTHORITATIVE | RECURSION_AVAILABLE | code | (isTruncated ? TRUNCATED : 0);
  view.setUint16(2, query.recursionDesired ? flags | RECURSION_DESIRED : flags);
  view.setUint16(4, 1);
  view.setUint16(6, isTruncated ? 0 : records.length);
  out.set(query.question, HEADER_BYTES);
  if (isTruncated) return out;
  let at = HEADER_BYTES + query.question.length;
  for (const [index, bytes] of data.entries()) {
    view.setUint16(at, POINTER_TO_QUESTION);
    view.setUint16(at + 2, DNS_TYPE[records[index]?.type ?? 'a']);
    view.setUint16(at + 4, CLASS_IN);
    view.setUint32(at + 6, ttlSeconds);
    view.setUint16(at + 10, bytes.length);
    out.set(bytes, at + 12);
    at += 12 + bytes.length;
  }
  return out;
}

/** A refusal of a message whose question was not understood: its header alone. */
export function encodeDnsRefusal(message: Bytes, code: DnsCode): Bytes {
  const out = new Uint8Array(HEADER_BYTES);
  out.set(message.subarray(0, 2));
  new DataView(out.buffer).setUint16(2, RESPONSE | code);
  return out;
}

/** Whether `answer` is one to `query`, sent upstream with id `id`. */
export function isDnsAnswerTo(answer: Bytes, id: number, question: Bytes): boolean {
  if (answer.length < HEADER_BYTES + question.length) return false;
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
  if (view.getUint16(0) !== id || (view.getUint16(2) & RESPONSE) === 0) return false;
  return question.every((byte, index) => answer[HEADER_BYTES + index] === byte);
}

/** A copy of `message` under another id. */
export function withDnsId(message: Bytes, id: number): Bytes {
  const out = message.slice();
  new DataView(out.buffer).setUint16(0, id);
  return out;
}

/** A message as it travels by TCP: behind its length in two bytes (RFC 1035 §4.2.2). */
export function toDnsFrame(message: Bytes): Bytes {
  const out = new Uint8Array(2 + message.length);
  new DataView(out.buffer).setUint16(0, message.length);
  out.set(message, 2);
  return out;
}

/** The first message of what came by TCP; undefined while it is not whole. */
export function takeDnsFrame(received: Bytes): Bytes | undefined {
  const length = dnsFrameLength(received);
  return length === undefined || received.length < 2 + length ? undefined : received.subarray(2, 2 + length);
}

/** Bytes of the message that begins `received`, without those of its length. */
export function dnsFrameLength(received: Bytes): number | undefined {
  return received.length < 2 ? undefined : ((received[0] as number) << 8) | (received[1] as number);
}

/** A name without pointers: there is nothing before a question that one could point to. */
function readName(message: Bytes, start: number): { readonly text: string; readonly end: number } | undefined {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > MAX_LABEL_BYTES || at + 1 - start > MAX_NAME_BYTES) return undefined;
    at++;
    if (length === 0) return { text: labels.join('.'), end: at };
    if (at + length > message.length) return undefined;
    let label = '';
    for (let i = at; i < at + length; i++) {
      const byte = message[i] as number;
      // What is no printable letter of a host name never names a service; a dot inside a label must not split it.
      label += byte > 0x20 && byte < 0x7f && byte !== 0x2e ? String.fromCharCode(byte) : '?';
    }
    labels.push(label.toLowerCase());
    at += length;
  }
}

/** The size in an OPT record that is the only thing behind the question; anything else there is not looked at. */
function readUdpBytes(view: DataView, at: number): number {
  if (at + 11 > view.byteLength || view.getUint8(at) !== 0 || view.getUint16(at + 1) !== TYPE_OPT) return MIN_UDP_BYTES;
  return Math.min(MAX_UDP_BYTES, Math.max(MIN_UDP_BYTES, view.getUint16(at + 3)));
}

function encodeData(record: DnsRecord): Bytes {
  if (record.type === 'a') return Uint8Array.from(record.address.split('.'), Number);
  const labels = record.target.split('.');
  const out = new Uint8Array(6 + labels.reduce((sum, { length }) => sum + 1 + length, 1));
  // Priority 0 and weight 0 (RFC 2782): there is one target, and who is behind it the mesh decides for each request.
  new DataView(out.buffer).setUint16(4, record.port);
  let at = 6;
  for (const label of labels) {
    out[at++] = label.length;
    for (let i = 0; i < label.length; i++) out[at++] = label.charCodeAt(i);
  }
  return out;
}
