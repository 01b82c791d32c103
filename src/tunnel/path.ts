/** `Path`: one circuit that a session travels on, or may — what it is, whether it carries, how long it takes. */

import type { Bytes } from '../core/bytes.ts';
import type { Timer } from '../core/clock.ts';
import type { SkeinError } from '../core/errors.ts';
import { type Circuit, type CircuitEvents, LINK_HEADER_BYTES } from './circuit.ts';
import { MinRtt } from './min-rtt.ts';

export type PathKind = 'relay' | 'direct';

/** What a path is, for those who made it; the tunnel only weighs the kind. */
export interface PathInfo {
  readonly kind: PathKind;
  /** URL of the hub, or `host:port` of the peer. */
  readonly via: string;
  /** Time until it may be chosen: BBR holds a crossed TCP open down for 10 s (docs/protocol.md §3). @default 0 */
  readonly settleMs?: number;
  /** The session is done with it. */
  readonly onEnd?: () => void;
}

/** `suspect`: nothing was heard on it for too long, while something was expected. */
export type PathState = 'proving' | 'standby' | 'active' | 'suspect';

export interface PathStatus {
  /** As its maker gave it. */
  readonly info: PathInfo;
  readonly kind: PathKind;
  readonly via: string;
  readonly state: PathState;
  /** Smallest round trip of the last 10 s, in milliseconds; 0 before the first. */
  readonly rttMs: number;
  /** Time since it was made, in milliseconds. */
  readonly ageMs: number;
}

/** Nothing follows `onPathClose`. */
export interface PathHost {
  /** A whole link message; its credit is the host's to return. */
  onPathMessage(path: Path, message: Bytes): void;
  onPathWritable(path: Path): void;
  onPathClose(path: Path, error: SkeinError): void;
}

const NONCE_BYTES = 8;
/** A burst that shows how fast a path is: 64 KiB, within the least credit of a circuit. */
const BURST_PROBES = 4;
export const BURST_PADDING_BYTES = 15 * 1024;
/** A burst without all answers after this shows a path that is too slow, in milliseconds. */
const BURST_TIMEOUT_MS = 10_000;
/** Path records that wait for room: a burst, and the answers to one and to the probes of some round trips. */
const MAX_WAITING = 32;
/** Probes whose answer is awaited: a round trip of seconds, asked five times a second. */
const MAX_PROBES = 16;

export class Path implements CircuitEvents {
  readonly circuit: Circuit;
  readonly info: PathInfo;
  readonly madeMs: number;
  /** Both ends know that it belongs to the session. */
  isAttached = false;
  isSuspect = false;
  /** Since when the active one is suspect, in monotonic milliseconds. */
  suspectMs = 0;
  /** It is to be left as soon as there is another one. */
  isLeaving = false;
  /** Monotonic time before which it is not chosen while another one carries. */
  notBeforeMs: number;
  /** How often it was left because it did not carry. */
  failures = 0;
  /** Monotonic time of the last message that came on it. */
  heardMs: number;
  /** Counter of our last ATTACH on it, and whether that took over. */
  attachCounter = -1;
  hasTakenOver = false;
  /** What the last burst took, in milliseconds, `Infinity` when it did not come to its end; and when that was known. */
  burst: { readonly tookMs: number; readonly atMs: number } | undefined;
  /** How often in a row its bursts were too slow, and the monotonic time before which there is no further one. */
  slowBursts = 0;
  noBurstBeforeMs = Number.NEGATIVE_INFINITY;
  /** Fires when the peer has not answered that it knows this path. */
  deadline: Timer | undefined;
  readonly #host: PathHost;
  readonly #rtt = new MinRtt();
  readonly #records: Bytes[] = [];
  #wantedBytes = 0;
  /** Number of the last probe. */
  #number = 0;
  /** Probes of the regular kind without an answer, in order. */
  readonly #probes: { readonly number: number; readonly sentMs: number }[] = [];
  /** The burst that is under way. */
  #burst: { readonly startedMs: number; readonly last: number; left: number } | undefined;
  #isClosed = false;

  constructor(circuit: Circuit, info: PathInfo, host: PathHost, nowMs: number) {
    this.circuit = circuit;
    this.info = info;
    this.madeMs = nowMs;
    this.heardMs = nowMs;
    this.notBeforeMs = nowMs + (info.settleMs ?? 0);
    this.#host = host;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get rttMs(): number {
    return this.#rtt.valueMs;
  }

  /** When the oldest probe was sent that has no answer, in monotonic milliseconds, or undefined. */
  get unansweredSinceMs(): number | undefined {
    return this.#probes[0]?.sentMs;
  }

  /** Whether a burst is under way. */
  get isMeasuring(): boolean {
    return this.#burst !== undefined;
  }

  /** A burst that takes too long is not waited for. */
  checkBurst(nowMs: number): void {
    if (this.#burst !== undefined && nowMs - this.#burst.startedMs >= BURST_TIMEOUT_MS) {
      this.#endBurst(Number.POSITIVE_INFINITY, nowMs);
    }
  }

  /**
   * Sends a whole message before anything else that waits: a record of the handshake, or of the path. Dropped when too many
   * wait: a peer that grants no credit and goes on asking must not fill this process with answers.
   */
  send(message: Bytes): void {
    if (this.#isClosed || this.#records.length >= MAX_WAITING) return;
    this.#records.push(message);
    this.#request();
  }

  /** Asks for one `onPathWritable` with credit for `bytes`. */
  requestWrite(bytes: number): void {
    this.#wantedBytes = bytes;
    this.#request();
  }

  observeRtt(sampleMs: number, nowMs: number): void {
    this.#rtt.observe(sampleMs, nowMs);
  }

  /** Whether another probe would leave soon. */
  get mayProbe(): boolean {
    return this.#records.length < MAX_WAITING / 2;
  }

  /** Nonce of a probe that is sent now. */
  startProbe(nowMs: number): Bytes {
    this.#probes.push({ number: ++this.#number, sentMs: nowMs });
    if (this.#probes.length > MAX_PROBES) this.#probes.splice(1, 1); // the oldest tells how long nothing was answered
    return toNonce(this.#number);
  }

  /** Nonces of a burst that is sent now. */
  startBurst(nowMs: number): Bytes[] {
    const nonces = Array.from({ length: BURST_PROBES }, () => toNonce(++this.#number));
    this.#burst = { startedMs: nowMs, last: this.#number, left: BURST_PROBES };
    return nonces;
  }

  onProbed(nonce: Bytes, nowMs: number): void {
    const number = new DataView(nonce.buffer, nonce.byteOffset).getUint32(NONCE_BYTES - 4);
    const at = this.#probes.findIndex((probe) => probe.number === number);
    const burst = this.#burst;
    if (at >= 0) {
      // A path is ordered: those before it were lost.
      const [answered] = this.#probes.splice(0, at + 1).slice(-1);
      this.observeRtt(nowMs - (answered?.sentMs ?? nowMs), nowMs);
    } else if (
      burst !== undefined &&
      number <= burst.last &&
      number > burst.last - BURST_PROBES &&
      --burst.left === 0
    ) {
      this.#endBurst(nowMs - burst.startedMs, nowMs);
    }
  }

  /** Ends it here; the host is not told. */
  close(code: number): void {
    if (this.#isClosed) return;
    this.#end();
    this.circuit.close(code);
  }

  // What the circuit tells.

  onRecord(message: Bytes): void {
    if (!this.#isClosed) this.#host.onPathMessage(this, message);
  }

  onWritable(): void {
    const record = this.#records.shift();
    if (record !== undefined) {
      this.circuit.send(record);
      this.#request();
      return;
    }
    this.#wantedBytes = 0;
    if (!this.#isClosed) this.#host.onPathWritable(this);
  }

  onClose(error: SkeinError): void {
    if (this.#isClosed) return;
    this.#end();
    this.#host.onPathClose(this, error);
  }

  #endBurst(tookMs: number, nowMs: number): void {
    this.burst = { tookMs, atMs: nowMs };
    this.#burst = undefined;
  }

  #end(): void {
    this.#isClosed = true;
    this.deadline?.cancel();
    this.info.onEnd?.();
  }

  #request(): void {
    const record = this.#records[0];
    if (record !== undefined) this.circuit.requestWrite(record.length - LINK_HEADER_BYTES);
    else if (this.#wantedBytes > 0) this.circuit.requestWrite(this.#wantedBytes);
  }
}

function toNonce(number: number): Bytes {
  const nonce = new Uint8Array(NONCE_BYTES);
  new DataView(nonce.buffer).setUint32(NONCE_BYTES - 4, number);
  return nonce;
}
