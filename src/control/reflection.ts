/**
 * Reflection: a hub, or a member with an open listener, tells whoever asks from which address it is seen. Asked by a plain
 * `GET` on the connection in question; the answer is shorter than the question, and needs no state but a rate.
 */

import type { Clock } from '../core/clock.ts';
import { formatIpEndpoint, type IpEndpoint, parseIpEndpoint, readRemoteIp, toOrigin } from '../core/ip.ts';
import { type RateLimits, Rates } from '../core/rates.ts';

export const REFLECTION_PATH = '/.well-known/skein-reflection';

/** An address may be that of a NAT with many members behind it; the table of addresses takes about 1 MiB when it is full. */
export const REFLECTION_LIMITS: RateLimits = { perSecond: 20, burst: 40, maxKeys: 8_192 };

/** The answer of one that sees nothing but a proxy. */
const HIDDEN = 'hidden';

export class Reflections {
  readonly #clock: Clock;
  readonly #rates: Rates;

  constructor(clock: Clock, limits: RateLimits = REFLECTION_LIMITS) {
    this.#clock = clock;
    this.#rates = new Rates(limits);
  }

  /** The body of the answer; undefined when that address asks too often. */
  answer(remoteAddress: string, isProxied = false): string | undefined {
    const seen = parseIpEndpoint(remoteAddress);
    if (!this.#rates.take(toOrigin(readRemoteIp(remoteAddress) ?? ''), this.#clock.monotonicMs())) return undefined;
    return seen === undefined || isProxied ? HIDDEN : formatIpEndpoint(seen);
  }
}

/** The address in an answer; undefined when it holds none. */
export function parseReflection(body: string): IpEndpoint | undefined {
  return parseIpEndpoint(body);
}
