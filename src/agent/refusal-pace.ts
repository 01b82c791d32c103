/**
 * How fast one identity is refused. Who asks again and again for what it may not have waits for each answer, and so for room for further
 * streams: a flood takes the time of whoever makes it, and not that of others who call the same instance.
 */

import type { Clock, Timer } from '../core/clock.ts';
import { Rates } from '../core/rates.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { HttpHandler, RequestBody } from '../http/handler.ts';
import { NO_BODY } from '../http/refusal.ts';
import type { AgentLimits } from './options.ts';

/** Most that one waits: the streams it may have, all refused within that time, are no flood any more. */
const MAX_WAIT_MS = 1_000;
/** Those whose turn comes within so long are refused together: a record for each would cost more than the refusals. */
const TOGETHER_MS = 50;
const MAX_IDENTITIES = 10_000;

export class RefusalPace {
  readonly #clock: Clock;
  readonly #rates: Rates;

  constructor(clock: Clock, { refusalsPerSecond, refusalsBurst }: AgentLimits) {
    this.#clock = clock;
    this.#rates = new Rates({ perSecond: refusalsPerSecond, burst: refusalsBurst, maxKeys: MAX_IDENTITIES });
  }

  /** Was `caller` refused of late? */
  isRefused({ uri }: SpiffeId): boolean {
    return this.#rates.isUsed(uri, this.#clock.monotonicMs());
  }

  /** Calls `refuse`: at once, or when it is the turn of `caller`. @returns what calls it off, if it waits */
  refuse(caller: SpiffeId, refuse: () => void): Timer | undefined {
    const nowMs = this.#clock.monotonicMs();
    const waitMs = this.#rates.spend(caller.uri, nowMs, MAX_WAIT_MS);
    if (waitMs > 0) {
      const turnMs = Math.ceil((nowMs + waitMs) / TOGETHER_MS) * TOGETHER_MS;
      return this.#clock.setTimer(turnMs - nowMs, refuse);
    }
    refuse();
    return undefined;
  }

  /** `refusal`, which answers what it is asked without a look at the body, at the pace of `caller`. */
  of(caller: SpiffeId, refusal: HttpHandler): HttpHandler {
    return {
      request: (head, complete, reply) => {
        let body: RequestBody = NO_BODY;
        const timer = this.refuse(caller, () => {
          body = refusal.request(head, complete, reply);
        });
        if (timer === undefined) return body;
        return {
          ...NO_BODY,
          abort: (error) => {
            timer.cancel();
            body.abort(error);
          },
        };
      },
    };
  }
}
