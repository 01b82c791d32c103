/** Dials the places a peer may be at, each a little after the one before; the first that proves to lead there ends the others. */

import type { Clock, Timer } from '../../core/clock.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { formatIpEndpoint, type IpEndpoint } from '../../core/ip.ts';
import type { DirectSockets, MessagePipe } from '../../core/platform.ts';
import type { DirectLimits } from './options.ts';

export interface DialOptions {
  readonly sockets: DirectSockets;
  readonly clock: Clock;
  readonly limits: DirectLimits;
  readonly places: readonly IpEndpoint[];
  readonly ticket: string;
  readonly delayMs: number;
  /** The peer has taken the ticket at `place`. Called once at most. */
  readonly onPipe: (pipe: MessagePipe, place: IpEndpoint) => void;
  /** No place led anywhere. Not called after `onPipe` or `stop`. */
  readonly onOver: (reason: string) => void;
}

export class Dial {
  readonly #options: DialOptions;
  readonly #stop = new AbortController();
  readonly #timers: Timer[];
  readonly #reasons: string[] = [];
  #left: number;

  constructor(options: DialOptions) {
    const { clock, limits, places, delayMs } = options;
    this.#options = options;
    this.#left = places.length;
    this.#timers = places.map((place, index) =>
      clock.setTimer(delayMs + index * limits.staggerMs, () => {
        this.#try(place).catch((thrown) => this.#note(place, thrown));
      }),
    );
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#stop.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on with dial: it is not needed any more'));
  }

  async #try(place: IpEndpoint): Promise<void> {
    const { sockets, clock, limits, ticket, onPipe } = this.#options;
    // From the first SYN to the answer of the upgrade: a stranger at that address holds no connection for longer.
    const late = new AbortController();
    const timer = clock.setTimer(limits.proofMs, () => {
      late.abort(new SkeinError('SKEIN_PEER_UNREACHABLE', 'Cannot use place: no answer in time'));
    });
    const signal = AbortSignal.any([this.#stop.signal, late.signal]);
    try {
      const connection = await sockets.connect({ host: place.ip, port: place.port, signal });
      const abort = (): void => connection.close();
      signal.addEventListener('abort', abort, { once: true });
      try {
        signal.throwIfAborted();
        const pipe = await connection.upgrade(ticket);
        signal.throwIfAborted();
        signal.removeEventListener('abort', abort);
        this.stop();
        onPipe(pipe, place);
      } catch (thrown) {
        connection.close();
        throw signal.aborted ? signal.reason : thrown;
      } finally {
        signal.removeEventListener('abort', abort);
      }
    } finally {
      timer.cancel();
    }
  }

  #note(place: IpEndpoint, thrown: unknown): void {
    this.#reasons.push(`${formatIpEndpoint(place)}: ${toSkeinError(thrown).message}`);
    if (--this.#left === 0 && !this.#stop.signal.aborted) this.#options.onOver(this.#reasons.join('; '));
  }
}
