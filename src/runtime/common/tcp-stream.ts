/** A TCP connection as a `ByteStream`: credit by pausing, one write per tick, half-close both ways, reset as RST. */

import type { ByteSink, ByteStream } from '../../core/byte-stream.ts';
import type { Bytes } from '../../core/bytes.ts';
import type { Clock } from '../../core/clock.ts';
import { SkeinError } from '../../core/errors.ts';
import type { Explanation } from './explanation.ts';

/** Bytes a reader may hold before the socket is paused, and at half of which it is read again. */
export const WINDOW_BYTES = 64 * 1024;
/** Bytes waiting for the kernel above which a writer is asked to stop. */
export const HIGH_WATER_BYTES = 64 * 1024;
/** Up to here a copy into one buffer costs less than a vector of small ones. */
const JOIN_BYTES = 16 * 1024;
/** Chunks smaller than this on average are joined however many bytes they are: while they wait, each costs 200 bytes of its own. */
const MIN_CHUNK_BYTES = 1024;

export const CONNECT_TIMEOUT_MS = 10_000;
/** A peer that vanished without a word is found after this long plus the kernel's probes. */
export const KEEP_ALIVE_MS = 60_000;

export const NO_ANSWER: Explanation = {
  state: 'no answer in time',
  remedy: 'Check that a firewall does not drop the packets and that the address is right.',
};
export const CLOSED: Explanation = {
  state: 'connection closed',
  remedy: 'The other end closed the connection; check its log.',
};

/** A socket of a runtime, which may still be dialling. It tells its `TcpStream` what comes. */
export interface Wire {
  /** Takes all of it, in this order. */
  write(chunks: readonly Bytes[], bytes: number): void;
  /** Of what was written, the kernel does not have. */
  readonly unsentBytes: number;
  /** `onDrain` will be told. */
  readonly isFull: boolean;
  /** FIN, after all that was written. */
  end(): void;
  /** RST, so that the peer cannot take a truncated stream for a whole one. Nothing is told any more but the close. */
  destroy(): void;
  /** It begins paused. */
  pause(): void;
  resume(): void;
}

/** Whether to write them as one. */
export function isWorthJoining(count: number, bytes: number): boolean {
  return count > 1 && bytes <= Math.max(JOIN_BYTES, count * MIN_CHUNK_BYTES);
}

export class TcpStream implements ByteStream {
  readonly #wire: Wire;
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

  constructor(wire: Wire, clock: Clock, dialling?: string) {
    this.#wire = wire;
    this.#clock = clock;
    this.#dialling = dialling;
  }

  attach(sink: ByteSink): void {
    this.#sink = sink;
    if (this.#resetBy !== undefined) this.#tellReset(this.#resetBy);
    else if (this.#paused && !this.#closed && this.#unconsumed < WINDOW_BYTES) this.#resume();
  }

  write(chunk: Bytes): boolean {
    if (this.#ended || this.#closed) return true;
    if (chunk.length === 0) return !this.#wantsDrain;
    if (this.#pending.length === 0) this.#clock.endOfTick(this.#flush);
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    this.#wantsDrain ||= this.#pendingBytes + this.#wire.unsentBytes >= HIGH_WATER_BYTES;
    return !this.#wantsDrain;
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#flush();
    this.#wire.end();
  }

  reset(_error: SkeinError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sink = undefined;
    this.#wire.destroy();
  }

  consumed(bytes: number): void {
    this.#unconsumed -= bytes;
    if (this.#paused && this.#unconsumed <= WINDOW_BYTES / 2 && !this.#closed && this.#sink !== undefined)
      this.#resume();
  }

  onConnected(): void {
    this.#dialling = undefined;
  }

  /** The connection is lost, or never came about. */
  fail({ state, remedy }: Explanation, cause?: unknown, systemCode?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    const error =
      this.#dialling === undefined
        ? new SkeinError('SKEIN_STREAM_RESET', `Cannot go on with TCP connection: ${state}`, { cause })
        : new SkeinError('SKEIN_APP_UNREACHABLE', `Cannot connect to ${this.#dialling}: ${state}`, {
            cause,
            details: { address: this.#dialling, systemCode, remedy },
          });
    this.#wire.destroy();
    if (this.#sink === undefined) this.#resetBy = error;
    else this.#tellReset(error);
  }

  onData(chunk: Bytes): void {
    if (this.#closed) return;
    this.#unconsumed += chunk.length;
    if (this.#unconsumed >= WINDOW_BYTES) this.#pause();
    this.#sink?.onData(chunk);
  }

  onEnd(): void {
    if (this.#closed) return;
    this.#peerEnded = true;
    this.#sink?.onEnd();
  }

  onDrain(): void {
    if (!this.#wantsDrain || this.#closed) return;
    this.#wantsDrain = false;
    this.#sink?.onDrain();
  }

  onClose(): void {
    // With both directions ended the close is the end of a good life; before that it is a loss.
    if (this.#peerEnded && this.#ended) this.#closed = true;
    else this.fail(CLOSED);
  }

  readonly #flush = (): void => {
    const pending = this.#pending;
    const bytes = this.#pendingBytes;
    if (bytes === 0 || this.#closed) return;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#wire.write(pending, bytes);
    // The kernel has taken it at once: no drain will be told.
    if (this.#wantsDrain && !this.#wire.isFull) this.onDrain();
  };

  #tellReset(error: SkeinError): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#resetBy = undefined;
    sink?.onReset(error);
  }

  #pause(): void {
    this.#paused = true;
    this.#wire.pause();
  }

  #resume(): void {
    this.#paused = false;
    this.#wire.resume();
  }
}
