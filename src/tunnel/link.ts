/** `Link`: one WebSocket as circuits with credit, pulled messages and a heartbeat (docs/protocol.md §2). */

import type { Bytes } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { MessagePipe } from '../core/platform.ts';
import { type Circuit, LINK_HEADER_BYTES } from './circuit.ts';
import { CircuitTable } from './circuit-table.ts';
import { fromWireCode, protocolError } from './codes.ts';
import { CreditAnnouncer } from './credit-announcer.ts';
import { closeError, type LinkEnd, toLinkEnd } from './link-end.ts';
import {
  CLOSE,
  CREDIT,
  DATA,
  encodeClose,
  encodeCredit,
  encodeHello,
  encodePing,
  encodePong,
  HELLO,
  PING,
  PING_MESSAGE_BYTES,
  PONG,
  RENEW,
  readCircuit,
  readClose,
  readCredit,
  readHello,
  readKind,
  readPingNumber,
  readPongArrived,
  readVersion,
  SLEEP,
  VERSION,
  writeHeader,
} from './link-message.ts';
import type { LinkOptions } from './link-options.ts';
import { type LinkPast, LinkSleep } from './link-sleep.ts';
import { Liveness } from './liveness.ts';
import { resolveTunnelOptions, type TunnelOptions } from './options.ts';
import { MESSAGE_OVERHEAD_BYTES } from './record.ts';

/** Counters, read at scrape time. */
export interface LinkStats {
  messagesSent: number;
  messagesReceived: number;
  bytesSent: number;
  bytesReceived: number;
}

export class Link {
  readonly ready: Promise<void>;
  readonly stats: LinkStats = { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0 };
  readonly #pipe: MessagePipe;
  readonly #clock: Clock;
  readonly #limits: TunnelOptions;
  readonly #options: LinkOptions;
  readonly #role: 'dialler' | 'acceptor';
  readonly #circuits: CircuitTable;
  readonly #liveness: Liveness;
  readonly #helloSent: Bytes;
  #helloReceived: Bytes | undefined;
  readonly #sleep: LinkSleep;
  #ready: Circuit[] = [];
  readonly #credit: CreditAnnouncer;
  #pongDue: Bytes | undefined;
  #pumping = false;
  #helloTimer: Timer | undefined;
  #closedBy: SkeinError | undefined;
  #end: LinkEnd | undefined;
  #trustPipe: (() => void) | undefined;
  #isStranger: boolean;
  #resolveReady: () => void = () => undefined;
  #rejectReady: (error: SkeinError) => void = () => undefined;

  constructor(pipe: MessagePipe, options: LinkOptions) {
    const { past, role, clock } = options;
    this.#pipe = pipe;
    this.#clock = clock;
    this.#limits = resolveTunnelOptions(options.limits);
    this.#options = options;
    this.#role = role;
    this.#isStranger = options.isStranger === true;
    if (this.#isStranger) this.#trustPipe = pipe.distrust?.(this.#limits.maxStrangerBytes);
    this.#sleep = new LinkSleep(role, past === undefined);
    this.#circuits = new CircuitTable({ host: this, role, clock, limits: this.#limits, past });
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // the owner also hears of it through onClose
    this.#liveness = new Liveness({
      ...{ role, clock, random: options.random, limits: this.#limits },
      isIdle: () => this.#circuits.count === 0,
      outstandingBytes: () => pipe.outstandingBytes,
      sendPing: (number) => this.#transmit(encodePing(number)),
      sendIdlePing: () => this.#sendIdlePing(),
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
    if (past === undefined) {
      this.#widenUnlessStranger(this.control, true);
      const features = options.role === 'dialler' || pipe.canSleep === true ? SLEEP : 0;
      this.#helloSent = encodeHello(options.random, this.#limits.maxMessageBytes, features);
      this.#transmit(this.#helloSent.slice());
      this.#helloTimer = this.#clock.setTimer(this.#limits.helloTimeoutMs, () => {
        if (this.#helloReceived === undefined) this.#fail(protocolError('Cannot use link: no HELLO in time'));
      });
    } else {
      this.#helloSent = past.hellos[1];
      this.#takeHello(past.hellos[0]);
    }
    pipe.attach({
      onMessage: (message) => this.#onMessage(message),
      onProgress: () => this.#onProgress(),
      onClose: (code, reason) => this.#finish(toLinkEnd(code), closeError(code, reason)),
      onIdlePong: () => this.#liveness.onIdlePong(),
    });
  }

  /** Circuit 0: the session with the other end of this link. */
  get control(): Circuit {
    return this.#circuits.control;
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
    return this.#circuits.count;
  }

  /** Bytes received on circuits and not yet dealt with: what this link pins here. */
  get unreadBytes(): number {
    return this.#circuits.unreadBytes;
  }

  /**
   * Both HELLOs, dialler's first, and RENEW: they enter the prologue of the session on circuit 0, so none can be altered
   * unnoticed.
   */
  get transcript(): readonly Bytes[] {
    return [...this.#hellos, ...this.#sleep.transcript];
  }

  get #hellos(): readonly [Bytes, Bytes] {
    const received = this.#helloReceived;
    if (received === undefined) throw new SkeinError('SKEIN_INTERNAL', 'Cannot read link transcript: HELLO is missing');
    return this.#role === 'dialler' ? [this.#helloSent, received] : [received, this.#helloSent];
  }

  /**
   * What must outlive this end for the link to go on; undefined while something is under way that would be lost, or while
   * the other end could not be told that its session is.
   */
  rest(): LinkPast | undefined {
    if (!this.#isCalm) return undefined;
    return {
      hellos: this.#hellos,
      ...this.#circuits.ids,
      circuits: [...this.#circuits.all()].map(({ past }) => past),
    };
  }

  get #isCalm(): boolean {
    if (this.#closedBy !== undefined || this.#isStranger || !this.#sleep.isKnown || this.#sleep.isAwaiting)
      return false;
    if (this.#ready.length > 0 || !this.#credit.isIdle || this.#pongDue !== undefined) return false;
    return this.#pipe.outstandingBytes === 0 && !this.isSilent && this.unreadBytes === 0;
  }

  /** Has the other end begin another session on circuit 0: the one before it is forgotten here. Idempotent. */
  renew(): void {
    const message = this.#closedBy === undefined ? this.#sleep.ask(this.#options.random) : undefined;
    if (message !== undefined) this.#transmit(message);
  }

  /** The circuit of that number that is open. */
  circuit(id: number): Circuit | undefined {
    return this.#circuits.get(id);
  }

  /** No more circuits than that from now on; those that are open stay. */
  limitCircuits(maxCircuits: number): void {
    this.#circuits.limit(maxCircuits);
  }

  /** A circuit with the next id of this end. @throws SkeinError SKEIN_LIMIT, SKEIN_HUB_UNREACHABLE */
  openCircuit(): Circuit {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    this.#liveness.onBusy();
    return this.#widenUnlessStranger(this.#circuits.open(), false);
  }

  /** A circuit that the other end announced. @throws SkeinError SKEIN_PROTOCOL when the id is not one of its own, or not above all before. */
  adoptCircuit(id: number): Circuit {
    if (this.#closedBy !== undefined) throw this.#closedBy;
    this.#liveness.onBusy();
    return this.#widenUnlessStranger(this.#circuits.adopt(id), true);
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
    const closed = new SkeinError(fromWireCode(code), 'Cannot use circuit: closed here');
    if (!this.#circuits.remove(circuit, closed) || this.#closedBy !== undefined) return;
    this.#transmit(encodeClose(circuit.id, code));
  }

  doubt(): void {
    if (this.#closedBy === undefined && this.#helloReceived !== undefined) this.#liveness.doubt();
  }

  /** A stranger has its first window, and what it sends beyond is refused. */
  #widenUnlessStranger(circuit: Circuit, isKnown: boolean): Circuit {
    if (!this.#isStranger) this.#widen(circuit, isKnown);
    return circuit;
  }

  /** `isKnown`: the other end has it too. CREDIT it could not place would be lost; the first record that is consumed sends it. */
  #widen(circuit: Circuit, isKnown: boolean): void {
    if (!this.#circuits.widen(circuit) || !isKnown) return;
    this.#credit.add(circuit);
    if (this.#helloReceived !== undefined) this.#pump();
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
    const offset = this.#circuits.grant(circuit, this.#rttFloorMs);
    this.#transmit(encodeCredit(circuit.id, offset));
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
      case RENEW:
        return this.#onRenew(message);
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
    this.#takeHello(message.slice());
    this.#helloTimer?.cancel();
    this.#liveness.ping();
    this.#pump();
  }

  #takeHello(hello: Bytes): void {
    this.#helloReceived = hello;
    this.#sleep.onHello(hello);
    this.#resolveReady();
  }

  /** The acceptor asks for another session on circuit 0, or the dialler has heard it and begins one. */
  #onRenew(message: Bytes): void {
    const { onRenewed } = this.#options;
    if (onRenewed === undefined || !this.#sleep.onRenew(message))
      return this.#fail(protocolError('Cannot read RENEW: nobody sleeps'));
    if (this.#role === 'dialler') this.#transmit(message.slice());
    const before = this.#circuits.replaceControl();
    // What was not announced yet of the one before would be announced by nobody.
    this.#credit.add(this.control);
    onRenewed();
    before.end(new SkeinError('SKEIN_SESSION_LOST', 'Cannot use session: the other end has slept, and forgotten it'));
    this.#pump();
  }

  /** Something came for a session that is forgotten. */
  #forgo(message: Bytes): void {
    const bytes = message.length - LINK_HEADER_BYTES;
    if (!this.control.window.receive(bytes)) return this.#failOverrun();
    this.control.consumed(bytes);
    this.#options.onForgotten?.();
  }

  #sendIdlePing(): boolean {
    if (this.#role !== 'dialler' || !this.#sleep.isKnown || this.#pipe.sendIdlePing === undefined) return false;
    this.#pipe.sendIdlePing();
    return true;
  }

  #onData(id: number, message: Bytes): void {
    // Credit counts the bytes of records: messages without any would be bounded by nothing.
    if (message.length < MESSAGE_OVERHEAD_BYTES)
      return this.#fail(protocolError('Cannot read DATA: it holds no record'));
    if (id === 0 && !this.#sleep.remembers) return this.#forgo(message);
    const circuit = this.#circuits.get(id);
    if (circuit === undefined) return; // crossed our CLOSE, or a circuit not adopted: nothing is kept for it
    if (!circuit.deliver(message)) this.#failOverrun();
  }

  #failOverrun(): void {
    this.#fail(new SkeinError('SKEIN_FLOW_CONTROL', 'Cannot read DATA: beyond the credit of its circuit'));
  }

  #onCredit(id: number, message: Bytes): void {
    const offset = readCredit(message);
    if (offset === undefined) return this.#fail(protocolError('Cannot read CREDIT: malformed'));
    this.#circuits.get(id)?.raiseCredit(offset);
  }

  #onCircuitClose(id: number, message: Bytes): void {
    const code = readClose(message);
    if (code === undefined) return this.#fail(protocolError('Cannot read CLOSE: malformed'));
    const circuit = this.#circuits.get(id);
    if (circuit === undefined) return;
    if (id === 0) return this.#fail(new SkeinError(fromWireCode(code), 'Cannot use link: the other end closed it'));
    this.#circuits.remove(circuit, new SkeinError(fromWireCode(code), 'Cannot use circuit: the other end closed it'));
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
    this.#helloTimer?.cancel();
    this.#ready = [];
    this.#credit.cancel();
    this.#circuits.endAll(error);
    this.#rejectReady(error);
    this.#options.onClose(error);
  }
}
