/** Links that have not authenticated yet: how many there are, in all and of one address, so that nobody alone keeps the rest out. */

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
    const origin = toOrigin(remoteAddress ?? '');
    if (!this.#byOrigin.has(origin) && !isLoopback(origin)) return undefined;
    const giveBack = this.#byOrigin.take(origin);
    this.#size++;
    return () => {
      this.#size--;
      giveBack();
    };
  }
}

/** An IPv4 address, or the 64 bits of an IPv6 address that one subscriber has whole. */
function toOrigin(remoteAddress: string): string {
  const host = remoteAddress.replace(/:\d+$/, '');
  if (!host.startsWith('[')) return host;
  const [head = '', tail = ''] = host.slice(1, -1).split('::', 2);
  const front = head.split(':').filter((group) => group !== '');
  const back = tail.split(':').filter((group) => group !== '');
  const zeros = new Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0');
  const groups = host.includes('::') ? [...front, ...zeros, ...back] : front;
  if (groups.slice(0, 7).every((group) => group === '0')) return host; // ::1
  return groups.slice(0, 4).join(':');
}

/** A proxy on this machine speaks for everybody. */
function isLoopback(origin: string): boolean {
  return origin === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(origin);
}
