/**
 * Turns: connections are dealt out to workers in turn, whatever they are for. Where each sidecar comes with two of them, a link and a question,
 * one worker would get all the links: so a connection that is for nothing moves the turn on.
 */

import { toDialable } from '../../core/loopback.ts';
import type { Platform } from '../../core/platform.ts';

/** Links that a worker may have more than another before it counts as that. */
const TOLERATED = 1;
const FOR_NOTHING = {
  onData: () => undefined,
  onEnd: () => undefined,
  onDrain: () => undefined,
  onReset: () => undefined,
};

export class Turns {
  readonly #connectTcp: Platform['connectTcp'];
  /** By worker, as it told with its last link. */
  readonly #links = new Map<number, number>();

  constructor({ connectTcp }: Pick<Platform, 'connectTcp'>) {
    this.#connectTcp = connectTcp;
  }

  /** It has none yet. */
  enter(worker: number): void {
    this.#links.set(worker, 0);
  }

  forget(worker: number): void {
    this.#links.delete(worker);
  }

  /** `worker` has taken a link, and has so many now. @param address at which they listen, `host:port`; empty while it is not known */
  linked(worker: number, links: number, address: string): void {
    this.#links.set(worker, links);
    if (address !== '' && links > Math.min(...this.#links.values()) + TOLERATED) this.#moveOn(address);
  }

  #moveOn(address: string): void {
    const dialable = toDialable(address);
    const colon = dialable.lastIndexOf(':');
    const stream = this.#connectTcp?.({ host: dialable.slice(0, colon), port: Number(dialable.slice(colon + 1)) });
    stream?.attach(FOR_NOTHING);
    stream?.end();
  }
}
