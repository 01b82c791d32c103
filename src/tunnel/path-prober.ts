/**
 * `PathProber`: asks on every path of a session whether it carries and how long it takes, while there is more than one, and tells
 * which of them would be better. A single path is watched by its own records (delivery-watch.ts).
 */

import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import type { TunnelOptions } from './options.ts';
import { BURST_PADDING_BYTES, type Path } from './path.ts';
import { PathPolicy } from './path-policy.ts';
import type { PathRecords } from './path-records.ts';

export interface PathProberOptions {
  readonly clock: Clock;
  readonly limits: TunnelOptions;
  readonly records: PathRecords;
  readonly attached: () => readonly Path[];
  readonly active: () => Path | undefined;
  /** Records that the session has sent and received so far. */
  readonly progress: () => number;
  /** Records should rather go to `path`. */
  readonly onBetter: (path: Path) => void;
  /** What was asked on `path` `silentMs` ago has no answer, and nothing else came on it. */
  readonly onSilence: (path: Path, silentMs: number) => void;
}

/**
 * Of a session on which nothing was said for a minute paths are asked every ten: its probes would only keep others awake, and when there
 * is something to say again they are asked at once where the one in use is slow to answer.
 */
const QUIET_ROUNDS = 12;
const SELDOM_ROUNDS = 120;

export class PathProber {
  readonly #options: PathProberOptions;
  readonly #policy = new PathPolicy();
  #timer: Timer | undefined;
  #periodMs = 0;
  /** Rounds that still come in quick succession, because there is a new path. */
  #quickRounds = 0;
  #probedMs = Number.NEGATIVE_INFINITY;
  #progress = -1;
  /** Since something was said. */
  #quietRounds = 0;

  constructor(options: PathProberOptions) {
    this.#options = options;
  }

  /** When all were asked last, in monotonic milliseconds. */
  get probedMs(): number {
    return this.#probedMs;
  }

  /** A path that carries has come. */
  noteNew(): void {
    this.#quickRounds = this.#options.limits.quickProbes;
    this.update();
    if (this.#timer !== undefined) this.probeAll();
  }

  /** Records have gone to `path`. */
  noteMoved(path: Path): void {
    this.#policy.noteMoved(path, this.#options.clock.monotonicMs());
  }

  /** Paths have come or gone. What runs goes on: paths that come and go all the time must not put the next round off. */
  update(): void {
    const { attached, clock, limits } = this.#options;
    if (attached().length < 2) return this.stop();
    const periodMs = this.#quickRounds > 0 ? limits.quickProbeMs : limits.probeMs;
    if (this.#timer !== undefined && periodMs === this.#periodMs) return;
    this.stop();
    this.#periodMs = periodMs;
    this.#timer = setPeriodic(clock, periodMs, () => this.#round());
  }

  /** Asks on all paths now. */
  probeAll(): void {
    const { attached, clock, records } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#probedMs = nowMs;
    for (const path of attached()) if (path.mayProbe) path.send(records.probe(path.startProbe(nowMs)));
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #round(): void {
    const { active, attached } = this.#options;
    const nowMs = this.#options.clock.monotonicMs();
    for (const path of attached()) {
      path.checkBurst(nowMs);
      this.#look(path, nowMs);
    }
    const inUse = active();
    if (inUse !== undefined) this.#choose(inUse, nowMs);
    const isQuick = this.#quickRounds > 0;
    if (isQuick && --this.#quickRounds === 0) this.update();
    const progress = this.#options.progress();
    this.#quietRounds = isQuick || progress !== this.#progress ? 0 : this.#quietRounds + 1;
    this.#progress = progress;
    if (this.#quietRounds < QUIET_ROUNDS || this.#quietRounds % SELDOM_ROUNDS === 0) this.probeAll();
  }

  #look(path: Path, nowMs: number): void {
    const { limits, onSilence } = this.#options;
    const askedMs = path.unansweredSinceMs;
    if (askedMs === undefined || path.isClosed) return;
    const silentMs = nowMs - Math.max(askedMs, path.heardMs);
    if (silentMs >= limits.pathPatienceMs + 2 * path.rttMs) onSilence(path, silentMs);
  }

  #choose(active: Path, nowMs: number): void {
    const policy = this.#policy;
    const better = policy.judge(active, this.#options.attached(), nowMs);
    if (better !== undefined) return this.#options.onBetter(better);
    const { candidate } = policy;
    if (candidate === undefined) return;
    // The one in use too: it may never have been measured, and what it was before says nothing of now.
    for (const path of [active, candidate]) if (!policy.isMeasured(path, nowMs)) this.#measure(path, nowMs);
  }

  #measure(path: Path, nowMs: number): void {
    const { records } = this.#options;
    if (path.isMeasuring) return;
    for (const nonce of path.startBurst(nowMs)) path.send(records.probe(nonce, BURST_PADDING_BYTES));
  }
}
