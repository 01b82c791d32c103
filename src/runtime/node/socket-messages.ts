/** The binary messages of a WebSocket, read past ws: into memory that is used again, and told of where they lie in it. */

import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Bytes } from '../../core/bytes.ts';
import { MAX_MESSAGE_BYTES } from '../common/websocket.ts';
import { FrameSplitter } from './frame-splitter.ts';
import { hasOwnReads, readInto } from './own-reads.ts';
import { readSlabs, SLAB_BYTES, type Slab } from './read-slabs.ts';

/** Whoever brought so much at once will bring more: it is read into a slab of its own, whose messages may be sent as they are. */
const MUCH_BYTES = 32 * 1024;

/** Whatever is begun fits into a slab, and leaves room for a read. */
const MAX_WHOLE_BYTES = SLAB_BYTES / 2;

/** A message in more reads is left to ws, which bounds into how many parts one may be cut. */
const MAX_CRUMBS = 128;

type OnData = (chunk: Buffer) => void;

export class SocketMessages {
  readonly #socket: Socket;
  readonly #frames: FrameSplitter;
  readonly #readByWs: OnData;
  /** What is read into. */
  #into: Slab = readSlabs.shared;
  #own: Slab | undefined;
  /** So many of its first bytes are the beginning of a message. */
  #ownBytes = 0;
  /** How often that message has grown since. */
  #crumbs = 0;
  #hasHandedBack = false;

  /**
   * @param carrier what `ws` reads: it must have begun to
   * @param onMessage a message is a view, and gone when this returns
   * @returns undefined: it is no such socket, and nothing has changed
   */
  static of(carrier: Duplex, isServer: boolean, onMessage: (message: Bytes) => void): SocketMessages | undefined {
    const [readByWs, another] = carrier.listeners('data');
    if (readByWs === undefined || another !== undefined || !hasOwnReads(carrier)) return undefined;
    return new SocketMessages(carrier, isServer, onMessage, readByWs as OnData);
  }

  private constructor(socket: Socket, isServer: boolean, onMessage: (message: Bytes) => void, readByWs: OnData) {
    this.#socket = socket;
    this.#readByWs = readByWs;
    this.#frames = new FrameSplitter({
      isMasked: isServer,
      maxWholeBytes: MAX_WHOLE_BYTES,
      maxPayloadBytes: MAX_MESSAGE_BYTES,
      onMessage,
      onRest: (bytes) => this.#onRest(bytes),
    });
    socket.off('data', readByWs);
    socket.on('data', this.#onChunk);
    socket.once('close', () => this.#release());
  }

  /** From the next message on they come here: until then ws tells of them, from buffers of its own. */
  open(): void {
    this.#frames.isOpen = true;
    const next = (): Slab => {
      this.#into = this.#own?.subarray(this.#ownBytes) ?? readSlabs.shared;
      return this.#into;
    };
    readInto(this.#socket, next, (bytes) => this.#onRead(bytes));
  }

  #onRead(bytes: number): void {
    const { buffer, byteOffset } = this.#into;
    const own = this.#own;
    if (own?.buffer === buffer && this.#ownBytes === byteOffset) this.#read(own.subarray(0, byteOffset + bytes), bytes);
    else this.#append(this.#into.subarray(0, bytes));
  }

  /** What the socket had read before it was given a buffer, or for want of one. */
  readonly #onChunk = (chunk: Buffer): void => this.#append(chunk);

  #append(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#own === undefined || this.#ownBytes === 0) return this.#read(chunk.subarray(at), chunk.length);
      const length = Math.min(chunk.length - at, this.#own.length - this.#ownBytes);
      this.#own.set(chunk.subarray(at, at + length), this.#ownBytes);
      at += length;
      this.#read(this.#own.subarray(0, this.#ownBytes + length), length);
    }
  }

  /** @param brought how many bytes of them are new */
  #read(bytes: Uint8Array, brought: number): void {
    const done = this.#frames.read(bytes, this.#crumbs > MAX_CRUMBS);
    this.#crumbs = done > 0 ? 0 : this.#crumbs + 1;
    if (this.#socket.destroyed) return this.#release();
    const left = bytes.length - done;
    if (left === 0 && (brought < MUCH_BYTES || !readSlabs.hasSpare)) return this.#release();
    const before = this.#own;
    if (before !== undefined && !readSlabs.isPinned(before)) {
      if (bytes.buffer === before.buffer) before.copyWithin(0, done, bytes.length);
      else before.set(bytes.subarray(done));
    } else {
      this.#own = readSlabs.take();
      this.#own.set(bytes.subarray(done));
      if (before !== undefined) readSlabs.give(before);
    }
    this.#ownBytes = left;
  }

  #release(): void {
    if (this.#own !== undefined) readSlabs.give(this.#own);
    this.#own = undefined;
    this.#ownBytes = 0;
  }

  #onRest(bytes: Bytes): void {
    const copy = Buffer.from(bytes); // ws keeps what it cannot use yet
    if (this.#frames.isOver && !this.#hasHandedBack) {
      this.#hasHandedBack = true;
      this.#socket.off('data', this.#onChunk);
      this.#socket.on('data', this.#readByWs); // which it takes off itself, when it has had enough
    }
    if (this.#hasHandedBack) this.#socket.emit('data', copy);
    else this.#readByWs.call(this.#socket, copy);
  }
}
