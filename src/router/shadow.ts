/** Copies of requests that nobody waits for: sent once, their answers read and forgotten, within bounds of number, time and memory. */

import type { Bytes } from '../core/bytes.ts';
import type { Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { ReplySink, RequestBody } from '../http/handler.ts';
import type { Fields, RequestHead } from '../http/head.ts';
import { HeldBody } from '../http/held-body.ts';
import type { AttemptPlan } from './attempt-plan.ts';
import { Attempts, type AttemptsObserver, type AttemptsOptions } from './attempts.ts';
import type { Backend } from './backend.ts';
import type { Destination } from './destination.ts';
import type { FilterContext } from './filters/filter.ts';

export interface ShadowOptions {
  readonly attempts: AttemptsOptions;
  readonly plan: AttemptPlan;
  readonly filters: FilterContext;
}

const NEVER = Number.POSITIVE_INFINITY;
const NOBODY: AttemptsObserver = {
  onAttempt: () => undefined,
  onRetry: () => undefined,
  onWithheld: () => undefined,
};

export class Shadows {
  readonly #options: ShadowOptions;
  #count = 0;

  constructor(options: ShadowOptions) {
    this.#options = options;
  }

  /** @returns where the body's copy goes; undefined when there are too many already */
  send(destination: Destination, head: RequestHead, complete: boolean): RequestBody | undefined {
    const { backends, limits } = this.#options.attempts;
    if (this.#count >= limits.maxMirrored) return undefined;
    this.#count++;
    const shadow = new Shadow(this.#options, head, complete, () => {
      this.#count--;
    });
    const find = async (): Promise<Backend> => backends.find(destination);
    find().then(
      (backend) => shadow.start(backend),
      () => shadow.drop(),
    );
    return shadow;
  }
}

/** One copy: the body's way there, and where its answer ends. */
class Shadow implements RequestBody, ReplySink {
  readonly #options: ShadowOptions;
  readonly #head: RequestHead;
  readonly #complete: boolean;
  readonly #onOver: () => void;
  readonly #body = new HeldBody(this);
  readonly #timer: Timer;
  /** Bytes that came since there was no room. */
  #owedBytes = 0;
  #isOver = false;

  constructor(options: ShadowOptions, head: RequestHead, complete: boolean, onOver: () => void) {
    this.#options = options;
    this.#head = head;
    this.#complete = complete;
    this.#onOver = onOver;
    const { clock, limits } = options.attempts;
    this.#timer = clock.setTimer(limits.mirrorTimeoutMs, () => this.drop());
  }

  start(backend: Backend): void {
    if (this.#isOver) return;
    if (backend.size === 0) {
      this.drop();
      return;
    }
    const { attempts: options, filters, plan } = this.#options;
    const request = { backend, plan, head: this.#head, complete: this.#complete, reply: this, deadlineMs: NEVER };
    const attempts = new Attempts(options, NOBODY, filters, request);
    attempts.start();
    this.#body.release(attempts);
  }

  /** The copy has become a burden. */
  drop(): void {
    if (this.#isOver) return;
    this.#end();
    this.#body.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on with copy: it is dropped'));
  }

  write(chunk: Bytes): boolean {
    if (this.#isOver) return true;
    if (this.#body.write(chunk)) return true;
    this.#owedBytes += chunk.length;
    if (this.#owedBytes > this.#options.attempts.limits.replayBytes) this.drop();
    return true;
  }

  end(trailers: Fields): void {
    if (!this.#isOver) this.#body.end(trailers);
  }

  abort(): void {
    this.drop();
  }

  consumed(): void {
    // Nobody reads the answer.
  }

  onInformational(): void {
    // As above.
  }

  onHead(_head: unknown, complete: boolean): void {
    if (complete) this.#end();
  }

  onData(chunk: Bytes): void {
    this.#body.consumed(chunk.length);
  }

  onEnd(): void {
    this.#end();
  }

  onAbort(): void {
    this.#end();
  }

  onDrain(): void {
    this.#owedBytes = 0;
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer.cancel();
    this.#onOver();
  }
}
