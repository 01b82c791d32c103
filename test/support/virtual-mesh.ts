/** Hubs and members on a virtual clock and a network in memory: hours pass in milliseconds, and the same way each time. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { ALL_PARTS } from '../../src/agent/all-parts.ts';
import type { AgentOptions } from '../../src/agent/options.ts';
import type { AgentParts } from '../../src/agent/parts.ts';
import type { LocalService } from '../../src/agent/services.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Files, Platform } from '../../src/core/platform.ts';
import type { RequestHead } from '../../src/http/head.ts';
import { createHub, type Hub } from '../../src/hub/hub.ts';
import type { HubOptions, HubParts } from '../../src/hub/options.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { MemoryNetwork } from '../../src/testing/memory-network.ts';
import { NetworkConditions } from '../../src/testing/network-conditions.ts';
import { Pace } from '../../src/testing/pace.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { SharedStore, type StoreLine } from '../../src/testing/shared-store.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { trackWebCrypto } from '../../src/testing/web-crypto.ts';
import { EventLog } from './event-log.ts';
import { folder } from './folder.ts';
import { type ReplyRecorder, send } from './http.ts';

/** Long enough for anything that is not waiting for a timer of hours. */
const PATIENCE_MS = 120_000;

export class VirtualMesh {
  readonly clock = new VirtualClock({ host: nodePlatform().clock });
  readonly conditions: NetworkConditions;
  readonly network: MemoryNetwork;
  readonly platform: Platform;
  readonly log = new EventLog();
  readonly #t: Pick<TestContext, 'after' | 'diagnostic'>;
  readonly #pace = new Pace(this.clock, PATIENCE_MS);
  #hub: Hub | undefined;
  /** That of hubs that share one. */
  readonly store = new SharedStore();
  /** Of hubs that share a store, by port: each has its own, with the issuer of the first. */
  readonly #folders = new Map<number, string>();
  /** Hubs that share it, by their URL, each with its way there. */
  readonly #shared = new Map<string, { readonly hub: Hub; readonly line: StoreLine }>();

  constructor(t: Pick<TestContext, 'after' | 'diagnostic'>, random = new SeededRandom()) {
    this.#t = t;
    this.conditions = new NetworkConditions(this.clock, random.fork());
    this.network = new MemoryNetwork(this.clock, this.conditions);
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
    const hub = await this.startHub({ store: line, dataFolder: this.#folderOf(port), ...options }, port, clock, parts);
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

  #folderOf(port: number): string {
    const known = this.#folders.get(port);
    if (known !== undefined) return known;
    const made = folder(this.#t);
    const [first] = this.#folders.values();
    if (first !== undefined) copyFileSync(join(first, 'issuer.json'), join(made, 'issuer.json'));
    this.#folders.set(port, made);
    return made;
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
      createAgent(platform, { hub: 'ws://10.0.0.1:7000', log, direct: false, ...options }, { ...ALL_PARTS, ...parts }),
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

  /** Lets as much time pass as `work` needs. */
  run<T>(work: Promise<T>, limitMs?: number): Promise<T> {
    return this.#pace.run(work, limitMs);
  }

  /** Lets time pass until `done`. */
  until(done: () => boolean, limitMs?: number): Promise<void> {
    return this.#pace.until(done, limitMs);
  }
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
