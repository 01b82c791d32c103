/**
 * Windows of both directions, in absolute offsets (RFC 9000 §4.1): a repeated or lost update cannot drift. Credit is
 * returned when the reader has consumed, never on arrival; a window grows while it, and not the reader, is the limit.
 */

/** Offsets above this are an attack, not traffic. */
export const MAX_OFFSET = 2 ** 50;

/**
 * Credit is announced for so much at the latest: what was consumed and not announced is missing to the sender, who gets no more than the
 * rest of the window in a round trip. A 32nd of the largest window, and four full records.
 */
const WORTH_ANNOUNCING_BYTES = 256 * 1024;

/** What we may still send. */
export class SendWindow {
  #sent: number;
  #limit: number;

  /** @param sent what has been sent before */
  constructor(limit: number, sent = 0) {
    this.#limit = limit;
    this.#sent = sent;
  }

  get available(): number {
    return this.#limit - this.#sent;
  }

  get sent(): number {
    return this.#sent;
  }

  get limit(): number {
    return this.#limit;
  }

  take(bytes: number): void {
    this.#sent += bytes;
  }

  /** Returns whether the limit rose; a lower offset is an old update and is ignored. */
  raise(limit: number): boolean {
    if (limit <= this.#limit) return false;
    this.#limit = limit;
    return true;
  }
}

/** What the other end may still send. */
export class ReceiveWindow {
  readonly #maxBytes: number;
  #windowBytes: number;
  #received: number;
  #consumed: number;
  #granted: number;
  #epochMs: number;
  #epochConsumed: number;

  /** @param past what was received before, all of it consumed, and granted */
  constructor(
    windowBytes: number,
    maxBytes: number,
    nowMs: number,
    past: { readonly received: number; readonly granted: number } = { received: 0, granted: windowBytes },
  ) {
    this.#windowBytes = windowBytes;
    this.#maxBytes = Math.max(windowBytes, maxBytes);
    this.#received = past.received;
    this.#consumed = past.received;
    this.#epochConsumed = past.received;
    this.#granted = past.granted;
    this.#epochMs = nowMs;
  }

  get windowBytes(): number {
    return this.#windowBytes;
  }

  get received(): number {
    return this.#received;
  }

  /** Up to where the sender may send, as far as it has been told. */
  get granted(): number {
    return this.#granted;
  }

  /** Bytes that arrived and were not consumed: what this window pins. */
  get unread(): number {
    return this.#received - this.#consumed;
  }

  /** What the sender may still send, as far as it has been told. */
  get left(): number {
    return this.#granted - this.#received;
  }

  /** What a grant would add to that. */
  get gain(): number {
    return this.#consumed + this.#windowBytes - this.#granted;
  }

  /** Less than a quarter of the window is left to the sender. */
  get isNearlySpent(): boolean {
    return this.left < this.#windowBytes >> 2;
  }

  /** False when the bytes go beyond what was granted. */
  receive(bytes: number): boolean {
    this.#received += bytes;
    return this.#received <= this.#granted;
  }

  consume(bytes: number): void {
    this.#consumed += bytes;
  }

  /** Raises the window itself; takes effect with the next grant and never shrinks (RFC 9113 §6.9.2). */
  widen(windowBytes: number): void {
    this.#windowBytes = Math.max(this.#windowBytes, Math.min(windowBytes, this.#maxBytes));
  }

  /** Whether a grant would be worth its frame: half the window is free, or much of a large one, or a quarter and a round trip has passed. */
  isGrantDue(nowMs: number, rttMs: number): boolean {
    const { gain } = this;
    if (gain >= Math.min(this.#windowBytes >> 1, WORTH_ANNOUNCING_BYTES)) return true;
    return gain >= this.#windowBytes >> 2 && nowMs - this.#epochMs >= rttMs;
  }

  /**
   * The new absolute offset. Before it is computed, the window doubles if the reader consumed at least half of it per
   * round trip: then the window, and not the reader or the sender, is what holds the bytes up. Comparing bytes per
   * round trip with the window is free of scale, so growth cannot block itself (libp2p/go-yamux#136).
   * It grows no further than to `mostBytes`: what a budget that it shares with other windows has for it.
   */
  grant(nowMs: number, rttMs: number, mostBytes = Number.POSITIVE_INFINITY): number {
    const elapsedMs = nowMs - this.#epochMs;
    if (elapsedMs >= rttMs) {
      const perRoundTrip = ((this.#consumed - this.#epochConsumed) / elapsedMs) * rttMs;
      if (perRoundTrip >= this.#windowBytes >> 1) this.widen(Math.min(this.#windowBytes * 2, mostBytes));
      this.#epochMs = nowMs;
      this.#epochConsumed = this.#consumed;
    }
    this.#granted = Math.max(this.#granted, this.#consumed + this.#windowBytes);
    return this.#granted;
  }
}
