/**
 * TCP hole punching: opens the way from a fresh port to reflectors, which say as what the NAT shows that port, and then dials
 * the peer from the same port, while the peer does the same (docs/protocol.md §10).
 */

import { parseReflection, REFLECTION_PATH } from '../../control/reflection.ts';
import type { NatKind } from '../../control/signal.ts';
import { type Clock, wait } from '../../core/clock.ts';
import { SkeinError, toSkeinError } from '../../core/errors.ts';
import { formatIpEndpoint, type IpEndpoint } from '../../core/ip.ts';
import type { DirectSockets, RawConnection } from '../../core/platform.ts';
import type { Random } from '../../core/random.ts';
import type { Probed } from './negotiation.ts';
import type { DirectLimits } from './options.ts';

/** One that tells from where it is asked: a hub, by its URL, or the listener of a member. */
export interface Reflector {
  readonly host: string;
  readonly port: number;
  /** As in a URL. */
  readonly authority: string;
  readonly isTls: boolean;
}

export interface PuncherOptions {
  readonly sockets: DirectSockets;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: DirectLimits;
}

/** Above the ports that systems and people give to services, below the last ephemeral one of Linux. */
const FIRST_PORT = 20_000;
const PORTS = 41_000;
/** A port may be taken. */
const PORT_TRIES = 5;
/** More say no more than whether a NAT maps all of them alike. */
const REFLECTORS_ASKED = 2;

/** `wss://hub.example.com/skein` → that host at 443. */
export function toReflector(url: string): Reflector {
  const { protocol, hostname, port, host } = new URL(url);
  const isTls = protocol === 'wss:';
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (isTls ? 443 : 80) : Number(port),
    authority: host,
    isTls,
  };
}

/** A port of this end with the ways from it that are open. */
export class Hole {
  readonly #options: PuncherOptions;
  readonly #stop = new AbortController();
  readonly #open: RawConnection[] = [];
  #port = 0;

  constructor(options: PuncherOptions) {
    this.#options = options;
  }

  /** The port; 0 before the first that was free. */
  get localPort(): number {
    return this.#port;
  }

  /**
   * Asks reflectors, the first of which must answer.
   * @throws SkeinError SKEIN_PEER_UNREACHABLE, SKEIN_CONFIG where this runtime has no say in the local port
   */
  async probe(reflectors: readonly Reflector[]): Promise<Probed> {
    const [first, ...others] = reflectors.slice(0, REFLECTORS_ASKED);
    if (first === undefined) {
      throw new SkeinError('SKEIN_PEER_UNREACHABLE', 'nobody can say from where this member is seen');
    }
    for (let attempt = 1; ; attempt++) {
      this.#port = FIRST_PORT + Math.floor(this.#options.random.ratio() * PORTS);
      const second = Promise.all(others.map((other) => this.#ask(other).catch(() => undefined)));
      try {
        const seen = await this.#ask(first);
        return { address: formatIpEndpoint(seen), nat: this.#classify(seen, await second) };
      } catch (thrown) {
        if (attempt >= PORT_TRIES || toSkeinError(thrown).details.systemCode !== 'EADDRINUSE') throw thrown;
        await second;
        this.#closeProbes();
      }
    }
  }

  /**
   * Dials `to` from the same port after `delayMs`, until `close`. What has opened the way stays until then as well.
   * @throws SkeinError SKEIN_PEER_UNREACHABLE at once when the other end refuses
   */
  async punch(to: IpEndpoint, delayMs: number): Promise<RawConnection> {
    const { sockets, clock } = this.#options;
    const { signal } = this.#stop;
    if (delayMs > 0) await wait(clock, delayMs, signal);
    signal.throwIfAborted();
    const dial = { host: to.ip, port: to.port, localPort: this.#port, signal };
    let connection: RawConnection;
    try {
      connection = await sockets.connect(dial);
    } catch (thrown) {
      const { systemCode } = toSkeinError(thrown).details;
      if (systemCode !== 'EADDRINUSE' && systemCode !== 'EADDRNOTAVAIL') throw thrown;
      // Some systems give a port to one connection only. NATs keep the mapping of a closed one for a while.
      this.#closeProbes();
      connection = await sockets.connect(dial);
    }
    if (signal.aborted) connection.close();
    signal.throwIfAborted();
    return connection;
  }

  close(): void {
    this.#stop.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on punching: the round is over'));
    this.#closeProbes();
  }

  #closeProbes(): void {
    for (const connection of this.#open.splice(0)) connection.close();
  }

  async #ask({ host, port, authority, isTls }: Reflector): Promise<IpEndpoint> {
    const { sockets, clock, limits } = this.#options;
    const late = new AbortController();
    const timer = clock.setTimer(limits.proofMs, () => {
      late.abort(new SkeinError('SKEIN_PEER_UNREACHABLE', `Cannot ask reflector ${authority}: no answer in time`));
    });
    const signal = AbortSignal.any([this.#stop.signal, late.signal]);
    let connection: RawConnection | undefined;
    const abort = (): void => connection?.close();
    try {
      connection = await sockets.connect({
        ...{ host, port, localPort: this.#port, signal },
        ...(isTls ? { serverName: host } : {}),
      });
      signal.addEventListener('abort', abort, { once: true });
      signal.throwIfAborted();
      if (connection.localPort !== this.#port) {
        throw new SkeinError('SKEIN_CONFIG', 'this runtime has no say in the local port of a connection');
      }
      const seen = parseReflection(await connection.get(authority, REFLECTION_PATH));
      if (seen === undefined || seen.port === 0) {
        throw new SkeinError('SKEIN_PEER_UNREACHABLE', `${authority} sees a proxy and not this member`);
      }
      this.#open.push(connection);
      return seen;
    } catch (thrown) {
      connection?.close();
      throw late.signal.aborted ? late.signal.reason : thrown;
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', abort);
    }
  }

  #classify(seen: IpEndpoint, others: readonly (IpEndpoint | undefined)[]): NatKind {
    const isOwn = this.#options.sockets.localAddresses().some(({ ip }) => ip === seen.ip);
    if (isOwn && seen.port === this.#port) return 'none';
    const known = others.filter((other) => other !== undefined);
    if (known.length === 0) return 'unknown';
    const isAlike = known.every(({ ip, port }) => ip === seen.ip && port === seen.port);
    return isAlike ? 'endpoint-independent' : 'endpoint-dependent';
  }
}
