/** `Link`: one WebSocket as circuits with credit, pulled messages and a heartbeat (docs/protocol.md §2). */

import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { MessagePipe } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import { ByteReader, varintLength, writeVarint } from '../core/varint.ts';
import { Circuit, LINK_HEADER_BYTES } from './circuit.ts';
import { fromWireCode, protocolError } from './codes.ts';
import { CreditAnnouncer } from './credit-announcer.ts';
import { MAX_OFFSET } from './flow-control.ts';
import {
  CLOSE,
  CREDIT,
  DATA,
  encodeHello,
  encodePing,
  encodePong,
  HELLO,
  newMessage,
  PING,
  PING_MESSAGE_BYTES,
  PONG,
  readCircuit,
  readHello,
  readKind,
  readPingNumber,
  readPongArrived,
  readVersion,
  VERSION,
  writeHeader,
} from './link-message.ts';
import { Liveness } from './liveness.ts';
import { resolveTunnelOptions, type TunnelOptions } from './options.ts';
import { MESSAGE_OVERHEAD_BYTES } from './record.ts';

/** What a WebSocket says that ended without a close message (RFC 6455 §7.4.1). */
const ABNORMAL = 1006;
/** Part of `pingAfterMs` that is left to chance. */
const PING_SPREAD = 0.2;

export interface LinkOptions {
  readonly role: 'dialler' | 'acceptor';
  readonly clock: Clock;
  readonly random: Random;
  /** Called once; every circuit has been told before. */
  readonly onClose: (error: SkeinError) => void;
  /** Once in each silence: the other end owes an answer. Another link may be made beside this one, which may speak again. */
  readonly onSilent?: () => void;
  readonly limits?: Partial<TunnelOptions>;
  /** Somebody has dialled, and nobody knows who: until `trust` is called little is read. @default false */
  readonly isStranger?: boolean;
}

/**
 * Why a link is over. `closed`, `left`: the other end, or this one, has said so. `cut`: the connection ended without a word.
 * `silent`, `stalled`: nothing came, or nothing would go, for too long. `protocol`: the other end broke a rule.
 */
export const LINK_ENDS = ['closed', 'left', 'cut', 'silent', 'stalled', 'protocol'] as const;
export type LinkEnd = (typeof LINK_ENDS)[number];

/** Counters, read at scrape time. */
export interface LinkStats {
  messagesSent: number;
  messagesReceived: number;
  bytesSent: number;
  bytesReceived: number;
}

export class Link {
  readonly ready: Promise<void>;
  /** Circuit 0: the session with the other end of this link. */
  readonly control: Circuit;
  readonly stats: LinkStats = { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0 };
  readonly #pipe: MessagePipe;
  readonly #clock: Clock;
  readonly #limits: TunnelOptions;
  readonly #onClose: (error: SkeinError) => void;
  readonly #role: 'dialler' | 'acceptor';
  readonly #circuits = new Map<number, Circuit>();
  readonly #liveness: Liveness;
  readonly #helloSent: Bytes;
  #helloReceived: Bytes | undefined;
  #nextId: number;
  /** Ids of the other end only grow: one that was closed here can never mean another circuit later. */
  #lastAdoptedId = 0;
  #budgetBytes: number;
  #ready: Circuit[] = [];
  readonly #credit: CreditAnnouncer;
  #pongDue: Bytes | undefined;
  #pumping = false;
  #helloTimer: Timer;
  #closedBy: SkeinError | undefined;
  #end: LinkEnd | undefined;
  #trustPipe: (() => void) | undefined;
  #isStranger: boolean;
  #resolveReady: () => void = () => undefined;
  #rejectReady: (error: SkeinError) => void = () => undefined;

  constructor(pipe: MessagePipe, options: LinkOptions) {
    this.#pipe = pipe;
    this.#clock = options.clock;
    this.#limits = resolveTunnelOptions(options.limits);
    this.#onClose = options.onClose;
    this.#role = options.role;
    this.#isStranger = options.isStranger === true;
    if (this.#isStranger) this.#trustPipe = pipe.distrust?.(this.#limits.maxStrangerBytes);
    this.#nextId = options.role === 'dialler' ? 1 : 2;
    this.#budgetBytes = this.#limits.linkWindowBudgetBytes;
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // the owner also hears of it through onClose
    const pingAfterMs = this.#limits.pingAfterMs * (1 - PING_SPREAD * options.random.ratio());
    this.#liveness = new Liveness({
      clock: this.#clock,
      limits: { ...this.#limits, pingAfterMs },
      outstandingBytes: () => pipe.outstandingBytes,
      sendPing: (number) => this.#transmit(encodePing(number)),
      onSilent: () => options.onSilent?.(),
      onDead: (verdict) => this.#die(verdict),
    });
    this.#credit = new CreditAnnouncer({
      clock: this.#clock,
      fullRecordBytes: this.#limits.maxRecordBytes + MESSAGE_OVERHEAD_BYTES - LINK_HEADER_BYTES,
      delayMs: this.#limits.creditDelayMs,
      rttMs: () => this.#rttFloorMs,
      onDue: () => this.#pump(),
    });
    this.control = this.#addCircuit(0, true);
    this.#helloSent = encodeHello(options.random, this.#limits.maxMessageBytes);
    this.#transmit(this.#helloSent.slice());
    this.#helloTimer = this.#clock.setTimer(this.#limits.helloTimeoutMs, () => {
      if (this.#helloReceived === undefined) this.#fail(protocolError('Cannot use link: no HELLO in time'));
    });
    pipe.attach({
      onMessage: (message) => this.#onMessage(message),
      onProgress: () => this.#onProgress(),
      onClose: (code, reason) => this.#finish(code === ABNORMAL ? 'cut' : 'closed', closeError(code, reason)),
    });
  }

  get remoteAddress(): string | undefined {
    return this.#pipe.remoteAddress;
  }

  get rttMs(): number {
    return this.#liveness.rttMs;
  }

  /** Nothing is heard of the other end, although it owes an answer. */
  get isSilent(): boolean {
    return this.#liveness.isSilent;
  }

  get isClosed(): boolean {
    return this.#closedBy !== undefined;
  }

  /** Why it is over; undefined while it is not. */
  get end(): LinkEnd | undefined {
    return this.#end;
  }

  get circuitCount(): number {
    return this.#circuits.size - 1;
  }

  /** Bytes received on circuits and not yet dealt with: what this link pins here. */
  get unreadBytes(): number {
    let bytes = 0;
    for (const circuit of this.#circuits.values()) bytes += circuit.unreadBytes;
    return bytes;
  }

  /** Both HELLOs, dialler's first: they enter the prologue of the session on circuit 0, so neither can be altered unnoticed. */
  get transcript(): readonly [Bytes, Bytes] {
    const received = this.#helloReceived;
    if (received === undefined) throw new SkeinError('SKEIN_INTERNAL', 'Cannot read link transcript: HELLO is missing');
    return this.#role === 'dialler' ? [this.#helloSent, received] : [received, this.#helloSent];
  }

  /** A circuit with the next id of this end. @throws SkeinError SKEIN_LIMIT, SKEIN_HUB_UNREACHABLE */
  openCircuit(): Circuit {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    this.#checkRoom('SKEIN_LIMIT');
    const circuit = this.#addCircuit(this.#nextId, false);
    this.#nextId += 2;
    return circuit;
  }

  /** A circuit that the other end announced. @throws SkeinError SKEIN_PROTOCOL when the id is not one of its own, or not above all before. */
  adoptCircuit(id: number): Circuit {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    const parity = this.#role === 'dialler' ? 0 : 1;
    if (!Number.isSafeInteger(id) || id <= 0 || id > 0xffff_ffff || id % 2 !== parity) {
      throw protocolError('Cannot adopt circuit: the id is not one of the other end');
    }
    if (id <= this.#lastAdoptedId) throw protocolError('Cannot adopt circuit: its id is not above all before');
    this.#lastAdoptedId = id;
    this.#checkRoom('SKEIN_LIMIT');
    return this.#addCircuit(id, true);
  }

  /** The other end has proven who it is. */
  trust(): void {
    if (!this.#isStranger || this.#closedBy !== undefined) return;
    this.#isStranger = false;
    this.#trustPipe?.();
    this.#widen(this.control, true);
  }

  close(code: number, reason: string): void {
    if (this.#closedBy !== undefined) return;
    this.#pipe.close(code, reason);
    this.#finish(
      this.isSilent ? 'silent' : 'left',
      new SkeinError('SKEIN_HUB_UNREACHABLE', `Cannot use link: closed here (${reason})`),
    );
  }

  // Called by circuits.

  enqueue(circuit: Circuit): void {
    if (circuit.queued) return;
    circuit.queued = true;
    this.#ready.push(circuit);
    this.#pump();
  }

  transmit(circuit: Circuit, message: Bytes): void {
    writeHeader(message, DATA, circuit.id);
    this.#transmit(message);
    this.#liveness.onRecordSent();
  }

  announceCredit(circuit: Circuit): void {
    this.#credit.noteConsumed(circuit);
  }

  closeCircuit(circuit: Circuit, code: number): void {
    if (this.#circuits.get(circuit.id) !== circuit) return;
    this.#removeCircuit(circuit, new SkeinError(fromWireCode(code), 'Cannot use circuit: closed here'));
    if (this.#closedBy !== undefined) return;
    const message = newMessage(CLOSE, circuit.id, 2);
    message[LINK_HEADER_BYTES] = code >> 8;
    message[LINK_HEADER_BYTES + 1] = code & 0xff;
    this.#transmit(message);
  }

  doubt(): void {
    if (this.#closedBy === undefined && this.#helloReceived !== undefined) this.#liveness.doubt();
  }

  #addCircuit(id: number, isKnown: boolean): Circuit {
    const { initialCircuitWindowBytes: first, maxCircuitWindowBytes: maxReceiveBytes } = this.#limits;
    // Whoever was dialled does not know yet who speaks.
    const untrusted = id === 0 ? Math.min(first, this.#limits.strangerWindowBytes) : first;
    const [receiveBytes, sendBytes] = this.#role === 'dialler' ? [first, untrusted] : [untrusted, first];
    const windows = { receiveBytes, sendBytes, maxReceiveBytes };
    const circuit = new Circuit(id, this, windows, this.#clock.monotonicMs());
    this.#circuits.set(id, circuit);
    // A stranger has its first window, and what it sends beyond is refused.
    if (!this.#isStranger) this.#widen(circuit, isKnown);
    return circuit;
  }

  /** `isKnown`: the other end has it too. CREDIT it could not place would be lost; the first record that is consumed sends it. */
  #widen(circuit: Circuit, isKnown: boolean): void {
    const { window } = circuit;
    const { circuitWindowBytes } = this.#limits;
    const before = window.windowBytes;
    if (this.#budgetBytes < circuitWindowBytes - before) return;
    window.widen(circuitWindowBytes);
    this.#budgetBytes -= window.windowBytes - before;
    if (!isKnown) return;
    this.#credit.add(circuit);
    if (this.#helloReceived !== undefined) this.#pump();
  }

  #removeCircuit(circuit: Circuit, error: SkeinError): void {
    this.#circuits.delete(circuit.id);
    this.#budgetBytes += circuit.window.windowBytes - this.#limits.initialCircuitWindowBytes;
    circuit.end(error);
  }

  #checkRoom(code: 'SKEIN_LIMIT'): void {
    if (this.circuitCount < this.#limits.maxCircuits) return;
    throw new SkeinError(code, `Cannot open circuit: the link already has ${this.#limits.maxCircuits}`);
  }

  get #rttFloorMs(): number {
    return Math.max(1, this.#liveness.rttMs);
  }

  /** Writes what is due while the network takes it: first the bounded control state, then one message per circuit in turn. */
  #pump(): void {
    if (this.#pumping || this.#closedBy !== undefined) return;
    this.#pumping = true;
    try {
      if (this.#pongDue !== undefined && this.#hasRoom) {
        this.#transmit(this.#pongDue);
        this.#pongDue = undefined;
      }
      while (this.#credit.isDue && this.#hasRoom) this.#sendCredit(this.#credit.shift());
      while (this.#ready.length > 0 && this.#hasRoom && !this.#liveness.isFull && this.#helloReceived !== undefined) {
        const circuit = this.#ready.shift() as Circuit;
        circuit.queued = false;
        if (!circuit.isClosed) circuit.grantWrite();
      }
    } finally {
      this.#pumping = false;
    }
  }

  get #hasRoom(): boolean {
    return this.#closedBy === undefined && this.#pipe.outstandingBytes < this.#limits.maxOutstandingBytes;
  }

  #sendCredit(circuit: Circuit | undefined): void {
    if (circuit === undefined || circuit.isClosed) return;
    const { window } = circuit;
    const before = window.windowBytes;
    const offset = window.grant(this.#clock.monotonicMs(), this.#rttFloorMs, before <= this.#budgetBytes);
    this.#budgetBytes -= window.windowBytes - before;
    const message = newMessage(CREDIT, circuit.id, varintLength(offset));
    writeVarint(message, LINK_HEADER_BYTES, offset);
    this.#transmit(message);
  }

  #transmit(message: Bytes): void {
    this.stats.messagesSent++;
    this.stats.bytesSent += message.length;
    this.#liveness.onSent(message.length);
    this.#pipe.send(message);
  }

  #onProgress(): void {
    this.#liveness.onProgress();
    this.#pump();
  }

  #onMessage(message: Bytes): void {
    if (this.#closedBy !== undefined) return;
    this.stats.messagesReceived++;
    this.stats.bytesReceived += message.length;
    this.#liveness.onReceived();
    if (message.length < LINK_HEADER_BYTES || message.length > this.#limits.maxMessageBytes) {
      return this.#fail(protocolError('Cannot read link message: impossible length'));
    }
    if (readVersion(message) !== VERSION) return this.#fail(protocolError('Cannot read link message: unknown version'));
    const kind = readKind(message);
    const id = readCircuit(message);
    if (kind === HELLO) return this.#onHello(id, message);
    if (this.#helloReceived === undefined)
      return this.#fail(protocolError('Cannot read link message: HELLO must come first'));
    switch (kind) {
      case DATA:
        return this.#onData(id, message);
      case CREDIT:
        return this.#onCredit(id, message);
      case CLOSE:
        return this.#onCircuitClose(id, message);
      case PING:
        return this.#onPing(id, message);
      case PONG:
        if (id !== 0 || message.length !== PING_MESSAGE_BYTES)
          return this.#fail(protocolError('Cannot read PONG: malformed'));
        return this.#onPong(message);
      default:
        return this.#fail(protocolError('Cannot read link message: unknown kind'));
    }
  }

  #onHello(id: number, message: Bytes): void {
    if (id !== 0 || this.#helloReceived !== undefined)
      return this.#fail(protocolError('Cannot read HELLO: it must come once, on circuit 0'));
    const hello = readHello(message);
    if (hello === undefined || hello.maxMessageBytes < this.#limits.initialCircuitWindowBytes)
      return this.#fail(protocolError('Cannot read HELLO: malformed, or a version this end does not speak'));
    this.#helloReceived = message.slice();
    this.#helloTimer.cancel();
    this.#resolveReady();
    this.#liveness.ping();
    this.#pump();
  }

  #onData(id: number, message: Bytes): void {
    // Credit counts the bytes of records: messages without any would be bounded by nothing.
    if (message.length < MESSAGE_OVERHEAD_BYTES)
      return this.#fail(protocolError('Cannot read DATA: it holds no record'));
    const circuit = this.#circuits.get(id);
    if (circuit === undefined) return; // crossed our CLOSE, or a circuit not adopted: nothing is kept for it
    if (!circuit.deliver(message))
      this.#fail(new SkeinError('SKEIN_FLOW_CONTROL', 'Cannot read DATA: beyond the credit of its circuit'));
  }

  #onCredit(id: number, message: Bytes): void {
    const reader = new ByteReader(message, LINK_HEADER_BYTES);
    const offset = reader.varint();
    if (reader.failed || reader.remaining > 0 || offset > MAX_OFFSET)
      return this.#fail(protocolError('Cannot read CREDIT: malformed'));
    this.#circuits.get(id)?.raiseCredit(offset);
  }

  #onCircuitClose(id: number, message: Bytes): void {
    const reader = new ByteReader(message, LINK_HEADER_BYTES);
    const code = reader.u16();
    if (reader.failed || reader.remaining > 0) return this.#fail(protocolError('Cannot read CLOSE: malformed'));
    const circuit = this.#circuits.get(id);
    if (circuit === undefined) return;
    if (id === 0) return this.#fail(new SkeinError(fromWireCode(code), 'Cannot use link: the other end closed it'));
    this.#removeCircuit(circuit, new SkeinError(fromWireCode(code), 'Cannot use circuit: the other end closed it'));
  }

  #onPing(id: number, message: Bytes): void {
    if (id !== 0 || message.length !== PING_MESSAGE_BYTES)
      return this.#fail(protocolError('Cannot read PING: malformed'));
    this.#pongDue = encodePong(message, this.#clock.monotonicMs()); // one slot, the latest wins (rust-yamux#227)
    this.#pump();
  }

  #onPong(message: Bytes): void {
    this.#liveness.onPong(readPingNumber(message), readPongArrived(message));
    this.#pump();
  }

  #die(verdict: 'dead' | 'stalled'): void {
    const [state, end] =
      verdict === 'dead'
        ? (['the other end fell silent', 'silent'] as const)
        : (['the network takes no bytes', 'stalled'] as const);
    this.#fail(new SkeinError('SKEIN_HUB_UNREACHABLE', `Cannot use link: ${state}`), end);
  }

  /** A violation or a death: the socket goes without ceremony, because a peer at fault may never answer a close. */
  #fail(error: SkeinError, end: LinkEnd = 'protocol'): void {
    this.#pipe.terminate();
    this.#finish(end, error);
  }

  #finish(end: LinkEnd, error: SkeinError): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = error;
    this.#end = end;
    this.#liveness.cancel();
    this.#helloTimer.cancel();
    this.#ready = [];
    this.#credit.cancel();
    const circuits = [...this.#circuits.values()];
    this.#circuits.clear();
    for (const circuit of circuits) circuit.end(error);
    this.#rejectReady(error);
    this.#onClose(error);
  }
}

function closeError(code: number, reason: string): SkeinError {
  return new SkeinError(
    'SKEIN_HUB_UNREACHABLE',
    `Cannot use link: the WebSocket closed (${code}${reason === '' ? '' : ` ${reason}`})`,
    {
      details: { code, reason },
    },
  );
}
