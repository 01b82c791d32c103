/**
 * Which of the paths that carry is the best: direct before relay unless it is much slower, and never for a whim — a
 * better one must be better several times in a row, and fast enough with a burst of data. Pure.
 */

import type { Path } from './path.ts';

/** A direct path may be this much slower than the relay: it costs nobody else anything (docs/protocol.md §3). */
const DIRECT_BONUS_MS = 20;
const LEAST_GAIN_MS = 5;
const LEAST_GAIN = 0.1;
const WINS_NEEDED = 3;
/**
 * Records that have moved stay for so long, unless their path is left or fails, in milliseconds. Twice as long each time they
 * move on: a path that is worse because it is used would be left and taken for ever. A long stay makes up for that.
 */
const MIN_STAY_MS = 5_000;
const MAX_STAY_MS = 300_000;
const CALM_MS = 600_000;
/** A burst may take so much longer than on the path in use, in milliseconds and as a factor. */
const BURST_SLACK_MS = 20;
const BURST_FACTOR = 2;
/** What a burst has shown holds for so long; where it was too slow, the next one comes after so long, ever more rarely. */
const BURST_VALID_MS = 60_000;
const SLOW_BURST_MS = 10_000;
const MAX_SLOW_BURST_MS = 600_000;

export class PathPolicy {
  #leader: Path | undefined;
  #wins = 0;
  /** Worth a burst now. */
  #candidate: Path | undefined;
  /** Recommended for being better, and for nothing that is wrong with the other. */
  #chosen: Path | undefined;
  #movedMs = Number.NEGATIVE_INFINITY;
  #stayMs = MIN_STAY_MS;

  /** Records have moved to `path`, for whatever reason. */
  noteMoved(path: Path, nowMs: number): void {
    if (path === this.#chosen) {
      const isCalm = nowMs - this.#movedMs >= CALM_MS;
      this.#stayMs = isCalm ? MIN_STAY_MS : Math.min(MAX_STAY_MS, 2 * this.#stayMs);
    }
    this.#movedMs = nowMs;
    this.#lead(undefined);
  }

  /** The path to move to, if any; asked once for each round of probes. */
  judge(active: Path, attached: readonly Path[], nowMs: number): Path | undefined {
    const best = choose(attached.filter((path) => path.isLeaving === false && isUsable(path, nowMs)));
    if (best === undefined || best === active || !(active.isLeaving || active.isSuspect || isBetter(best, active))) {
      this.#lead(undefined);
      return undefined;
    }
    if (active.isLeaving) return best;
    this.#lead(best);
    const leftMs = active.isSuspect ? 0 : this.#movedMs + this.#stayMs - nowMs;
    if (leftMs <= MIN_STAY_MS && nowMs >= best.noBurstBeforeMs) this.#candidate = best;
    if (leftMs > 0 || this.#wins < WINS_NEEDED) return undefined;
    if (!this.isMeasured(best, nowMs) || !this.isMeasured(active, nowMs)) return undefined;
    if (!isFastEnough(best, active)) {
      putOff(best, nowMs);
      this.#candidate = undefined;
      return undefined;
    }
    best.slowBursts = 0;
    if (!active.isSuspect) this.#chosen = best;
    return best;
  }

  /** Who may win next: worth a burst on it and on the path in use. */
  get candidate(): Path | undefined {
    return this.#candidate;
  }

  /** Is it known how fast `path` is with data, as things are? */
  isMeasured({ burst }: Path, nowMs: number): boolean {
    return burst !== undefined && burst.atMs >= this.#movedMs && nowMs - burst.atMs < BURST_VALID_MS;
  }

  #lead(path: Path | undefined): void {
    this.#wins = path === this.#leader ? this.#wins + 1 : 1;
    this.#leader = path;
    this.#candidate = undefined;
    this.#chosen = undefined;
  }
}

/** It was too slow with data: the next burst shows whether it still is. */
function putOff(path: Path, nowMs: number): void {
  path.burst = undefined;
  path.noBurstBeforeMs = nowMs + Math.min(MAX_SLOW_BURST_MS, SLOW_BURST_MS * 2 ** path.slowBursts++);
}

/** The one to fall back on when the path in use is gone: whatever carries, however young. */
export function chooseFallback(attached: readonly Path[]): Path | undefined {
  return choose(attached.filter((path) => !path.isSuspect)) ?? choose(attached);
}

function choose(paths: readonly Path[]): Path | undefined {
  let best: Path | undefined;
  for (const path of paths) if (best === undefined || score(path) < score(best)) best = path;
  return best;
}

function isUsable(path: Path, nowMs: number): boolean {
  return !path.isSuspect && path.rttMs > 0 && nowMs >= path.notBeforeMs;
}

function score(path: Path): number {
  return path.rttMs + (path.info.kind === 'relay' ? DIRECT_BONUS_MS : 0) + (path.isLeaving ? 1e6 : 0);
}

function isBetter(path: Path, active: Path): boolean {
  const gainMs = score(active) - score(path);
  return gainMs >= Math.max(LEAST_GAIN_MS, score(active) * LEAST_GAIN);
}

/** BBR after a crossed open, or a provider that throttles, shows only with data. */
function isFastEnough({ burst }: Path, active: Path): boolean {
  if (burst === undefined || active.burst === undefined || !Number.isFinite(burst.tookMs)) return false;
  return burst.tookMs <= BURST_FACTOR * active.burst.tookMs + BURST_SLACK_MS;
}
