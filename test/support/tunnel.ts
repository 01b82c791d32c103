/** Two ends of a tunnel on virtual time, a peer that may say anything inside a session, and sinks that remember. */

import type { HeadedSink, HeadedStream } from '../../src/core/byte-stream.ts';
import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from '../../src/core/bytes.ts';
import type { Clock } from '../../src/core/clock.ts';
import { SkeinError } from '../../src/core/errors.ts';
import type { Random } from '../../src/core/random.ts';
import { parseSpiffeId } from '../../src/core/spiffe-id.ts';
import { nodeCrypto } from '../../src/runtime/node-compat/crypto.ts';
import { MemoryLink, type MemoryLinkOptions } from '../../src/testing/memory-pipe.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { RecordCipher } from '../../src/tunnel/cipher-state.ts';
import { type Circuit, LINK_HEADER_BYTES } from '../../src/tunnel/circuit.ts';
import { type FrameHandler, FrameWriter } from '../../src/tunnel/frame.ts';
import type { Authenticator, HandshakeRole, PeerIdentity } from '../../src/tunnel/handshake.ts';
import { Link } from '../../src/tunnel/link.ts';
import { resolveTunnelOptions, TUNNEL_DEFAULTS, type TunnelOptions } from '../../src/tunnel/options.ts';
import { PathRecords } from '../../src/tunnel/path-records.ts';
import {
  MESSAGE_OVERHEAD_BYTES,
  RECORD_DATA,
  readRecordEpoch,
  readRecordSequence,
  writeRecordHeader,
} from '../../src/tunnel/record.ts';
import { Session, type SessionOptions } from '../../src/tunnel/session.ts';
import { SessionHandshake } from '../../src/tunnel/session-handshake.ts';
import type { IncomingStream } from '../../src/tunnel/stream.ts';

/** Says a SPIFFE id and believes the peer's; refuses the ids it is told to. The real one is auth's, with keys. */
export class PlainAuthenticator implements Authenticator {
  readonly #id: string;
  readonly #refused: SkeinError | undefined;

  constructor(id: string, refused?: SkeinError) {
    this.#id = id;
    this.#refused = refused;
  }

  async prove(_role: HandshakeRole, _hash: Bytes): Promise<Bytes> {
    return encodeUtf8(this.#id);
  }

  async verify(_role: HandshakeRole, _hash: Bytes, payload: Bytes): Promise<PeerIdentity> {
    if (this.#refused !== undefined) throw this.#refused;
    return { id: parseSpiffeId(decodeUtf8(payload)), grant: undefined };
  }
}

export const ID_A = 'spiffe://test.mesh/ns/default/sa/a';
export const ID_B = 'spiffe://test.mesh/ns/default/sa/b';

export interface LinkPair {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly wire: MemoryLink;
  readonly a: Link;
  readonly b: Link;
  readonly errors: { a?: SkeinError; b?: SkeinError };
}

export interface PairOptions extends MemoryLinkOptions {
  readonly limits?: Partial<TunnelOptions>;
  readonly seed?: number;
  /** Of the dialler. */
  readonly onSilent?: () => void;
  /** The acceptor does not know who has dialled. @default false */
  readonly isStranger?: boolean;
}

export function createLinks(options: PairOptions = {}, clock: VirtualClock = new VirtualClock()): LinkPair {
  const random = new SeededRandom(options.seed ?? 1);
  const wire = new MemoryLink(clock, options);
  const errors: LinkPair['errors'] = {};
  const make = (role: 'dialler' | 'acceptor', side: 'a' | 'b'): Link =>
    new Link(wire[side], {
      role,
      clock,
      random,
      limits: options.limits,
      onSilent: side === 'a' ? options.onSilent : undefined,
      isStranger: side === 'b' && options.isStranger === true,
      onClose: (error) => {
        errors[side] = error;
      },
    });
  return { clock, random, wire, a: make('dialler', 'a'), b: make('acceptor', 'b'), errors };
}

export interface SessionEnd {
  readonly session: Session;
  readonly streams: IncomingStream[];
  /** Their metas, which the streams hold only while they are announced. */
  readonly metas: Bytes[];
  error: SkeinError | undefined;
}

type Overrides = Partial<SessionOptions>;

export function createSession(
  role: HandshakeRole,
  circuit: Circuit,
  links: { clock: Clock; random: SeededRandom },
  limits: Partial<TunnelOptions> | undefined,
  overrides: Overrides = {},
): SessionEnd {
  const initiator = role === 'initiator';
  const end: { session?: Session; streams: IncomingStream[]; metas: Bytes[]; error: SkeinError | undefined } = {
    streams: [],
    metas: [],
    error: undefined,
  };
  end.session = new Session({
    role,
    circuit,
    authenticator: new PlainAuthenticator(initiator ? ID_A : ID_B),
    crypto: nodeCrypto,
    clock: links.clock,
    random: links.random,
    trustDomain: 'test.mesh',
    localInstance: initiator ? 'instance-a' : 'instance-b',
    remoteInstance: initiator ? 'instance-b' : '',
    limits,
    onStream: (stream) => {
      end.streams.push(stream);
      end.metas.push(stream.meta.slice());
    },
    onClose: (error) => {
      end.error = error;
    },
    ...overrides,
  });
  return end as SessionEnd;
}

export interface SessionPair extends LinkPair {
  readonly initiator: SessionEnd;
  readonly responder: SessionEnd;
}

/** A session on circuit 0 of a link, handshake done. */
export async function createSessions(
  options: PairOptions & { initiator?: Overrides; responder?: Overrides } = {},
): Promise<SessionPair> {
  const links = createLinks(options);
  const initiator = createSession('initiator', links.a.control, links, options.limits, options.initiator);
  const responder = createSession('responder', links.b.control, links, options.limits, options.responder);
  await links.clock.advanceUntil(() => settled(initiator) && settled(responder), 30_000);
  return { ...links, initiator, responder };
}

function settled(end: SessionEnd): boolean {
  return end.session.isOpen || end.error !== undefined;
}

/** Remembers what arrived; returns credit at once unless told to hold it. */
export class RecordingSink implements HeadedSink {
  readonly chunks: Bytes[] = [];
  readonly heads: { block: Bytes; flags: number }[] = [];
  ended = false;
  error: SkeinError | undefined;
  drains = 0;
  readonly #stream: HeadedStream;
  readonly #holds: boolean;

  constructor(stream: HeadedStream, options: { hold?: boolean } = {}) {
    this.#stream = stream;
    this.#holds = options.hold ?? false;
    stream.attach(this);
  }

  get bytes(): Bytes {
    return concatBytes(...this.chunks);
  }

  get length(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  onData(chunk: Bytes): void {
    this.chunks.push(chunk);
    if (!this.#holds) this.#stream.consumed(chunk.length);
  }

  onHead(block: Bytes, flags: number): void {
    this.heads.push({ block: block.slice(), flags });
  }

  onEnd(): void {
    this.ended = true;
  }

  onDrain(): void {
    this.drains++;
  }

  onReset(error: SkeinError): void {
    this.error = error;
  }
}

/** Writes `total` bytes of a counter pattern as fast as the stream takes them, then ends it. */
export class Pump implements HeadedSink {
  readonly #stream: HeadedStream;
  #left: number;
  #next = 0;
  ended = false;
  error: SkeinError | undefined;

  constructor(stream: HeadedStream, total: number) {
    this.#stream = stream;
    this.#left = total;
    stream.attach(this);
    this.onDrain();
  }

  get leftBytes(): number {
    return this.#left;
  }

  onDrain(): void {
    while (this.#left > 0) {
      const chunk = new Uint8Array(Math.min(this.#left, 16_384));
      for (let i = 0; i < chunk.length; i++) chunk[i] = this.#next++ & 255;
      this.#left -= chunk.length;
      if (this.#left === 0) {
        this.#stream.write(chunk);
        this.#stream.end();
      } else if (!this.#stream.write(chunk)) {
        return;
      }
    }
  }

  onData(chunk: Bytes): void {
    this.#stream.consumed(chunk.length);
  }

  onHead(): void {}

  onEnd(): void {
    this.ended = true;
  }

  onReset(error: SkeinError): void {
    this.error = error;
  }
}

export interface RogueIdentity {
  readonly authenticator: Authenticator;
  readonly trustDomain: string;
  readonly localInstance: string;
  readonly remoteInstance: string;
  /** On circuit 0, both HELLOs. */
  readonly binding: Bytes;
}

const PLAIN_ROGUE: RogueIdentity = {
  authenticator: new PlainAuthenticator(ID_A),
  trustDomain: 'test.mesh',
  localInstance: 'rogue',
  remoteInstance: '',
  binding: new Uint8Array(0),
};

/** A peer with a real handshake and real keys that may then seal any plaintext it likes. */
export class RogueInitiator {
  readonly #circuit: Circuit;
  readonly #handshake: SessionHandshake;
  #send: RecordCipher | undefined;
  #receive: RecordCipher | undefined;
  #sequence = 0;
  #wake: () => void = () => undefined;
  /** Plaintexts of the records the other end sent. */
  readonly received: Bytes[] = [];
  closedBy: SkeinError | undefined;

  /** @param identity who it is to the other end, and who that is expected to be */
  constructor(circuit: Circuit, random: Random, identity: RogueIdentity = PLAIN_ROGUE) {
    this.#circuit = circuit;
    this.#handshake = new SessionHandshake({
      ...identity,
      role: 'initiator',
      crypto: nodeCrypto,
      random,
      limits: resolveTunnelOptions(),
      staticKey: nodeCrypto.createX25519(),
    });
    circuit.attach({
      onRecord: (message) => this.#onRecord(message),
      onWritable: () => undefined,
      onClose: (error) => {
        this.closedBy = error;
        this.#wake();
      },
    });
    circuit.send(this.#handshake.start());
  }

  get isReady(): boolean {
    return this.#send !== undefined;
  }

  /** What its link takes: more of it would end the link. */
  get sendableBytes(): number {
    return this.#circuit.sendableBytes - MESSAGE_OVERHEAD_BYTES;
  }

  /** Resolves when it may send, or when the circuit is over. */
  async ready(): Promise<void> {
    if (!this.isReady && this.closedBy === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Seals one record with what `build` writes. */
  send(build: (writer: FrameWriter) => void): void {
    const writer = new FrameWriter(new Uint8Array(TUNNEL_DEFAULTS.maxRecordBytes));
    build(writer);
    this.sendPlaintext(writer.bytes.slice(0, writer.length));
  }

  sendPlaintext(plaintext: Bytes, sequence: number = this.#sequence++, epoch = 0): Bytes {
    const message = new Uint8Array(MESSAGE_OVERHEAD_BYTES + plaintext.length);
    writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_DATA, epoch, sequence);
    (this.#send as RecordCipher).seal(sequence, plaintext, message, LINK_HEADER_BYTES);
    const copy = message.slice();
    this.#circuit.send(message);
    return copy;
  }

  /** Ends the circuit, if the other end has not. */
  leave(): void {
    if (this.closedBy === undefined) this.#circuit.close(0);
  }

  /** What proves on other circuits that they are of this session. */
  pathRecords(): PathRecords {
    if (this.#handshake.result === undefined)
      throw new TypeError('Cannot make path records: the handshake is not done');
    const { keys, sessionId } = this.#handshake.result;
    return new PathRecords(nodeCrypto, 'initiator', keys.exporter, sessionId);
  }

  /** Sends a message as it is. */
  sendMessage(message: Bytes): void {
    this.#circuit.send(message);
  }

  #onRecord(message: Bytes): void {
    this.#circuit.consumed(message.length - LINK_HEADER_BYTES);
    if (this.#receive !== undefined) {
      const plaintext = this.#receive.open(
        readRecordSequence(message, LINK_HEADER_BYTES),
        readRecordEpoch(message, LINK_HEADER_BYTES),
        message,
        LINK_HEADER_BYTES,
      );
      if (plaintext !== undefined) this.received.push(plaintext);
      return;
    }
    void this.#handshake.receive(message).then((answer) => {
      if (answer !== undefined) this.#circuit.send(answer);
      const result = this.#handshake.result;
      if (result === undefined) return;
      this.#send = new RecordCipher(nodeCrypto, result.keys.send, result.sessionId);
      this.#receive = new RecordCipher(nodeCrypto, result.keys.receive, result.sessionId);
      this.#wake();
    });
  }
}

/** A rogue initiator against a real session as responder, handshake done. */
export async function createRogue(
  limits?: Partial<TunnelOptions>,
  overrides: Overrides = {},
): Promise<LinkPair & { rogue: RogueInitiator; responder: SessionEnd }> {
  const links = createLinks({ limits });
  await links.clock.settle();
  const responder = createSession('responder', links.b.control, links, limits, overrides);
  const rogue = new RogueInitiator(links.a.control, links.random);
  const done = await links.clock.advanceUntil(() => rogue.isReady && responder.session.isOpen, 10_000);
  if (!done) throw new SkeinError('SKEIN_INTERNAL', 'Cannot set up rogue: the handshake did not finish');
  return { ...links, rogue, responder };
}

/** Frames of a peer, noted. */
export class FrameLog implements FrameHandler {
  readonly isReading = true;
  elicitsAck = false;
  readonly goAways: { code: number; drain: boolean }[] = [];
  readonly resets: { id: number; code: number; notProcessed: boolean }[] = [];
  readonly data: { id: number; end: boolean; length: number }[] = [];
  readonly credits: { id: number; offset: number }[] = [];
  readonly acks: number[] = [];
  readonly maxStreams: number[] = [];
  pongs = 0;

  onData(id: number, end: boolean, chunk: Bytes): void {
    this.data.push({ id, end, length: chunk.length });
  }

  onOpen(): void {}
  onHeaders(): void {}
  onStop(): void {}
  onPath(): void {}
  onFence(): void {}

  onCredit(id: number, offset: number): void {
    this.credits.push({ id, offset });
  }

  onReset(id: number, code: number, _finalSize: number, notProcessed: boolean): void {
    this.resets.push({ id, code, notProcessed });
  }

  onPing(ack: boolean): void {
    if (ack) this.pongs++;
  }

  onGoAway(code: number, _last: number, _retry: number, drain: boolean): void {
    this.goAways.push({ code, drain });
  }

  onAck(next: number): void {
    this.acks.push(next);
  }

  onMaxStreams(count: number): void {
    this.maxStreams.push(count);
  }
}
