/** Limits of the search for direct paths, each with its reason; a number appears here and nowhere else. */

import { SkeinError } from '../../core/errors.ts';
import { classifyIp, parseIpEndpoint } from '../../core/ip.ts';
import type { RateLimits } from '../../core/rates.ts';

/** How paths around the relays are found. */
export interface DirectOptions {
  /** `ip:port` under which others reach the listener, where that is not an address of this host: behind a forwarded port. */
  readonly advertise?: string | undefined;
  /** Label of the private network this member is in: members with the same one try each other's private addresses. */
  readonly network?: string | undefined;
  /** Limits that are not to be the defaults. */
  readonly limits?: Partial<DirectLimits> | undefined;
}

/** Limits of the search for direct paths: numbers from 0. */
export interface DirectLimits {
  /** Connections of one address to the listener: a handshake costs a microsecond-scale MAC, so this is about sockets. */
  readonly handshakes: RateLimits;
  /** Connections to the listener that have not shown yet whose they are. */
  readonly maxHalfOpen: number;
  /** Those that only asked for their address. */
  readonly maxAsking: number;
  /** Time for a connection to show whose it is, and for a reflector to answer. */
  readonly proofMs: number;
  /** Time that a connection is kept which asked for its address: a NAT forgets the way sooner when it is closed. */
  readonly askingMs: number;
  /** Offers of one peer in any minute: more would make this member dial at its command. */
  readonly offersPerMinute: number;
  /** Rounds of punching with it. */
  readonly roundsPerMinute: number;
  /** Sessions that search at once: each may have a dozen sockets open. */
  readonly maxSearches: number;
  /** Time for the hub and the host to say where this member is. */
  readonly prepareMs: number;
  /** Time for the peer to answer. */
  readonly answerMs: number;
  /** Time for one step of a round. */
  readonly stepMs: number;
  /** Who has told where it can be dialled gives the other so long before it dials by itself: two paths at once help nobody. */
  readonly yieldMs: number;
  /** Between two candidates of one peer (RFC 8305 §8 has 250 ms for the whole Internet). */
  readonly staggerMs: number;
  /** Time for all candidates. */
  readonly dialMs: number;
  /** How long they have before punching begins beside them. */
  readonly dialHeadStartMs: number;
  /** Time that a SYN waits for the one of the peer: Linux sends it again after 1 s and 3 s. */
  readonly punchMs: number;
  /** A crossed open is left alone so long while much is sent: BBR takes the round trip for a fraction of it for 10 s. */
  readonly settleMs: number;
  /** Wait after an attempt in vain, twice as long each time. */
  readonly retryMs: number;
  /** The longest. */
  readonly retryCapMs: number;
  /** A direct path that held so long was good: the next attempt is at once. */
  readonly healthyMs: number;
  /** How often it is looked whether this host has other addresses than before. */
  readonly addressCheckMs: number;
  /** A punched way is kept open in NATs that forget silent ones. */
  readonly pingAfterMs: number;
  /** Pairs of NATs for which it is remembered what worked. */
  readonly maxNatPairs: number;
}

export const DIRECT_LIMITS: DirectLimits = {
  handshakes: { perSecond: 20, burst: 20, maxKeys: 4_096 },
  maxHalfOpen: 256,
  maxAsking: 256,
  proofMs: 2_000,
  askingMs: 15_000,
  offersPerMinute: 3,
  roundsPerMinute: 3,
  maxSearches: 64,
  prepareMs: 3_000,
  answerMs: 8_000,
  stepMs: 6_000,
  yieldMs: 250,
  staggerMs: 100,
  dialMs: 2_500,
  dialHeadStartMs: 700,
  punchMs: 2_500,
  settleMs: 10_000,
  retryMs: 60_000,
  retryCapMs: 600_000,
  healthyMs: 60_000,
  addressCheckMs: 5_000,
  pingAfterMs: 5_000,
  maxNatPairs: 256,
};

/** @throws SkeinError SKEIN_CONFIG, RangeError on a limit that is no positive number */
export function checkDirectOptions({ advertise, network, limits = {} }: DirectOptions): void {
  if (advertise !== undefined) {
    const endpoint = parseIpEndpoint(advertise);
    const kind = classifyIp(endpoint?.ip ?? '');
    if (endpoint === undefined || kind === 'forbidden' || kind === 'loopback') {
      throw new SkeinError(
        'SKEIN_CONFIG',
        `Cannot advertise "${advertise}": expected ip:port, such as 203.0.113.7:7443`,
      );
    }
  }
  if (network !== undefined && !/^[\x21-\x7e]{1,64}$/.test(network)) {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot use network label: expected 1 to 64 printable characters');
  }
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(DIRECT_LIMITS, name)) throw new RangeError(`Cannot use direct limit "${name}": unknown name`);
    const numbers: unknown[] = typeof value === 'object' ? Object.values(value) : [value];
    if (!numbers.every((number) => Number.isFinite(number) && (number as number) >= 0)) {
      throw new RangeError(`Cannot use direct limit "${name}": not a positive number`);
    }
  }
}
