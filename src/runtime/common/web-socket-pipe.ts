/** A WebSocket of the Web API as a `MessagePipe`: for runtimes that offer no other, which are isolates and browsers. */

import type { Bytes } from '../../core/bytes.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import type { MessagePipe, MessagePipeEvents } from '../../core/platform.ts';
import {
  CLOSED_WITHOUT_WORD,
  cutReason,
  IDLE_PING,
  IDLE_PONG,
  MAX_MESSAGE_BYTES,
  REFUSED,
  toSendableCode,
} from './websocket.ts';

/** The part of a `WebSocket` that a pipe needs; open, and with `binaryType` set to `arraybuffer`. */
export interface OpenWebSocket {
  send(message: ArrayBufferLike | ArrayBufferView | string): void;
  close(code?: number, reason?: string): void;
  /** Absent in older builds of workerd; then windows are the only limit. */
  readonly bufferedAmount?: number;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  addEventListener(type: 'error', listener: (event: object) => void): void;
}

/** How long the other end may leave a close message unanswered. */
const CLOSE_TIMEOUT_MS = 5_000;
/** How often it is looked whether bytes have left, while some wait: nothing tells. */
const LOOK_AGAIN_MS = 5;

export class WebSocketPipe implements MessagePipe {
  readonly remoteAddress: string | undefined;
  readonly isProxied = false;
  readonly #socket: OpenWebSocket;
  readonly #clock: Clock;
  #events: MessagePipeEvents | undefined;
  /** Came before `attach`. */
  #early: Bytes[] = [];
  /** Bytes that waited when it was last looked. */
  #waitingBytes = 0;
  /** Texts `ping` that were not answered yet. */
  #idlePings = 0;
  #look: Timer | undefined;
  #leave: Timer | undefined;
  /** Something came that is no message of ours, or this end is done: nothing that follows counts. */
  #isDeaf = false;
  #closed: { readonly code: number; readonly reason: string } | undefined;

  /** To be made before anything can arrive: in the turn in which the socket was opened, or accepted. */
  constructor(socket: OpenWebSocket, clock: Clock, remoteAddress?: string) {
    this.#socket = socket;
    this.#clock = clock;
    this.remoteAddress = remoteAddress;
    socket.addEventListener('message', ({ data }) => this.#onMessage(data));
    socket.addEventListener('close', ({ code, reason }) => {
      // workerd does not answer by itself, and the other end would wait for it.
      this.#say(code, '');
      this.#onClose(code, reason);
    });
    // In workerd nothing follows an error; elsewhere a close event that adds nothing.
    socket.addEventListener('error', () => this.#onClose(CLOSED_WITHOUT_WORD, 'connection lost'));
  }

  attach(events: MessagePipeEvents): void {
    // The owner is still being made.
    queueMicrotask(() => {
      this.#events = events;
      for (const message of this.#early) events.onMessage(message);
      this.#early = [];
      if (this.#closed !== undefined) events.onClose(this.#closed.code, this.#closed.reason);
    });
  }

  send(message: Bytes): void {
    if (this.#closed !== undefined || this.#isDeaf) return;
    try {
      this.#socket.send(message);
    } catch {
      // It is closing, and says so in an event.
      return;
    }
    this.#waitingBytes = this.#bufferedBytes();
    if (this.#waitingBytes > 0) this.#lookAgain();
  }

  sendIdlePing(): void {
    if (this.#closed !== undefined || this.#isDeaf) return;
    try {
      this.#socket.send(IDLE_PING);
      this.#idlePings++;
    } catch {
      // It is closing, and says so in an event.
    }
  }

  get outstandingBytes(): number {
    return this.#closed === undefined ? this.#bufferedBytes() : 0;
  }

  close(code: number, reason: string): void {
    this.#say(code, reason);
    if (this.#closed === undefined) {
      this.#leave ??= this.#clock.setTimer(CLOSE_TIMEOUT_MS, () => this.#onClose(CLOSED_WITHOUT_WORD, 'no answer'));
    }
  }

  /** The Web API knows no other end than one that is told; nothing that comes afterwards is heard. */
  terminate(): void {
    this.#isDeaf = true;
    this.#say(CLOSED_WITHOUT_WORD, '');
    // The owner is in the middle of something, and does not expect to be called.
    queueMicrotask(() => this.#onClose(CLOSED_WITHOUT_WORD, ''));
  }

  #bufferedBytes(): number {
    return this.#socket.bufferedAmount ?? 0;
  }

  #say(code: number, reason: string): void {
    try {
      this.#socket.close(toSendableCode(code), cutReason(reason));
    } catch {
      // It is closed.
    }
  }

  #lookAgain(): void {
    this.#look ??= this.#clock.setTimer(LOOK_AGAIN_MS, () => {
      this.#look = undefined;
      if (this.#closed !== undefined) return;
      const before = this.#waitingBytes;
      this.#waitingBytes = this.#bufferedBytes();
      if (this.#waitingBytes > 0) this.#lookAgain();
      if (this.#waitingBytes < before) this.#events?.onProgress();
    });
  }

  #onMessage(data: unknown): void {
    if (this.#isDeaf || this.#closed !== undefined) return;
    if (data === IDLE_PONG && this.#idlePings > 0) {
      this.#idlePings--;
      this.#events?.onIdlePong?.();
    } else if (!(data instanceof ArrayBuffer)) this.#refuse(REFUSED.text, 'binary messages only');
    else if (data.byteLength > MAX_MESSAGE_BYTES) this.#refuse(REFUSED.tooBig, 'message too big');
    else if (this.#events === undefined) this.#early.push(new Uint8Array(data));
    else this.#events.onMessage(new Uint8Array(data));
  }

  #refuse(code: number, reason: string): void {
    this.#isDeaf = true;
    this.#say(code, reason);
    this.#onClose(code, reason);
  }

  #onClose(code: number, reason: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = { code, reason };
    this.#look?.cancel();
    this.#leave?.cancel();
    this.#early = [];
    this.#events?.onClose(code, reason);
  }
}
