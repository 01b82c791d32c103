/** TCP connections on `node:net`. */

import { connect as connectSocket, createServer, type Socket } from 'node:net';
import type { ByteStream } from '../../core/byte-stream.ts';
import type { Bytes } from '../../core/bytes.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import type { ListenAddress, Listener, TcpConnectOptions } from '../../core/platform.ts';
import {
  CONNECT_TIMEOUT_MS,
  HIGH_WATER_BYTES,
  isWorthJoining,
  KEEP_ALIVE_MS,
  NO_ANSWER,
  TcpStream,
  WINDOW_BYTES,
  type Wire,
} from '../common/tcp-stream.ts';
import { noteFreshBuffer } from '../node-compat/fresh-buffers.ts';
import { formatAddress, unbracket } from './address.ts';
import { listenOn } from './listen.ts';
import { hasOwnReads, readInto } from './own-reads.ts';
import type { Slab } from './read-slabs.ts';
import { explainSystemError, systemErrorCode } from './system-error.ts';

/** `allowHalfOpen`: an end is half a close, and the answer to it is the application's affair. */
const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_MS,
  highWaterMark: HIGH_WATER_BYTES,
};

/**
 * What one read brings, of any connection that brings little: it is copied at once. Node would make 64 KiB for each read, and give back what is not
 * needed of them.
 */
const arrived: Slab = new Uint8Array(WINDOW_BYTES);
/** Whoever brought so much at once will bring more: the next read has 64 KiB of its own, which go on as they are. */
const MUCH_BYTES = WINDOW_BYTES / 2;
/** Connections that may have them, although they bring nothing now. */
const MAX_AHEAD = 16;
let ahead = 0;

export type ListenTcp = (at: ListenAddress, onConnection: (stream: ByteStream) => void) => Promise<Listener>;
export type ConnectTcp = (to: TcpConnectOptions, onConnect?: () => void) => ByteStream;

export function createTcpListener(clock: Clock): ListenTcp {
  return (at, onConnection) => {
    const server = createServer({ ...SOCKET_OPTIONS, pauseOnConnect: true });
    server.on('connection', (socket) => {
      const wire = new NodeWire(socket);
      const stream = new TcpStream(wire, clock);
      wire.tell(stream);
      wire.connected();
      onConnection(stream);
    });
    return listenOn(server, at);
  };
}

export function createTcpConnector(clock: Clock): ConnectTcp {
  return ({ host, port, timeoutMs = CONNECT_TIMEOUT_MS }, onConnect) => {
    const socket = connectSocket({ ...SOCKET_OPTIONS, host: unbracket(host), port });
    const wire = new NodeWire(socket);
    const stream = new TcpStream(wire, clock, formatAddress(unbracket(host), port));
    wire.tell(stream);
    const timer: Timer = clock.setTimer(timeoutMs, () => stream.fail(NO_ANSWER));
    socket.once('connect', () => {
      timer.cancel();
      wire.connected();
      onConnect?.();
    });
    socket.once('close', () => timer.cancel());
    return stream;
  };
}

class NodeWire implements Wire {
  readonly #socket: Socket;
  #stream: TcpStream | undefined;
  #isConnected = false;
  /** What the next read writes into: `arrived`, or memory for it alone. */
  #into: Slab = arrived;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.pause();
  }

  /** Once, before anything comes. */
  tell(stream: TcpStream): void {
    this.#stream = stream;
    const socket = this.#socket;
    socket.on('data', (chunk: Buffer) => stream.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)));
    socket.on('end', () => stream.onEnd());
    socket.on('drain', () => stream.onDrain());
    socket.on('error', (error) => stream.fail(explainSystemError(error), error, systemErrorCode(error)));
    socket.on('close', () => {
      this.#readNextInto(false);
      stream.onClose();
    });
  }

  connected(): void {
    this.#isConnected = true;
    const stream = this.#stream;
    stream?.onConnected();
    if (!hasOwnReads(this.#socket)) return;
    let known: Slab | undefined;
    const next = (): Slab | undefined => {
      if (known === this.#into) return undefined;
      known = this.#into;
      return known;
    };
    readInto(this.#socket, next, (bytes) => this.#onRead(bytes));
  }

  #onRead(bytes: number): void {
    const into = this.#into;
    const isMuch = bytes >= MUCH_BYTES;
    if (isMuch) noteFreshBuffer(bytes);
    const came = into.subarray(0, bytes);
    const chunk = isMuch && into !== arrived ? came : Buffer.from(came);
    this.#readNextInto(isMuch);
    this.#stream?.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, bytes));
  }

  /** @param isMuch what the next read is expected to bring */
  #readNextInto(isMuch: boolean): void {
    if (this.#into !== arrived) ahead--;
    const hasOwn = isMuch && ahead < MAX_AHEAD;
    if (hasOwn) ahead++;
    this.#into = hasOwn ? Buffer.allocUnsafeSlow(WINDOW_BYTES) : arrived;
  }

  write(chunks: readonly Bytes[], bytes: number): void {
    const socket = this.#socket;
    if (chunks.length === 1) socket.write(chunks[0] as Bytes);
    else if (isWorthJoining(chunks.length, bytes)) socket.write(Buffer.concat(chunks, bytes));
    else {
      socket.cork();
      for (const chunk of chunks) socket.write(chunk);
      socket.uncork();
    }
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    if (this.#socket.destroyed) return;
    if (this.#isConnected) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}
