/** `Crew`: processes of this program that do the same work. One that ends is replaced, after a wait that grows; the others go on. */

import { Backoff } from './backoff.ts';
import { type Clock, wait } from './clock.ts';
import { type Answers, Conversation } from './conversation.ts';
import { SkeinError, toSkeinError } from './errors.ts';
import type { Logger } from './log.ts';
import type { StartWorker, WorkerProcess } from './process.ts';
import type { Random } from './random.ts';

export interface CrewOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly workers: number;
  readonly startWorker: StartWorker;
  /** What a worker is told at its start. The first is 0. */
  readonly startOf: (worker: number) => unknown;
  /** What that worker may ask. */
  readonly answersTo: (worker: number) => Answers;
  /** One has been refused for good, or none can start. */
  readonly onRefused: (error: SkeinError) => void;
  /** One has ended. */
  readonly onEnded?: (worker: number) => void;
}

/** What a worker gives whoever has started it in its process. */
export interface StartedWorker {
  /** Told to the supervisor. */
  readonly ready: unknown;
  /** `drain`, `close` and `closed` among them: the last one is answered when it is so, or with why. */
  readonly answers: Answers;
}

/** One that has lived so long begins anew with short waits. */
const STEADY_MS = 30_000;
/** For a worker that has nothing more to do to end. */
const EXIT_MS = 2_000;

/** The place of a worker, whichever process has it. */
export interface CrewMember {
  readonly worker: number;
  /** 0 while there is no process. */
  readonly pid: number;
  /** How often a process has been started for it. */
  readonly starts: number;
  /** What it told when it was ready; undefined while it is not. */
  readonly ready: unknown;
  /** @throws SkeinError what it says, or that it has ended */
  ask(what: string, query?: unknown): Promise<unknown>;
}

class Place implements CrewMember {
  readonly worker: number;
  readonly backoff: Backoff;
  child: WorkerProcess | undefined;
  conversation: Conversation | undefined;
  ready: unknown;
  starts = 0;

  constructor(worker: number, backoff: Backoff) {
    this.worker = worker;
    this.backoff = backoff;
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  async ask(what: string, query?: unknown): Promise<unknown> {
    if (this.conversation === undefined) throw workerGone();
    return this.conversation.ask(what, query);
  }
}

export class Crew {
  readonly #options: CrewOptions;
  readonly #places: readonly Place[];
  readonly #ending = new AbortController();
  readonly #running: Promise<void>[] = [];
  #isComplete = false;

  constructor(options: CrewOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.workers }, (_, i) => new Place(i, new Backoff(options.random)));
  }

  get members(): readonly CrewMember[] {
    return this.#places;
  }

  /** Those that are ready. */
  get ready(): readonly CrewMember[] {
    return this.#places.filter(({ ready }) => ready !== undefined);
  }

  /**
   * Asks all that are ready. One that ends meanwhile is left out.
   * @throws SkeinError when none answers, what the first one says
   */
  async askAll(what: string, query?: unknown): Promise<readonly (readonly [member: CrewMember, answer: unknown])[]> {
    const asked = this.ready.map(async (member) => [member, await member.ask(what, query)] as const);
    const settled = await Promise.allSettled(asked);
    const answers = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    if (answers.length > 0) return answers;
    const [first] = settled;
    throw first?.status === 'rejected' ? first.reason : workerGone();
  }

  /**
   * The first one alone, then all others. Resolves when all have been ready.
   * @returns what the first one told
   * @throws SkeinError what one of them says
   */
  async start(): Promise<unknown> {
    const [first, ...others] = this.#places;
    const ready = first === undefined ? undefined : await this.#begin(first);
    await Promise.all(others.map((place) => this.#begin(place)));
    this.#isComplete = true;
    return ready;
  }

  /** Asks each to end so, by `drain` or `close`. Resolves when every process has ended; nobody takes its place. */
  async stop(how: string): Promise<void> {
    this.#ending.abort();
    await Promise.all(
      this.#places.map(async (place) => {
        const { child } = place;
        if (child === undefined) return;
        // Who is still starting has nothing to finish.
        if (place.ready !== undefined) await place.ask(how).catch(() => undefined);
        place.ask('exit').catch(() => undefined);
        await Promise.race([child.ended, wait(this.#options.clock, EXIT_MS)]);
        child.kill('SIGKILL');
      }),
    );
    await Promise.all(this.#running);
  }

  /** Fills a place for good. Resolves when it is ready for the first time. */
  #begin(place: Place): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#running.push(this.#keep(place, resolve, reject));
    });
  }

  async #keep(place: Place, onReady: (ready: unknown) => void, onRefused: (error: SkeinError) => void): Promise<void> {
    const { clock, log, onEnded } = this.#options;
    const { signal } = this.#ending;
    const { worker } = place;
    for (;;) {
      await wait(clock, place.backoff.nextMs(), signal).catch(() => undefined); // it is to end
      if (signal.aborted) break;
      const startedMs = clock.monotonicMs();
      const { child, ended } = this.#open(place);
      await this.#bringUp(place, onReady, onRefused);
      const end = await ended;
      onEnded?.(worker);
      if (signal.aborted) break;
      if (clock.monotonicMs() - startedMs >= STEADY_MS) place.backoff.reset();
      log.log('error', 'worker-ended', { worker, pid: child.pid, end });
    }
    onRefused(workerGone());
  }

  /** Resolves when it is ready, or will not be. */
  async #bringUp(
    place: Place,
    onReady: (ready: unknown) => void,
    onRefused: (error: SkeinError) => void,
  ): Promise<void> {
    const { log, startOf } = this.#options;
    const { worker, conversation } = place;
    try {
      const ready = await place.ask('start', startOf(worker));
      if (place.conversation !== conversation) return;
      place.ready = ready ?? null;
      onReady(place.ready);
    } catch (thrown) {
      if (place.conversation !== conversation) return; // it has ended without a word
      const error = toSkeinError(thrown);
      place.ask('exit').catch(() => undefined);
      if (!this.#isComplete) onRefused(error);
      else log.log('error', 'worker-not-started', { worker, error: error.message });
      if (this.ready.length === 0) this.#options.onRefused(error);
      return;
    }
    place.ask('closed').catch((thrown) => {
      if (place.conversation === conversation) this.#options.onRefused(toSkeinError(thrown));
    });
  }

  #open(place: Place): { child: WorkerProcess; ended: Promise<number | string> } {
    const { startWorker, answersTo, log } = this.#options;
    const { worker } = place;
    const child = startWorker((message) => conversation.receive(message));
    const conversation = new Conversation((message) => child.send(message), answersTo(worker));
    place.child = child;
    place.conversation = conversation;
    place.starts++;
    log.log('info', 'worker-started', { worker, pid: child.pid });
    const ended = child.ended.then((how) => {
      place.child = undefined;
      place.conversation = undefined;
      place.ready = undefined;
      conversation.close(workerGone());
      return how;
    });
    return { child, ended };
  }
}

export function workerGone(): SkeinError {
  return new SkeinError('SKEIN_INTERNAL', 'Cannot ask worker: it has ended', { status: 503 });
}
