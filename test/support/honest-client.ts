/** A client that asks all the time and wants nothing but its answer: what it sees is how others are while somebody is attacked. */
import { ask, percentiles } from './load.ts';

export interface HonestResult {
  readonly count: number;
  readonly failures: number;
  readonly errors: readonly string[];
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export class HonestClient {
  readonly #times: number[] = [];
  readonly #errors: string[] = [];
  readonly #run: Promise<void>;
  #isStopped = false;

  constructor(target: { readonly through: string; readonly host: string }) {
    this.#run = this.#askOn(target);
  }

  async stop(): Promise<HonestResult> {
    this.#isStopped = true;
    await this.#run;
    const errors = this.#errors;
    return {
      count: this.#times.length,
      failures: errors.length,
      errors: errors.slice(0, 5),
      ...percentiles(this.#times),
    };
  }

  async #askOn(target: { readonly through: string; readonly host: string }): Promise<void> {
    while (!this.#isStopped) {
      const started = performance.now();
      try {
        const { status, headers } = await ask(target);
        if (status !== 200) this.#errors.push(`status ${status} ${headers['x-skein-reason'] ?? ''}`);
        this.#times.push(performance.now() - started);
      } catch (error) {
        this.#errors.push(String(error));
      }
    }
  }
}
