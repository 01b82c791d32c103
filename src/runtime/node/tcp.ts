/** TCP connections as `ByteStream`s: credit by pausing, one write per tick, half-close both ways, reset as RST. */

import { connect as connectSocket, createServer, type Socket } from 'node:net';
import type { ByteSink, ByteStream } from '../../core/byte-stream.ts';
import type { Bytes } from '../../core/bytes.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import { SkeinError } from '../../core/errors.ts';
import type { ListenAddress, Listener, TcpConnectOptions } from '../../core/platform.ts';
import type { Explanation } from '../common/explanation.ts';
import { formatAddress } from './address.ts';
import { listenOn } from './listen.ts';
import { hasOwnReads, readInto } from './own-reads.ts';
import { explainSystemError, systemErrorCode } from './system-error.ts';

/** Bytes a reader may hold before the socket is paused, and at half of which it is read again. */
const WINDOW_BYTES = 64 * 1024;
/** Bytes waiting for the kernel above which a writer is asked to stop. */
const HIGH_WATER_BYTES = 64 * 1024;
/** Up to here a copy into one buffer costs less than a vector of small ones. */
const JOIN_BYTES = 16 * 1024;
/** Chunks smaller than this on average are joined however many bytes they are: while they wait, each costs 200 bytes of its own. */
const MIN_CHUNK_BYTES = 1024;
const CONNECT_TIMEOUT_MS = 10_000;
/** A peer that vanished without a word is found after this long plus the kernel's probes. */
const KEEP_ALIVE_MS = 60_000;

const NO_ANSWER: Explanation = {
  state: 'no answer in time',
  remedy: 'Check that a firewall does not drop the packets and that the address is right.',
};
const CLOSED: Explanation = {
  state: 'connection closed',
  remedy: 'The other end closed the connection; check its log.',
};

/** `allowHalfOpen`: an end is half a close, and the answer to it is the application's affair. */
const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_MS,
  highWaterMark: HIGH_WATER_BYTES,
};

/**
 * What one read brings, of any connection: it is copied at once. Node would make 64 KiB for each read, and give back what is not needed of them.
 */
const arrived = new Uint8Array(WINDOW_BYTES);

export type ListenTcp = (at: ListenAddress, onConnection: (stream: ByteStream) => void) => Promise<Listener>;
export type ConnectTcp = (to: TcpConnectOptions, onConnect?: () => void) => ByteStream;

export function createTcpListener(clock: Clock): ListenTcp {
  return (at, onConnection) => {
    const server = createServer({ ...SOCKET_OPTIONS, pauseOnConnect: true });
    server.on('connection', (socket) => onConnection(new TcpStream(socket, clock)));
    return listenOn(server, at);
  };
}

export function createTcpConnector(clock: Clock): ConnectTcp {
  return ({ host, port, timeoutMs = CONNECT_TIMEOUT_MS }, onConnect) => {
    const socket = connectSocket({ ...SOCKET_OPTIONS, host: unbracket(host), port });
    const stream = new TcpStream(socket, clock, formatAddress(unbracket(host), port));
    const timer: Timer = clock.setTimer(timeoutMs, () => stream.fail(NO_ANSWER));
    socket.once('connect', () => {
      timer.cancel();
      stream.connected();
      onConnect?.();
    });
    socket.once('close', () => timer.cancel());
    return stream;
  };
}

class TcpStream implements ByteStream {
  readonly #socket: Socket;
  readonly #clock: Clock;
  /** Where we dial to, until the connection stands. */
  #dialling: string | undefined;
  #sink: ByteSink | undefined;
  /** Delivered and not yet `consumed`. */
  #unconsumed = 0;
  #paused = true;
  /** Written in this tick: all of it goes out in one system call at its end. */
  #pending: Bytes[] = [];
  #pendingBytes = 0;
  #wantsDrain = false;
  #ended = false;
  #peerEnded = false;
  #closed = false;
  #resetBy: SkeinError | undefined;

  constructor(socket: Socket, clock: Clock, dialling?: string) {
    this.#socket = socket;
    this.#clock = clock;
    this.#dialling = dialling;
    socket.pause();
    if (dialling === undefined) this.#readIntoOwn();
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => this.#onEnd());
    socket.on('drain', () => this.#onDrain());
    socket.on('error', (error) => this.fail(explainSystemError(error), error));
    socket.on('close', () => this.#onClose());
  }

  attach(sink: ByteSink): void {
    this.#sink = sink;
    if (this.#resetBy !== undefined) this.#tellReset(this.#resetBy);
    else if (!this.#closed && this.#unconsumed < WINDOW_BYTES) this.#resume();
  }

  write(chunk: Bytes): boolean {
    if (this.#ended || this.#closed) return true;
    if (chunk.length === 0) return !this.#wantsDrain;
    if (this.#pending.length === 0) this.#clock.endOfTick(this.#flush);
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    this.#wantsDrain ||= this.#pendingBytes + this.#socket.writableLength >= HIGH_WATER_BYTES;
    return !this.#wantsDrain;
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#flush();
    this.#socket.end();
  }

  reset(_error: SkeinError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sink = undefined;
    this.#destroy();
  }

  consumed(bytes: number): void {
    this.#unconsumed -= bytes;
    if (this.#paused && this.#unconsumed <= WINDOW_BYTES / 2 && !this.#closed && this.#sink !== undefined)
      this.#resume();
  }

  connected(): void {
    this.#dialling = undefined;
    this.#readIntoOwn();
  }

  /** The connection is lost, or never came about. */
  fail({ state, remedy }: Explanation, cause?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    const error =
      this.#dialling === undefined
        ? new SkeinError('SKEIN_STREAM_RESET', `Cannot go on with TCP connection: ${state}`, { cause })
        : new SkeinError('SKEIN_APP_UNREACHABLE', `Cannot connect to ${this.#dialling}: ${state}`, {
            cause,
            details: { address: this.#dialling, systemCode: systemErrorCode(cause), remedy },
          });
    this.#destroy();
    if (this.#sink === undefined) this.#resetBy = error;
    else this.#tellReset(error);
  }

  readonly #flush = (): void => {
    const pending = this.#pending;
    const bytes = this.#pendingBytes;
    if (bytes === 0 || this.#closed) return;
    this.#pending = [];
    this.#pendingBytes = 0;
    const socket = this.#socket;
    if (pending.length === 1 || bytes <= Math.max(JOIN_BYTES, pending.length * MIN_CHUNK_BYTES)) {
      socket.write(pending.length === 1 ? (pending[0] as Bytes) : Buffer.concat(pending, bytes));
    } else {
      socket.cork();
      for (const chunk of pending) socket.write(chunk);
      socket.uncork();
    }
    // The kernel has taken it at once: no drain will be told.
    if (this.#wantsDrain && !socket.writableNeedDrain) this.#onDrain();
  };

  #readIntoOwn(): void {
    if (!hasOwnReads(this.#socket)) return;
    readInto(this.#socket, arrived, (bytes) => this.#onData(Buffer.from(arrived.subarray(0, bytes))));
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return;
    this.#unconsumed += chunk.length;
    if (this.#unconsumed >= WINDOW_BYTES) this.#pause();
    this.#sink?.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
  }

  #onEnd(): void {
    if (this.#closed) return;
    this.#peerEnded = true;
    this.#sink?.onEnd();
  }

  #onDrain(): void {
    if (!this.#wantsDrain || this.#closed) return;
    this.#wantsDrain = false;
    this.#sink?.onDrain();
  }

  #onClose(): void {
    // With both directions ended the close is the end of a good life; before that it is a loss.
    if (this.#peerEnded && this.#ended) this.#closed = true;
    else this.fail(CLOSED);
  }

  #tellReset(error: SkeinError): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#resetBy = undefined;
    sink?.onReset(error);
  }

  #pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  #resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  /** RST, so that the peer cannot take a truncated stream for a whole one. */
  #destroy(): void {
    if (this.#socket.destroyed) return;
    if (this.#dialling === undefined) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }
}

/** `host` of an address as it stands in a URL. */
function unbracket(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
