/** Hubs and members on a virtual clock and a network in memory: hours pass in milliseconds, and the same way each time. */
import type { TestContext } from 'node:test';
import { type Agent, type AgentParts, createAgent } from '../../src/agent/agent.ts';
import type { AgentOptions } from '../../src/agent/options.ts';
import type { LocalService } from '../../src/agent/services.ts';
import { type Clock, wait } from '../../src/core/clock.ts';
import { SkeinError } from '../../src/core/errors.ts';
import type {
  DialOptions,
  Files,
  HttpServerOptions,
  Listener,
  MessagePipe,
  Platform,
} from '../../src/core/platform.ts';
import type { RequestHead } from '../../src/http/head.ts';
import { createHub, type Hub } from '../../src/hub/hub.ts';
import type { HubOptions, HubParts } from '../../src/hub/options.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { MemoryLink } from '../../src/testing/memory-pipe.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { folder } from './folder.ts';
import { type ReplyRecorder, send } from './http.ts';
import { EventLog } from './local-mesh.ts';
import { SharedStore, type StoreLine } from './shared-store.ts';
import { withRemoteAddress } from './virtual-internet.ts';

/** Long enough for anything that is not waiting for a timer of hours. */
const PATIENCE_MS = 120_000;

/** Time after which a dial that nobody answers fails, as that of the runtime does. */
const DIAL_TIMEOUT_MS = 10_000;

/** Dials by URL to whoever listens there. */
export class MemoryNetwork {
  /** Times of all dials, in virtual milliseconds, with where to. */
  readonly dials: { readonly url: string; readonly atMs: number }[] = [];
  readonly links: MemoryLink[] = [];
  /** Hosts that are another one by a second name. */
  readonly aliases = new Map<string, string>();
  /** One-way delay of links made from now on. */
  latencyMs = 0;
  readonly #clock: VirtualClock;
  readonly #servers = new Map<string, HttpServerOptions>();
  readonly #linksTo = new Map<string, MemoryLink[]>();
  readonly #linksFrom = new Map<string, MemoryLink[]>();
  readonly #silent = new Set<string>();
  /** Hosts that stand still, and who waits at their doors. */
  readonly #frozen = new Map<string, (() => void)[]>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
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
    if (this.#silent.has(host)) await wait(this.#clock, DIAL_TIMEOUT_MS, signal);
    await this.#thawed(host, signal);
    const server = this.#servers.get(host);
    if (this.#silent.has(host)) throw unreachable(url, 'no answer in time', {});
    if (server?.onWebSocket === undefined) throw unreachable(url, 'nobody listens', { systemCode: 'ECONNREFUSED' });
    const field = (name: string): string | undefined => (name === 'host' ? host : undefined);
    const refusal = server.admitWebSocket?.({ remoteAddress: from, isProxied: false, field });
    if (refusal !== undefined) {
      const { status: httpStatus, retryAfterSeconds = 0 } = refusal;
      throw unreachable(url, 'not now', { httpStatus, retryAfterMs: retryAfterSeconds * 1000 });
    }
    const link = new MemoryLink(this.#clock, { latencyMs: this.latencyMs });
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

export class VirtualMesh {
  readonly clock = new VirtualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly platform: Platform;
  readonly log = new EventLog();
  readonly #t: Pick<TestContext, 'after' | 'diagnostic'>;
  #hub: Hub | undefined;
  /** That of hubs that share one. */
  readonly store = new SharedStore();
  #folder: string | undefined;
  /** Hubs that share it, by their URL, each with its way there. */
  readonly #shared = new Map<string, { readonly hub: Hub; readonly line: StoreLine }>();

  constructor(t: Pick<TestContext, 'after' | 'diagnostic'>, random = new SeededRandom()) {
    this.#t = t;
    t.after(trackWebCrypto(this.clock));
    t.diagnostic(`seed ${random.seed}`);
    const base = nodePlatform();
    this.platform = {
      ...base,
      clock: this.clock,
      random,
      dialWebSocket: this.network.dial,
      files: trackFiles(base.files as Files, this.clock),
      listenHttp: this.network.listen,
      directSockets: undefined,
    };
  }

  get hub(): Hub {
    return this.#hub as Hub;
  }

  async startHub(options: HubOptions = {}, port = 7000, clock: Clock = this.clock, parts: HubParts = {}): Promise<Hub> {
    const listen = { host: '10.0.0.1', port };
    const hub = await this.run(createHub({ ...this.platform, clock }, { listen, log: this.log, ...options }, parts));
    this.#hub ??= hub;
    this.#t.after(() => this.run(hub.close()));
    return hub;
  }

  /** One of several hubs that share a store and an issuer. */
  async startShared(port: number, options: HubOptions = {}, clock?: Clock, parts?: HubParts): Promise<Hub> {
    const line = this.store.connect();
    const hub = await this.startHub({ store: line, dataFolder: this.#sharedFolder, ...options }, port, clock, parts);
    this.#shared.set(hub.url, { hub, line });
    return hub;
  }

  /** A hub is killed as by a signal that it cannot take: it says nothing to anybody, nor to the store. */
  kill(url: string): void {
    const killed = this.#shared.get(url);
    killed?.line.cut();
    this.network.kill(url);
    killed?.hub.close().catch(() => undefined); // nobody hears of it; it takes no more time
  }

  get #sharedFolder(): string {
    this.#folder ??= folder(this.#t);
    return this.#folder;
  }

  async token(...services: readonly string[]): Promise<string> {
    return (await this.run(this.hub.createJoinToken({ services }))).text;
  }

  /** Asks the admin API of a hub. @param path behind `/v1/`; without a body, with GET */
  async admin(path: string, { body }: { readonly body?: object } = {}, hub = this.hub) {
    const method = body === undefined ? 'GET' : 'POST';
    const request = new Request(`http://${hub.address}/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${hub.adminToken.reveal()}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const response = await this.run(this.network.request(request));
    return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
  }

  /** An agent that has not started. */
  async createAgent(
    options: Partial<AgentOptions> = {},
    platform: Platform = this.platform,
    parts: AgentParts = {},
  ): Promise<{ agent: Agent; log: EventLog }> {
    const log = new EventLog();
    const agent = await this.run(
      createAgent(platform, { hub: 'ws://10.0.0.1:7000', log, direct: false, ...options }, parts),
    );
    this.#t.after(() => agent.close());
    return { agent, log };
  }

  /** A member that may serve `services`. */
  async join(
    services: readonly string[],
    options: Partial<AgentOptions> = {},
  ): Promise<{ agent: Agent; log: EventLog }> {
    const made = await this.createAgent({ token: options.token ?? (await this.token(...services)), ...options });
    await this.run(made.agent.start());
    return made;
  }

  async serve(agent: Agent, service: string, target: LocalService['target']): Promise<void> {
    await this.run(agent.serve({ service, port: 80, labels: {}, target }).registered);
  }

  /** A request of `agent`; resolves when it is answered, or has failed. */
  async ask(agent: Agent, parts: Partial<RequestHead> = {}): Promise<ReplyRecorder> {
    const reply = send(agent.outbound, parts);
    await this.run(reply.done);
    return reply;
  }

  /** Lets as much time pass as `work` needs. One at a time: the clock is for all. */
  async run<T>(work: Promise<T>, limitMs = PATIENCE_MS): Promise<T> {
    let isOver = false;
    const end = (): void => {
      isOver = true;
    };
    work.then(end, end);
    const isDone = await this.#comesAbout(() => isOver, limitMs);
    if (!isDone) throw new Error(`not done after ${limitMs} ms`);
    return work;
  }

  /** Lets time pass until `done`. */
  async until(done: () => boolean, limitMs = PATIENCE_MS): Promise<void> {
    if (!(await this.#comesAbout(done, limitMs))) throw new Error(`it did not come about in ${limitMs} ms`);
  }

  async #comesAbout(done: () => boolean, limitMs: number): Promise<boolean> {
    if (await this.clock.advanceUntil(done, limitMs)) return true;
    // Deno gives chains of promises few turns where few timers fire: what needs no more time may need more of those.
    for (let turn = 0; turn < 64 && !done(); turn++) await this.clock.settle();
    return done();
  }
}

const METHODS = [
  'decrypt',
  'deriveKey',
  'digest',
  'encrypt',
  'exportKey',
  'generateKey',
  'importKey',
  'sign',
  'verify',
] as const;

/** WebCrypto works on other threads: time stands still until it has answered. Returns what undoes that. */
function trackWebCrypto(clock: VirtualClock): () => void {
  const { subtle } = crypto;
  for (const name of METHODS) {
    const original = subtle[name].bind(subtle) as (...args: unknown[]) => Promise<unknown>;
    const tracked = (...args: unknown[]): Promise<unknown> => clock.track(original(...args));
    Object.defineProperty(subtle, name, { value: tracked, configurable: true, writable: true });
  }
  return () => {
    for (const name of METHODS) Reflect.deleteProperty(subtle, name);
  };
}

function trackFiles(files: Files, clock: VirtualClock): Files {
  return {
    read: (path) => clock.track(files.read(path)),
    replace: (path, content, mode) => clock.track(files.replace(path, content, mode)),
    openAppend: async (path) => {
      const file = await clock.track(files.openAppend(path));
      return {
        get sizeBytes() {
          return file.sizeBytes;
        },
        append: (bytes) => clock.track(file.append(bytes)),
        truncate: (sizeBytes) => clock.track(file.truncate(sizeBytes)),
        close: () => clock.track(file.close()),
      };
    },
    remove: (path) => clock.track(files.remove(path)),
    makeFolder: (path) => clock.track(files.makeFolder(path)),
    lock: async (path) => {
      const lock = await clock.track(files.lock(path));
      return { release: () => clock.track(lock.release()) };
    },
  };
}
