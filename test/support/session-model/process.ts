/** One process of the model: a clock and sockets that stand still while it is frozen, and for ever once it has crashed. */

import type { Clock, Timer } from '../../../src/core/clock.ts';
import type { VirtualClock } from '../../../src/testing/virtual-clock.ts';

/** What an event loop runs one after the other when it comes back: timers, then sockets, then `setImmediate`. */
const PHASES = ['timer', 'socket', 'immediate'] as const;
type Phase = (typeof PHASES)[number];

export class ModelProcess implements Clock {
  readonly #clock: VirtualClock;
  readonly #held: Record<Phase, (() => void)[]> = { timer: [], socket: [], immediate: [] };
  #state: 'running' | 'frozen' | 'dead' = 'running';
  #liveTimers = 0;
  /** Monotonic time at which it last came back from standing still. */
  thawedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  /** Timers that were set and have neither fired nor been cancelled. */
  get liveTimers(): number {
    return this.#liveTimers;
  }

  epochMs(): number {
    return this.#clock.epochMs();
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  endOfTick(run: () => void): void {
    this.#clock.endOfTick(() => this.#enter('immediate', run));
  }

  setTimer(delayMs: number, run: () => void): Timer {
    let isLive = true;
    const end = (): void => {
      if (!isLive) return;
      isLive = false;
      this.#liveTimers--;
      timer.cancel();
    };
    const fire = (): void => {
      if (!isLive) return;
      end();
      run();
    };
    this.#liveTimers++;
    const timer = this.#clock.setTimer(delayMs, () => this.#enter('timer', fire));
    return { cancel: end };
  }

  /** Runs what came on a socket, now or when the process reads again. */
  onSocket(run: () => void): void {
    this.#enter('socket', run);
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    this.thawedMs = this.monotonicMs();
    for (const phase of PHASES) for (const run of this.#held[phase].splice(0)) run();
  }

  crash(): void {
    this.#state = 'dead';
    for (const phase of PHASES) this.#held[phase].length = 0;
  }

  #enter(phase: Phase, run: () => void): void {
    if (this.#state === 'running') run();
    else if (this.#state === 'frozen') this.#held[phase].push(run);
  }
}
