/**
 * Resting link: what a hub that sleeps leaves with a WebSocket, so that it knows after its sleep whose it is and which circuits
 * lead where. It has room for so much and no more; that bounds the circuits of a link.
 */

import type { Grant } from '../auth/grant.ts';
import { type Bytes, decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import type { MessagePipe } from '../core/platform.ts';
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts';
import { ByteReader, varintLength, writeVarint } from '../core/varint.ts';
import type { CircuitPast } from '../tunnel/circuit.ts';
import type { LinkPast } from '../tunnel/link-sleep.ts';

/** A WebSocket that outlives the memory of the hub, with what the hub has left with it. */
export interface RestingPipe {
  readonly pipe: MessagePipe;
  readonly state: Bytes;
}

/** Who is at the other end, as it was proven on this link. */
export interface RestingMember {
  readonly instance: string;
  readonly id: SpiffeId;
  readonly grant: Grant;
  readonly observedIp: string | undefined;
}

/** Where the records of a circuit go on. */
export interface RestingLeg {
  readonly circuit: number;
  /** Number of the other link among those of the same rest. */
  readonly toLink: number;
  readonly toCircuit: number;
  /** The member at this end has opened it. */
  readonly isCaller: boolean;
}

export interface RestingLink {
  /** Number among those of the same rest. */
  readonly number: number;
  readonly member: RestingMember;
  readonly link: LinkPast;
  readonly legs: readonly RestingLeg[];
}

/*
 * 01 | varint number | text of the member | two HELLOs | varint next id | varint last adopted id
 *    | varint count | circuits | varint count | legs
 * text, HELLO: varint length, bytes
 * circuit: varint id, sent, limit, received, granted, window
 * leg: varint circuit, 2 × link + is caller, circuit there
 */
const VERSION = 1;
/** Offsets and ids take up to 8 bytes each, a window and the number of a link up to 4. */
const MOST_CIRCUIT_BYTES = 5 * 8 + 4;
const MOST_LEG_BYTES = 8 + 4 + 8;
/** Version, number, ids, lengths and counts, and circuit 0. */
const FRAME_BYTES = 1 + 4 + 8 + 8 + 5 * 4 + MOST_CIRCUIT_BYTES;

/** How many circuits a link may have that its attachment of `maxBytes` can tell of, however far they have come. */
export function countRestingCircuits(maxBytes: number, member: RestingMember, hellos: readonly Bytes[]): number {
  const taken = FRAME_BYTES + encodeMember(member).length + hellos.reduce((sum, { length }) => sum + length, 0);
  return Math.max(0, Math.floor((maxBytes - taken) / (MOST_CIRCUIT_BYTES + MOST_LEG_BYTES)));
}

export function encodeRestingLink({ number, member, link, legs }: RestingLink): Bytes {
  const out = new Writer();
  out.varint(VERSION);
  out.varint(number);
  out.bytes(encodeMember(member));
  for (const hello of link.hellos) out.bytes(hello);
  out.varint(link.nextId);
  out.varint(link.lastAdoptedId);
  out.varint(link.circuits.length);
  for (const { id, sent, sendLimit, received, granted, windowBytes } of link.circuits) {
    for (const value of [id, sent, sendLimit, received, granted, windowBytes]) out.varint(value);
  }
  out.varint(legs.length);
  for (const { circuit, toLink, toCircuit, isCaller } of legs) {
    for (const value of [circuit, 2 * toLink + Number(isCaller), toCircuit]) out.varint(value);
  }
  return out.take();
}

/** undefined: it was left by another version, or is not whole. */
export function decodeRestingLink(bytes: Bytes): RestingLink | undefined {
  const reader = new ByteReader(bytes);
  const text = (): Bytes => reader.take(reader.varint());
  if (reader.varint() !== VERSION) return undefined;
  const number = reader.varint();
  const member = text();
  const hellos = [text().slice(), text().slice()] as const;
  const ids = { nextId: reader.varint(), lastAdoptedId: reader.varint() };
  const circuits: CircuitPast[] = [];
  for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
    const [id, sent, sendLimit] = [reader.varint(), reader.varint(), reader.varint()];
    const [received, granted, windowBytes] = [reader.varint(), reader.varint(), reader.varint()];
    circuits.push({ id, sent, sendLimit, received, granted, windowBytes });
  }
  const legs: RestingLeg[] = [];
  for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
    const [circuit, to, toCircuit] = [reader.varint(), reader.varint(), reader.varint()];
    legs.push({ circuit, toLink: to >> 1, toCircuit, isCaller: to % 2 === 1 });
  }
  if (reader.failed || reader.remaining > 0) return undefined;
  return { number, member: decodeMember(member), link: { hellos, ...ids, circuits }, legs };
}

function encodeMember({ instance, id, grant, observedIp }: RestingMember): Bytes {
  return encodeUtf8(JSON.stringify({ instance, id: id.uri, grant, observedIp }));
}

/** The hub itself has written it. */
function decodeMember(text: Bytes): RestingMember {
  const { id, ...rest } = JSON.parse(decodeUtf8(text));
  return { ...rest, id: parseSpiffeId(id) };
}

class Writer {
  #out: Bytes = new Uint8Array(1024);
  #length = 0;

  varint(value: number): void {
    this.#reserve(varintLength(value));
    this.#length = writeVarint(this.#out, this.#length, value);
  }

  bytes(bytes: Bytes): void {
    this.varint(bytes.length);
    this.#reserve(bytes.length);
    this.#out.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  take(): Bytes {
    return this.#out.slice(0, this.#length);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#out.length) return;
    const larger = new Uint8Array(2 * (this.#length + bytes));
    larger.set(this.#out.subarray(0, this.#length));
    this.#out = larger;
  }
}
