/** Ids and cumulative counts of streams in both directions: credit for a new one comes back only when an old one really ended (RFC 9000 §4.6). */

import type { HandshakeRole } from './handshake.ts';

export class StreamCount {
  readonly #peerParity: number;
  readonly #maxStreams: number;
  #nextId: number;
  #opened = 0;
  #allowed: number;
  #lastPeerId = 0;
  #accepted = 0;
  #finished = 0;
  #granted: number;

  /** `maxStreams`: what the peer may have open; `peerMaxStreams`: what it allows us at first. */
  constructor(role: HandshakeRole, maxStreams: number, peerMaxStreams: number) {
    this.#peerParity = role === 'initiator' ? 0 : 1;
    this.#nextId = role === 'initiator' ? 1 : 2;
    this.#maxStreams = maxStreams;
    this.#granted = maxStreams;
    this.#allowed = peerMaxStreams;
  }

  /** Highest id the peer has opened; 0 before the first. */
  get lastPeerId(): number {
    return this.#lastPeerId;
  }

  /** Streams that both ends have opened so far. */
  get total(): number {
    return this.#opened + this.#accepted;
  }

  get mayOpen(): boolean {
    return this.#opened < this.#allowed;
  }

  /** The id of a new stream of ours. */
  open(): number {
    this.#opened++;
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  /** A stream whose OPEN never left: the peer has not counted it, so neither do we. Its id stays unused. */
  unopen(): void {
    this.#opened--;
  }

  /** False when the limit is an old one. */
  allow(count: number): boolean {
    if (count <= this.#allowed) return false;
    this.#allowed = count;
    return true;
  }

  /** Counts a stream of the peer; returns what is wrong with it, or undefined. */
  accept(id: number): string | undefined {
    if (!this.isPeerId(id) || id <= this.#lastPeerId) return 'its id is out of order';
    if (this.#accepted >= this.#granted) return 'the peer opened more than it was granted';
    this.#accepted++;
    this.#lastPeerId = id;
    return undefined;
  }

  /** A stream of the peer ended. */
  finish(): void {
    this.#finished++;
  }

  /**
   * The limit to announce, or 0 when it is not worth a frame yet. To be asked whenever a stream ended, and when one began as well: the last
   * to end may have been worth none, and those that begin behind it may all stay.
   */
  get dueLimit(): number {
    const limit = this.#finished + this.#maxStreams;
    // A quarter is worth a frame; less as well where the peer may open few more, or streams that stay would keep it from those that pass.
    const left = this.#granted - this.#accepted;
    return limit - this.#granted < Math.max(1, Math.min(left, this.#maxStreams >> 2)) ? 0 : limit;
  }

  /** The limit was announced. It holds from now on and not before: a peer that does not listen must not go on opening. */
  grant(limit: number): void {
    this.#granted = limit;
  }

  isPeerId(id: number): boolean {
    return id % 2 === this.#peerParity;
  }

  /** Whether the stream exists or existed. */
  wasOpened(id: number): boolean {
    return id > 0 && (this.isPeerId(id) ? id <= this.#lastPeerId : id < this.#nextId);
  }
}
