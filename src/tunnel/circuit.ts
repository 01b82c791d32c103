/** One circuit of a link: a session, or one leg of a relayed pairing, with credit of its own in each direction. */

import type { Bytes } from '../core/bytes.ts';
import type { SkeinError } from '../core/errors.ts';
import { ReceiveWindow, SendWindow } from './flow-control.ts';

/** Bytes of a link message before the record: version and kind, circuit id (u32). */
export const LINK_HEADER_BYTES = 5;

/** The message for keeping: as it came it is only lent. */
export function toKept(message: Bytes): Bytes {
  return message.slice();
}

/** What the owner of a circuit is told. Nothing follows `onClose`. */
export interface CircuitEvents {
  /** A whole link message; the record starts at `LINK_HEADER_BYTES`. It is lent until this returns (`MessagePipeEvents`); the receiver returns its credit. */
  onRecord(message: Bytes): void;
  /** After `requestWrite`: the link has room, and the owner may send one message. */
  onWritable(): void;
  onClose(error: SkeinError): void;
}

/** What a circuit needs of its link. */
export interface CircuitHost {
  enqueue(circuit: Circuit): void;
  transmit(circuit: Circuit, message: Bytes): void;
  announceCredit(circuit: Circuit): void;
  closeCircuit(circuit: Circuit, code: number): void;
  /** The other end of the link may be gone: it is asked at once. */
  doubt(): void;
}

/** How far both directions of a circuit have come: all that goes on when its owner forgets everything else. */
export interface CircuitPast {
  readonly id: number;
  readonly sent: number;
  readonly sendLimit: number;
  /** And dealt with. */
  readonly received: number;
  readonly granted: number;
  readonly windowBytes: number;
}

/** What it begins with in each direction, and what the one to here may grow to; in bytes of records. */
export interface Windows {
  readonly receiveBytes: number;
  readonly sendBytes: number;
  readonly maxReceiveBytes: number;
}

export class Circuit {
  readonly id: number;
  readonly #host: CircuitHost;
  readonly #receive: ReceiveWindow;
  readonly #send: SendWindow;
  #events: CircuitEvents | undefined;
  #early: Bytes[] = [];
  #closedBy: SkeinError | undefined;
  /** Bytes the owner wants to send next; 0 when it wants nothing. */
  #wantedBytes = 0;
  /** Owned by the link: whether it stands in the link's ready queue. */
  queued = false;
  /** Owned by the link's announcer: whether a CREDIT for it waits to be written. */
  creditDue = false;
  /** Owned by the link's table: how much its window has taken from the link's budget. */
  paidBytes = 0;
  /** Written by a relay: what comes may have to wait here. A session deals with a record at once, and what it holds then is bounded by its own windows. */
  isRelayed = false;

  /** @param past of the circuit whose place it takes */
  constructor(
    id: number,
    host: CircuitHost,
    { receiveBytes, sendBytes, maxReceiveBytes }: Windows,
    nowMs: number,
    past?: CircuitPast,
  ) {
    this.id = id;
    this.#host = host;
    this.#receive = new ReceiveWindow(past?.windowBytes ?? receiveBytes, maxReceiveBytes, nowMs, past);
    this.#send = new SendWindow(past?.sendLimit ?? sendBytes, past?.sent);
  }

  /** Sets the owner; what arrived before is delivered now. */
  attach(events: CircuitEvents): void {
    this.#events = events;
    const early = this.#early;
    this.#early = [];
    for (const message of early) events.onRecord(message);
    if (this.#wantedBytes > 0) this.requestWrite(this.#wantedBytes);
    if (this.#closedBy !== undefined) events.onClose(this.#closedBy);
  }

  /** Largest record that may be sent now, in bytes. */
  get sendableBytes(): number {
    return this.#closedBy === undefined ? this.#send.available : 0;
  }

  /** Bytes received and not yet returned: what this circuit pins at this end. */
  get unreadBytes(): number {
    return this.#receive.unread;
  }

  get isClosed(): boolean {
    return this.#closedBy !== undefined;
  }

  /** What has come counts as dealt with. */
  get past(): CircuitPast {
    const { received, granted, windowBytes } = this.#receive;
    const { sent, limit: sendLimit } = this.#send;
    return { id: this.id, sent, sendLimit, received, granted, windowBytes };
  }

  /** Asks for one `onWritable`, given in turn with the link's other circuits once there is credit for `bytes`. */
  requestWrite(bytes: number): void {
    if (this.#closedBy !== undefined) return;
    this.#wantedBytes = bytes;
    if (this.#send.available >= bytes) this.#host.enqueue(this);
  }

  /** Sends one message; its first `LINK_HEADER_BYTES` are overwritten, and the buffer is given away. */
  send(message: Bytes): void {
    if (this.#closedBy !== undefined) return;
    this.#send.take(message.length - LINK_HEADER_BYTES);
    this.#host.transmit(this, message);
  }

  /** Returns credit for `bytes` of records that were dealt with. */
  consumed(bytes: number): void {
    this.#receive.consume(bytes);
    this.#host.announceCredit(this);
  }

  /** Much depends on this circuit now: whether its link is alive should be known soon. */
  doubt(): void {
    if (this.#closedBy === undefined) this.#host.doubt();
  }

  close(code: number): void {
    this.#host.closeCircuit(this, code);
  }

  // The rest is called by the link only.

  get window(): ReceiveWindow {
    return this.#receive;
  }

  /** Takes the wish noted by `requestWrite`; the owner must ask again for the next message. */
  grantWrite(): void {
    if (this.#events === undefined || this.#wantedBytes === 0 || this.#send.available < this.#wantedBytes) return;
    this.#wantedBytes = 0;
    this.#events.onWritable();
  }

  /** False when the other end sent more than it was granted. */
  deliver(message: Bytes): boolean {
    if (!this.#receive.receive(message.length - LINK_HEADER_BYTES)) return false;
    if (this.#events === undefined) this.#early.push(toKept(message));
    else this.#events.onRecord(message);
    return true;
  }

  raiseCredit(offset: number): void {
    if (this.#send.raise(offset) && this.#wantedBytes > 0 && this.#send.available >= this.#wantedBytes)
      this.#host.enqueue(this);
  }

  end(error: SkeinError): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = error;
    this.#early = [];
    this.#events?.onClose(error);
  }
}
