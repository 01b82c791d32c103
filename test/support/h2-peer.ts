/** One end of an HTTP/2 connection that says what it is told to, well-formed or not, and tells what comes. */

import type { Socket } from 'node:net';
import { type Bytes, concatBytes } from '../../src/core/bytes.ts';
import { decodeLatin1 } from '../../src/core/text.ts';
import {
  encodeFrame,
  encodeHeaders,
  encodeNumbers,
  encodeSettings,
  H2_FLAG,
  H2_FRAME,
  H2_SETTING,
  H2FrameReader,
  unpad,
} from '../../src/http/h2-frame.ts';
import { H2_PREFACE } from '../../src/http/h2-preface.ts';
import type { Fields } from '../../src/http/head.ts';
import { encodeHpack, HpackDecoder } from '../../src/http/hpack.ts';
import { latin1, toText } from './http.ts';

export interface H2PeerEvents {
  onFields(peer: H2Peer, id: number, fields: Fields, isEnd: boolean): void;
  onData(peer: H2Peer, id: number, text: string, isEnd: boolean): void;
  onReset(peer: H2Peer, id: number, code: number): void;
  /** GOAWAY came, or the connection is over. */
  onOver(peer: H2Peer): void;
}

const WINDOW_BYTES = 8 * 1024 * 1024;

export class H2Peer {
  readonly #socket: Socket;
  readonly #events: H2PeerEvents;
  readonly #reader = new H2FrameReader();
  readonly #hpack = new HpackDecoder({ maxFields: 256, maxBytes: 64 * 1024 }, decodeLatin1);
  /** Bytes of the client's preface that are still to come. */
  #prefaceLeft: number;
  /** A block that goes on in CONTINUATION frames. */
  #block: { readonly id: number; readonly isEnd: boolean; readonly parts: Bytes[] } | undefined;

  constructor(socket: Socket, role: 'client' | 'server', events: H2PeerEvents) {
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#events = events;
    this.#prefaceLeft = role === 'server' ? H2_PREFACE.length : 0;
    socket.on('data', (chunk) => this.#onChunk(new Uint8Array(chunk as Buffer)));
    socket.on('error', () => undefined);
    socket.on('close', () => events.onOver(this));
    const settings = encodeSettings([[H2_SETTING.initialWindowSize, WINDOW_BYTES]]);
    const credit = encodeNumbers(H2_FRAME.windowUpdate, 0, WINDOW_BYTES);
    this.send(...(role === 'client' ? [H2_PREFACE] : []), settings, credit);
  }

  send(...frames: readonly Bytes[]): void {
    if (!this.#socket.destroyed) this.#socket.write(concatBytes(...frames));
  }

  sendFields(id: number, fields: Fields, isEnd: boolean): void {
    this.send(...encodeHeaders(id, encodeHpack(fields), isEnd));
  }

  sendData(id: number, text: string, isEnd: boolean): void {
    this.send(encodeFrame(H2_FRAME.data, isEnd ? H2_FLAG.endStream : 0, id, latin1(text)));
  }

  #onChunk(chunk: Bytes): void {
    const skipped = Math.min(this.#prefaceLeft, chunk.length);
    this.#prefaceLeft -= skipped;
    this.#reader.push(chunk.subarray(skipped), {
      isReading: true,
      onFrame: (type, flags, id, payload) => this.#onFrame(type, flags, id, payload),
    });
  }

  #onFrame(type: number, flags: number, id: number, payload: Bytes): void {
    const isEnd = (flags & H2_FLAG.endStream) !== 0;
    switch (type) {
      case H2_FRAME.settings:
        if ((flags & H2_FLAG.ack) === 0) this.send(encodeFrame(H2_FRAME.settings, H2_FLAG.ack, 0, new Uint8Array(0)));
        return;
      case H2_FRAME.ping:
        if ((flags & H2_FLAG.ack) === 0) this.send(encodeFrame(H2_FRAME.ping, H2_FLAG.ack, 0, payload.slice()));
        return;
      case H2_FRAME.headers:
        this.#block = { id, isEnd, parts: [stripPriority(flags, unpad(flags, payload)).slice()] };
        return this.#endBlock(flags);
      case H2_FRAME.continuation:
        this.#block?.parts.push(payload.slice());
        return this.#endBlock(flags);
      case H2_FRAME.data: {
        const data = unpad(flags, payload);
        return this.#events.onData(this, id, toText(data), isEnd);
      }
      case H2_FRAME.rstStream:
        return this.#events.onReset(this, id, new DataView(payload.buffer, payload.byteOffset).getUint32(0));
      case H2_FRAME.goAway:
        return this.#events.onOver(this);
    }
  }

  #endBlock(flags: number): void {
    const block = this.#block;
    if (block === undefined || (flags & H2_FLAG.endHeaders) === 0) return;
    this.#block = undefined;
    const { fields } = this.#hpack.decode(concatBytes(...block.parts));
    this.#events.onFields(this, block.id, fields, block.isEnd);
  }
}

function stripPriority(flags: number, payload: Bytes): Bytes {
  return (flags & H2_FLAG.priority) === 0 ? payload : payload.subarray(5);
}
