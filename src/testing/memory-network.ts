/** Hubs of a network in memory: who listens at which address, who dials there, and what befalls either. */

import { type Clock, wait } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { DialOptions, HttpServerOptions, Listener, MessagePipe } from '../core/platform.ts';
import type { MemoryLink } from './memory-pipe.ts';
import { hostOf, type NetworkConditions } from './network-conditions.ts';
import { withRemoteAddress } from './virtual-internet.ts';

/** Time after which a dial that nobody answers fails, as that of the runtime does. */
const DIAL_TIMEOUT_MS = 10_000;
/** After a SYN that got lost, until the next one: Linux doubles its 1 s; the last wait ends at the timeout. */
const RESENT_MS = [1_000, 2_000, 4_000, 3_000];

/** Dials by URL to whoever listens there. */
export class MemoryNetwork {
  /** Times of all dials, in virtual milliseconds, with where to. */
  readonly dials: { readonly url: string; readonly atMs: number }[] = [];
  readonly links: MemoryLink[] = [];
  /** Hosts that are another one by a second name. */
  readonly aliases = new Map<string, string>();
  /** One-way delay of links made from now on, beside what their hosts add. */
  latencyMs = 0;
  readonly #clock: Clock;
  readonly #conditions: NetworkConditions;
  readonly #servers = new Map<string, HttpServerOptions>();
  readonly #linksTo = new Map<string, MemoryLink[]>();
  readonly #linksFrom = new Map<string, MemoryLink[]>();
  readonly #silent = new Set<string>();
  /** Hosts that stand still, and who waits at their doors. */
  readonly #frozen = new Map<string, (() => void)[]>();

  constructor(clock: Clock, conditions: NetworkConditions) {
    this.#clock = clock;
    this.#conditions = conditions;
  }

  readonly listen = async (options: HttpServerOptions): Promise<Listener> => {
    const address = `${options.host}:${options.port}`;
    this.#servers.set(address, options);
    const close = async (): Promise<void> => {
      if (this.#servers.get(address) === options) this.#servers.delete(address);
    };
    return { address, port: options.port, close };
  };

  readonly dial = (url: string, options: DialOptions = {}): Promise<MessagePipe> => this.dialFrom('', url, options);

  /** Asks the HTTP side of whoever listens at `host:port`. */
  async ask(at: string, path: string, remoteAddress: string): Promise<string | undefined> {
    const reply = await this.#servers
      .get(at)
      ?.fetch(new Request(`http://${at}${path}`), { remoteAddress, isProxied: false });
    return reply?.status === 200 ? reply.text() : undefined;
  }

  /** Any request to whoever listens at the host of its URL. */
  async request(request: Request): Promise<Response> {
    const { host } = new URL(request.url);
    const server = this.#servers.get(host);
    if (server === undefined) throw unreachable(request.url, 'nobody listens', {});
    return server.fetch(request, { remoteAddress: '10.0.0.99:1', isProxied: false });
  }

  /** @param from `ip:port` that the other end sees; empty: none */
  async dialFrom(from: string, url: string, { signal }: DialOptions = {}): Promise<MessagePipe> {
    this.dials.push({ url, atMs: this.#clock.monotonicMs() });
    const named = new URL(url).host;
    const host = this.aliases.get(named) ?? named;
    const ends = [hostOf(from), hostOf(host)] as const;
    this.#conditions.trace('dial', ...ends);
    await this.#arrives(url, ends, signal);
    if (this.#silent.has(host)) await wait(this.#clock, DIAL_TIMEOUT_MS, signal);
    await this.#thawed(host, signal);
    const server = this.#servers.get(host);
    if (this.#silent.has(host)) throw unreachable(url, 'no answer in time', {});
    if (server?.onWebSocket === undefined) throw unreachable(url, 'nobody listens', { systemCode: 'ECONNREFUSED' });
    const field = (name: string): string | undefined => (name === 'host' ? host : undefined);
    const refusal = await server.admitWebSocket?.({ remoteAddress: from, isProxied: false, field });
    if (refusal !== undefined) {
      const { status: httpStatus, retryAfterSeconds = 0 } = refusal;
      throw unreachable(url, 'not now', { httpStatus, retryAfterMs: retryAfterSeconds * 1000 });
    }
    if (this.#servers.get(host) !== server) throw unreachable(url, 'it has gone', { systemCode: 'ECONNRESET' });
    const link = this.#conditions.connect(...ends, this.latencyMs);
    this.links.push(link);
    this.#linksTo.set(host, [...(this.#linksTo.get(host) ?? []), link]);
    this.#linksFrom.set(from, [...(this.#linksFrom.get(from) ?? []), link]);
    server.onWebSocket(from === '' ? link.b : withRemoteAddress(link.b, from));
    return link.a;
  }

  /** The machine at `url` ends: its links are lost, and nobody listens there. */
  kill(url: string): void {
    this.#servers.delete(new URL(url).host);
    this.cut(url);
  }

  /** All links to `url` are lost. */
  cut(url: string): void {
    for (const link of this.#linksTo.get(new URL(url).host) ?? []) link.cut();
  }

  /** Nobody gets to `url` any more; links that stand are left alone. */
  refuse(url: string): void {
    this.#servers.delete(new URL(url).host);
  }

  /** What is sent to `url` is lost from now on, and so is what it sends; nobody is told. */
  silence(url: string): void {
    const { host } = new URL(url);
    this.#silent.add(host);
    for (const link of this.#linksTo.get(host) ?? []) link.blackhole();
  }

  /** The NAT at `from` forgets the links that were dialled there: what is sent on them is lost, and nobody is told. */
  forget(from: string): void {
    for (const link of this.#linksFrom.get(from) ?? []) link.blackhole();
  }

  /** The process at `url` stands still: its kernel takes what is sent to it, and connections. */
  freeze(url: string): void {
    const { host } = new URL(url);
    this.#frozen.set(host, []);
    for (const link of this.#linksTo.get(host) ?? []) link.stall(link.b);
  }

  thaw(url: string): void {
    const { host } = new URL(url);
    const waiting = this.#frozen.get(host) ?? [];
    this.#frozen.delete(host);
    for (const link of this.#linksTo.get(host) ?? []) link.resume(link.b);
    for (const goOn of waiting) goOn();
  }

  /** A SYN is there, and its answer back; it is sent again until the dial has taken too long. */
  async #arrives(url: string, ends: readonly [string, string], signal: AbortSignal | undefined): Promise<void> {
    for (const waitMs of RESENT_MS) {
      const rttMs = 2 * this.#conditions.latencyMs(...ends);
      if (this.#conditions.passes(...ends)) {
        if (rttMs > 0) await wait(this.#clock, rttMs, signal);
        return;
      }
      await wait(this.#clock, waitMs, signal);
    }
    throw unreachable(url, 'no answer in time', {});
  }

  #thawed(host: string, signal: AbortSignal | undefined): Promise<void> | undefined {
    const waiting = this.#frozen.get(host);
    if (waiting === undefined) return undefined;
    return new Promise((resolve, reject) => {
      const fail = (): void =>
        reject(signal?.reason ?? new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot reach hub: no answer'));
      waiting.push(resolve);
      signal?.addEventListener('abort', fail, { once: true });
      this.#clock.setTimer(DIAL_TIMEOUT_MS, fail);
    });
  }

  /** Dials to `url` are answered again; its links stay as dead as they are. */
  unsilence(url: string): void {
    this.#silent.delete(new URL(url).host);
  }
}

/** As the dial of a runtime fails. */
function unreachable(url: string, state: string, details: object): SkeinError {
  return new SkeinError('SKEIN_HUB_UNREACHABLE', `Cannot reach hub "${url}": ${state}`, { details: { ...details } });
}
