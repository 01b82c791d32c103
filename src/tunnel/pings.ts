/** `Pings`: those of this end that wait for their answer. Few, because a path that comes back brings all of them at once. */

/** Below what a peer takes for a flood (`pingsPerSecond`), with room for those of the next path. */
const MAX_UNANSWERED = 4;

export class Pings {
  #sentMs = 0;
  #unanswered = 0;

  get maySend(): boolean {
    return this.#unanswered < MAX_UNANSWERED;
  }

  noteSent(nowMs: number): void {
    this.#sentMs = nowMs;
    this.#unanswered++;
  }

  /** One answer may stand for several. Returns a round trip in milliseconds, or undefined when it is not clear which was answered. */
  noteAnswer(nowMs: number): number | undefined {
    const sampleMs = this.#unanswered === 1 ? nowMs - this.#sentMs : undefined;
    this.#unanswered = 0;
    return sampleMs;
  }
}
