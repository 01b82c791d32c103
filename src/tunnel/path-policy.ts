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
/** Records that have moved stay for so long, unless their path is left or fails, in milliseconds. */
const MIN_STAY_MS = 5_000;
/** A burst may take so much longer than on the path in use, in milliseconds and as a factor. */
const BURST_SLACK_MS = 20;
const BURST_FACTOR = 2;

export class PathPolicy {
  #leader: Path | undefined;
  #wins = 0;
  #movedMs = Number.NEGATIVE_INFINITY;

  /** Records have moved, for whatever reason. */
  noteMoved(nowMs: number): void {
    this.#movedMs = nowMs;
    this.#leader = undefined;
  }

  /** The path to move to, if any; asked once for each round of probes. */
  judge(active: Path, attached: readonly Path[], nowMs: number): Path | undefined {
    const best = choose(attached.filter((path) => path.isLeaving === false && isUsable(path, nowMs)));
    if (best === undefined || best === active || !(active.isLeaving || active.isSuspect || isBetter(best, active))) {
      this.#leader = undefined;
      return undefined;
    }
    if (active.isLeaving) return best;
    this.#wins = best === this.#leader ? this.#wins + 1 : 1;
    this.#leader = best;
    if (!active.isSuspect && nowMs - this.#movedMs < MIN_STAY_MS) return undefined;
    return this.#wins >= WINS_NEEDED && isFastEnough(best, active) ? best : undefined;
  }

  /** Who may win next: worth a burst on it and on the path in use. */
  get candidate(): Path | undefined {
    return this.#leader;
  }
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
function isFastEnough(path: Path, active: Path): boolean {
  if (path.burstMs === undefined || active.burstMs === undefined) return false;
  return path.burstMs <= BURST_FACTOR * active.burstMs + BURST_SLACK_MS;
}
