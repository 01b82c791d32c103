/** Links that have not authenticated yet: how many there are, in all and of one address, so that nobody alone keeps the rest out. */

import { classifyIp, parseIpEndpoint, toOrigin } from '../core/ip.ts';
import type { HubLimits } from './options.ts';
import { Shares } from './shares.ts';

export class HalfOpen {
  readonly #limits: Pick<HubLimits, 'maxHalfOpen' | 'maxHalfOpenPerAddress'>;
  readonly #byOrigin: Shares;
  #size = 0;

  constructor(limits: Pick<HubLimits, 'maxHalfOpen' | 'maxHalfOpenPerAddress'>) {
    this.#limits = limits;
    this.#byOrigin = new Shares(limits.maxHalfOpenPerAddress);
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.#limits.maxHalfOpen;
  }

  /** Counts a link of `remoteAddress` (`host:port`); undefined when that address has its share. Call what it returns once, at the end of the handshake. */
  enter(remoteAddress: string | undefined): (() => void) | undefined {
    const ip = parseIpEndpoint(remoteAddress ?? '')?.ip ?? '';
    const origin = toOrigin(ip);
    // A proxy on this machine speaks for everybody.
    if (!this.#byOrigin.has(origin) && classifyIp(ip) !== 'loopback') return undefined;
    const giveBack = this.#byOrigin.take(origin);
    this.#size++;
    return () => {
      this.#size--;
      giveBack();
    };
  }
}
