/** Active health of the local application: it is asked, because that a sidecar is connected says nothing about what it serves. */

import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Platform } from '../core/platform.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { H1Client } from '../http/h1-client.ts';
import { H2Client } from '../http/h2-client.ts';
import type { TargetOptions } from './options.ts';

export interface ProberOptions {
  readonly connectTcp: NonNullable<Platform['connectTcp']>;
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  readonly target: TargetOptions;
  /** Asked with GET; undefined: that a connection stands is enough. */
  readonly path: string | undefined;
  readonly intervalMs: number;
  /** Called with each change, and at the start when the application is not well. */
  readonly onChange: (isHealthy: boolean, reason: string) => void;
}

/** Failures in a row that make an application unhealthy; one success makes it healthy again. */
const FAILURES = 2;
const TIMEOUT_MS = 2_000;
/** An application that is down is asked more often, so that it is found soon after it starts. */
const RECOVERY_INTERVAL_MS = 1_000;

export class Prober {
  readonly #options: ProberOptions;
  #isHealthy = true;
  #failures = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /** Asks once, and then again and again. Resolves after the first answer, which counts by itself. */
  async start(): Promise<void> {
    const reason = await this.#probe();
    if (reason !== undefined) {
      this.#failures = FAILURES;
      this.#isHealthy = false;
      this.#options.onChange(false, reason);
    }
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#isStopped) return;
    const { clock, intervalMs } = this.#options;
    const delayMs = this.#isHealthy ? intervalMs : Math.min(intervalMs, RECOVERY_INTERVAL_MS);
    this.#timer = clock.setTimer(delayMs, () => {
      this.#probe().then((reason) => {
        this.#note(reason);
        this.#schedule();
      }, this.#schedule);
    });
  }

  #note(reason: string | undefined): void {
    if (this.#isStopped) return;
    this.#failures = reason === undefined ? 0 : this.#failures + 1;
    const isHealthy = this.#isHealthy ? this.#failures < FAILURES : reason === undefined;
    if (isHealthy === this.#isHealthy) return;
    this.#isHealthy = isHealthy;
    this.#options.onChange(isHealthy, reason ?? 'it answers');
  }

  /** Undefined when the application is well, else why not. */
  #probe(): Promise<string | undefined> {
    const { clock, path } = this.#options;
    return new Promise((resolve) => {
      const finish = (reason: string | undefined): void => {
        timer.cancel();
        stop();
        resolve(reason);
      };
      const timer = clock.setTimer(TIMEOUT_MS, () => finish(`no answer within ${TIMEOUT_MS} ms`));
      const stop = path === undefined ? this.#tryConnection(finish) : this.#askPath(path, finish);
    });
  }

  /** The connection is ended in peace: a reset is an error to a server, and some do not expect one. */
  #tryConnection(finish: (reason: string | undefined) => void): () => void {
    const { connectTcp, clock, target } = this.#options;
    let isConnected = false;
    let linger: Timer | undefined;
    const stream = connectTcp({ ...target, timeoutMs: TIMEOUT_MS }, () => {
      isConnected = true;
      finish(undefined);
    });
    stream.attach({
      onData: (chunk) => stream.consumed(chunk.length),
      onEnd: () => linger?.cancel(),
      onDrain: () => undefined,
      onReset: (error) => {
        linger?.cancel();
        finish(error.message);
      },
    });
    return () => {
      if (!isConnected) {
        stream.reset(probed());
        return;
      }
      stream.end();
      linger = clock.setTimer(TIMEOUT_MS, () => stream.reset(probed()));
    };
  }

  #askPath(path: string, finish: (reason: string | undefined) => void): () => void {
    const { clock, connectTcp, target, decodeLatin1 } = this.#options;
    const stream = connectTcp({ ...target, timeoutMs: TIMEOUT_MS });
    const options = { clock, decodeLatin1 };
    const client = target.protocol === 'h2c' ? new H2Client(stream, options) : new H1Client(stream, options);
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    let verdict: string | undefined;
    const body = client.request(
      {
        method: 'GET',
        scheme: 'http',
        authority: `${host}:${target.port}`,
        path,
        fields: ['user-agent', 'skein-probe'],
        upgrade: undefined,
        service: '',
      },
      true,
      {
        onInformational: () => undefined,
        onHead: ({ status }, complete) => {
          verdict = status >= 200 && status < 400 ? undefined : `GET ${path} answers ${status}`;
          if (complete) finish(verdict);
        },
        onData: (chunk) => body.consumed(chunk.length),
        onEnd: () => finish(verdict),
        onAbort: (error) => finish(error.message),
        onDrain: () => undefined,
      },
    );
    return () => {
      // Nothing where the answer is whole.
      body.abort(probed());
      // The connection becomes idle behind the answer that is being told now.
      queueMicrotask(() => client.close());
    };
  }
}

function probed(): SkeinError {
  return new SkeinError('SKEIN_CANCELLED', 'Cannot go on with probe: it is over');
}
