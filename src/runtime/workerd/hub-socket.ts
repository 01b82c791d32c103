/** A WebSocket that may outlive the memory of its object, as a `MessagePipe`: the object hands on what the runtime tells it. */

import type { Bytes } from '../../core/bytes.ts';
import type { Clock } from '../../core/clock.ts';
import type { MessagePipe, MessagePipeEvents } from '../../core/platform.ts';
import { CLOSED_WITHOUT_WORD, cutReason, MAX_MESSAGE_BYTES, REFUSED, toSendableCode } from '../common/websocket.ts';
import type { SleepingSocket } from './object-types.ts';

/** How often it is looked whether bytes have left, while some wait: nothing tells. */
const LOOK_AGAIN_MS = 1;

export interface HubSocketOptions {
  readonly socket: SleepingSocket;
  readonly clock: Clock;
  readonly remoteAddress: string | undefined;
  /** Something is sent. */
  readonly onSend: () => void;
}

export class HubSocket implements MessagePipe {
  readonly isProxied = false;
  readonly canSleep = true;
  readonly remoteAddress: string | undefined;
  readonly socket: SleepingSocket;
  readonly #clock: Clock;
  readonly #onSend: () => void;
  #events: MessagePipeEvents | undefined;
  /** Bytes that a stranger may still send. */
  #strangerBytes = Number.POSITIVE_INFINITY;
  #waitingBytes = 0;
  #isLooking = false;
  /** Nothing that comes counts any more. */
  #isDeaf = false;
  #isClosed = false;

  constructor({ socket, clock, remoteAddress, onSend }: HubSocketOptions) {
    this.socket = socket;
    this.remoteAddress = remoteAddress;
    this.#clock = clock;
    this.#onSend = onSend;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Within the turn in which it was made: nothing can have come before. */
  attach(events: MessagePipeEvents): void {
    this.#events = events;
  }

  distrust(maxBytes: number): () => void {
    this.#strangerBytes = maxBytes;
    return () => {
      this.#strangerBytes = Number.POSITIVE_INFINITY;
    };
  }

  send(message: Bytes): void {
    if (this.#isClosed || this.#isDeaf) return;
    this.#onSend();
    try {
      this.socket.send(message);
    } catch {
      // It is closing, and says so in an event.
      return;
    }
    this.#waitingBytes = this.#bufferedBytes();
    if (this.#waitingBytes > 0) this.#lookAgain();
  }

  get outstandingBytes(): number {
    return this.#isClosed ? 0 : this.#bufferedBytes();
  }

  close(code: number, reason: string): void {
    this.#isDeaf = true;
    this.#say(code, reason);
  }

  /** The runtime knows no other end than one that is told; nothing that comes afterwards is heard. */
  terminate(): void {
    this.#isDeaf = true;
    this.#say(CLOSED_WITHOUT_WORD, '');
    // The owner is in the middle of something, and does not expect to be called.
    queueMicrotask(() => this.#finish(CLOSED_WITHOUT_WORD, ''));
  }

  // What the runtime tells.

  onMessage(data: ArrayBuffer | string): void {
    if (this.#isDeaf || this.#isClosed) return;
    if (typeof data === 'string') return this.#refuse(REFUSED.text, 'binary messages only');
    if (data.byteLength > MAX_MESSAGE_BYTES) return this.#refuse(REFUSED.tooBig, 'message too big');
    this.#strangerBytes -= data.byteLength;
    if (this.#strangerBytes < 0) this.terminate();
    else this.#events?.onMessage(new Uint8Array(data));
  }

  onClose(code: number, reason: string): void {
    // The runtime does not answer by itself, and the other end would wait for it.
    this.#say(code, reason);
    this.#finish(code, reason);
  }

  #bufferedBytes(): number {
    return this.socket.bufferedAmount ?? 0;
  }

  #say(code: number, reason: string): void {
    try {
      this.socket.close(toSendableCode(code), cutReason(reason));
    } catch {
      // It is closed.
    }
  }

  #lookAgain(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#clock.setTimer(LOOK_AGAIN_MS, () => {
      this.#isLooking = false;
      if (this.#isClosed) return;
      const before = this.#waitingBytes;
      this.#waitingBytes = this.#bufferedBytes();
      if (this.#waitingBytes > 0) this.#lookAgain();
      if (this.#waitingBytes < before) this.#events?.onProgress();
    });
  }

  #refuse(code: number, reason: string): void {
    this.#isDeaf = true;
    this.#say(code, reason);
    this.#finish(code, reason);
  }

  #finish(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#events?.onClose(code, reason);
  }
}
