/** Connections on which no request has come yet: since when they are there, how many of one address, and which has to go when they are too many. */

import { isLoopbackAddress } from '../../core/loopback.ts';

export interface SilentLimits {
  /** In all; one more costs the oldest its place, which had the most time to say something. */
  readonly maxSilent: number;
  /** Of one address, loopback aside; one more is closed as it comes. */
  readonly maxSilentPerAddress: number;
}

/** What is used of a socket. */
interface Connection {
  readonly remoteAddress?: string | undefined;
  destroy(): unknown;
  once(event: 'close', run: () => void): unknown;
}

export class SilentSockets {
  readonly #limits: SilentLimits;
  /** With the time they came at, the oldest first. */
  readonly #since = new Map<Connection, number>();
  readonly #byAddress = new Map<string, number>();

  constructor(limits: SilentLimits) {
    this.#limits = limits;
  }

  /** @param nowMs monotonic */
  enter(socket: Connection, nowMs: number): void {
    const address = socket.remoteAddress ?? '';
    const count = (this.#byAddress.get(address) ?? 0) + 1;
    if (count > this.#limits.maxSilentPerAddress && !isLoopbackAddress(address)) {
      socket.destroy();
      return;
    }
    this.#byAddress.set(address, count);
    this.#since.set(socket, nowMs);
    socket.once('close', () => this.leave(socket, address));
    if (this.#since.size > this.#limits.maxSilent) this.#since.keys().next().value?.destroy();
  }

  /** It has said something whole, or is gone. @returns since when it was silent, undefined when it was not any more */
  leave(socket: Connection, address: string = socket.remoteAddress ?? ''): number | undefined {
    const sinceMs = this.#since.get(socket);
    if (sinceMs === undefined) return undefined;
    this.#since.delete(socket);
    const left = (this.#byAddress.get(address) ?? 1) - 1;
    if (left > 0) this.#byAddress.set(address, left);
    else this.#byAddress.delete(address);
    return sinceMs;
  }

  destroyAll(): void {
    for (const socket of [...this.#since.keys()]) socket.destroy();
  }
}
