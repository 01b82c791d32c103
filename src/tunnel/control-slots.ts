/**
 * Control frames that wait to be written, as bounded state and not as a queue: a slot each for PONG, PING, GOAWAY and
 * MAX_STREAMS, at most one RESET per stream (rust-yamux#227). Reading never waits for any of them to be written.
 */

import type { Bytes } from '../core/bytes.ts';
import { CONTROL_FRAME_BYTES, type FrameWriter, PING_BYTES } from './frame.ts';

export const MAX_GOAWAY_TEXT_BYTES = 256;
const PING_BODY: Bytes = new Uint8Array(PING_BYTES);

export interface PendingReset {
  readonly id: number;
  readonly code: number;
  readonly finalSize: number;
  readonly notProcessed: boolean;
}

export interface PendingGoAway {
  readonly code: number;
  readonly drain: boolean;
  readonly text: Bytes;
}

/** Tells which frames stand in the record. */
export interface ControlEvents {
  onPing(): void;
  onGoAway(): void;
  onMaxStreams(limit: number): void;
}

export class ControlSlots {
  /** Body of the latest PING of the peer. */
  pong: Bytes | undefined;
  ping = false;
  goAway: PendingGoAway | undefined;
  /** Cumulative count to announce; 0 when nothing is due. */
  maxStreams = 0;
  #resets: PendingReset[] = [];

  get isEmpty(): boolean {
    return (
      this.pong === undefined &&
      !this.ping &&
      this.goAway === undefined &&
      this.maxStreams === 0 &&
      this.#resets.length === 0
    );
  }

  addReset(reset: PendingReset): void {
    this.#resets.push(reset);
  }

  /**
   * New streams are offered last, once the peer was told of the end of the old ones, and only with `mayOffer`: what a
   * peer makes us remember is then bounded by the streams it may have.
   */
  write(writer: FrameWriter, lastAcceptedId: number, mayOffer: boolean, events: ControlEvents): void {
    if (this.pong !== undefined) {
      writer.ping(true, this.pong);
      this.pong = undefined;
    }
    if (this.ping) {
      this.ping = false;
      writer.ping(false, PING_BODY);
      events.onPing();
    }
    if (this.goAway !== undefined && writer.room > CONTROL_FRAME_BYTES + MAX_GOAWAY_TEXT_BYTES) {
      const { code, drain, text } = this.goAway;
      this.goAway = undefined;
      writer.goAway(code, lastAcceptedId, drain, text);
      events.onGoAway();
    }
    let written = 0;
    for (const { id, code, finalSize, notProcessed } of this.#resets) {
      if (writer.room <= CONTROL_FRAME_BYTES) break;
      writer.resetStream(id, code, finalSize, notProcessed);
      written++;
    }
    if (written > 0) this.#resets = this.#resets.slice(written);
    if (this.maxStreams > 0 && mayOffer && this.#resets.length === 0 && writer.room > CONTROL_FRAME_BYTES) {
      writer.maxStreams(this.maxStreams);
      events.onMaxStreams(this.maxStreams);
      this.maxStreams = 0;
    }
  }
}
