/** A sidecar: an agent with the application it exposes and the local ports that lead into the mesh; its start and its end. */

import { type Agent, createAgent } from '../agent/agent.ts';
import { ALL_PARTS } from '../agent/all-parts.ts';
import { raceSignal } from '../core/abort.ts';
import { toBase64Url } from '../core/bytes.ts';
import { type Clock, wait } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { type Logger, SILENT_LOGGER } from '../core/log.ts';
import { isLoopbackAddress } from '../core/loopback.ts';
import type { FileLock, ListenAddress, Listener, Platform } from '../core/platform.ts';
import { Redacted } from '../core/redacted.ts';
import { TunnelObserver } from '../telemetry/observe.ts';
import { Metrics } from '../telemetry/prometheus.ts';
import { logAccess } from './access.ts';
import { createAdminApp } from './admin.ts';
import { type AdminSources, createAdminSources } from './admin-sources.ts';
import { Capture } from './capture.ts';
import { Connections } from './connections.ts';
import { ExposedApp } from './exposed-app.ts';
import { claimFolder } from './identity-folder.ts';
import { listenForService } from './local-listeners.ts';
import { openDns } from './open-dns.ts';
import { type ResolvedSidecarOptions, resolveSidecarOptions, type SidecarOptions } from './options.ts';
import { listenProxy } from './proxy-listener.ts';
import type { SidecarState } from './status.ts';

/** A running sidecar. */
export interface Sidecar {
  /** The own SPIFFE id. */
  readonly id: string;
  /** This process, as others find it in the catalogue. */
  readonly instance: string;
  /** `http` → `http://127.0.0.1:8080`, `tcp:db` → `127.0.0.1:5432`, `admin` → `http://127.0.0.1:9000` */
  readonly addresses: Readonly<Record<string, string>>;
  /** Bearer token of the admin port. */
  readonly adminToken: Redacted<string>;
  /** Resolves when the sidecar has ended, with the error if a hub has refused it for good. */
  readonly closed: Promise<SkeinError | undefined>;
  /** Leaves in order: others choose it no more, what was begun is finished within `drainMs`, then all is closed. */
  drain(): Promise<void>;
  /** Ends all at once. Idempotent. */
  close(): void;
}

/** With a stored identity the hub is waited for so long; it may be away, and what is known keeps working. */
const HUB_PATIENCE_MS = 2_000;
const ADMIN_TOKEN_BYTES = 32;

/**
 * Starts a sidecar. Resolves when it listens and a hub has taken it, or when it has an identity and no hub answers.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_IDENTITY,
 *   SKEIN_NAME_NOT_GRANTED, SKEIN_STORE; the reason of `signal`
 */
export function createSidecar(platform: Platform, options: SidecarOptions): Promise<Sidecar> {
  return createKnownSidecar(platform, options);
}

/** A sidecar of whom the same can be asked without an admin port. */
export interface KnownSidecar extends Sidecar {
  /** To be called once, and not where there is an admin port. */
  know(): AdminSources;
}

/** As `createSidecar`. */
export async function createKnownSidecar(platform: Platform, options: SidecarOptions): Promise<KnownSidecar> {
  const { signal } = options;
  const resolved = resolveSidecarOptions(options);
  signal?.throwIfAborted();
  const lock = await claimData(platform, resolved);
  const metrics = new Metrics();
  const agent = await createAgent(platform, resolved.agent, {
    ...ALL_PARTS,
    observer: new TunnelObserver(metrics),
  }).catch(async (thrown) => {
    await lock?.release();
    throw thrown;
  });
  const sidecar = new RunningSidecar(platform, resolved, { agent, metrics, lock });
  try {
    await raceSignal(sidecar.start(), signal);
  } catch (thrown) {
    sidecar.close();
    await sidecar.closed;
    throw thrown;
  }
  return sidecar;
}

async function claimData({ files }: Platform, options: ResolvedSidecarOptions): Promise<FileLock | undefined> {
  const { data, log = SILENT_LOGGER } = options.agent;
  if (data === undefined || files === undefined || options.sharesData) return undefined;
  return claimFolder(files, data, log);
}

/** What a sidecar is made of before it starts. */
interface Parts {
  readonly agent: Agent;
  readonly metrics: Metrics;
  /** On the folder of its identity. */
  readonly lock: FileLock | undefined;
}

class RunningSidecar implements KnownSidecar {
  readonly addresses: Record<string, string> = {};
  readonly adminToken: Redacted<string>;
  readonly closed: Promise<SkeinError | undefined>;
  readonly #platform: Platform;
  readonly #options: ResolvedSidecarOptions;
  readonly #agent: Agent;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #lock: FileLock | undefined;
  readonly #connections: Connections;
  readonly #capture: Capture;
  readonly #apps: readonly ExposedApp[];
  readonly #startedAtMs: number;
  /** Local ports of applications; the admin port stays until the end. */
  readonly #listeners: Listener[] = [];
  #admin: Listener | undefined;
  #direct: Listener | undefined;
  #state: SidecarState = 'starting';
  #drained: Promise<void> | undefined;
  #resolveClosed: (error: SkeinError | undefined) => void = () => undefined;

  constructor(platform: Platform, options: ResolvedSidecarOptions, { agent, metrics, lock }: Parts) {
    const { clock, decodeLatin1, connectTcp } = platform;
    this.#platform = platform;
    this.#options = options;
    this.#agent = agent;
    this.#clock = clock;
    this.#log = options.agent.log ?? SILENT_LOGGER;
    this.#metrics = metrics;
    this.#lock = lock;
    this.adminToken = options.adminToken ?? new Redacted(toBase64Url(platform.random.bytes(ADMIN_TOKEN_BYTES)));
    this.#connections = new Connections({ clock, decodeLatin1 });
    this.#capture = new Capture({ agent, connections: this.#connections, log: this.#log });
    this.#startedAtMs = clock.epochMs();
    if (options.accessLog !== undefined) logAccess(agent, options.accessLog, clock);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#apps = options.expose.map((exposed) => {
      if (connectTcp === undefined) throw cannot(platform, 'dial TCP');
      return new ExposedApp({ platform, connectTcp, exposed, log: this.#log });
    });
  }

  get id(): string {
    return this.#agent.id.uri;
  }

  get instance(): string {
    return this.#agent.instance;
  }

  async start(): Promise<void> {
    // Ports first: a join token works once, and must not be spent on a sidecar that then cannot listen.
    await this.#listen();
    this.#checkTargets();
    await Promise.all(this.#apps.map((app) => app.start(this.#agent)));
    for (const { service } of this.#options.tcp) this.#agent.watch(service);
    if (this.#state !== 'starting') return;
    const joined = this.#agent.start();
    this.#agent.refused.catch((thrown) => this.#end(toSkeinError(thrown)));
    const patience = this.#agent.identity.isMember ? [wait(this.#clock, HUB_PATIENCE_MS)] : [];
    await Promise.race([joined, ...patience]);
    if (this.#state !== 'starting') return;
    this.#state = 'ready';
    const { id, addresses } = this;
    this.#log.log('info', 'sidecar-ready', { id, instance: this.instance, hub: this.#agent.hub, addresses });
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  close(): void {
    this.#end(undefined);
  }

  know(): AdminSources {
    const { name: runtime } = this.#platform;
    return createAdminSources({
      ...{ agent: this.#agent, apps: this.#apps, connections: this.#connections, addresses: this.addresses },
      ...{ clock: this.#clock, runtime, metrics: this.#metrics, startedAtMs: this.#startedAtMs },
      state: () => this.#state,
    });
  }

  async #drain(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'draining';
    this.#log.log('info', 'sidecar-draining', {
      streams: this.#agent.liveStreams,
      connections: this.#connections.size,
    });
    const { drainMs } = this.#options;
    const endMs = this.#clock.monotonicMs() + drainMs;
    const left = (): number => Math.max(0, endMs - this.#clock.monotonicMs());
    for (const app of this.#apps) app.stopProbing();
    await this.#agent.leave();
    // Who is being answered may call others for it: local ports stay until that is done, or half of the time is over.
    await this.#agent.served(drainMs / 2);
    for (const listener of this.#listeners) await listener.close();
    const finished = Promise.all([this.#connections.drain(), this.#agent.finish(left())]);
    await Promise.race([finished, wait(this.#clock, left())]);
    this.#end(undefined);
    await this.closed;
  }

  #end(error: SkeinError | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    if (error !== undefined) {
      this.#log.log('error', 'sidecar-refused', { reason: error.reason, error: error.message });
    }
    const leaving = new SkeinError('SKEIN_DRAINING', 'Cannot go on: this sidecar has left');
    for (const listener of [...this.#listeners, this.#admin, this.#direct]) listener?.close().catch(() => undefined);
    this.#connections.close(leaving);
    this.#agent.close();
    for (const app of this.#apps) app.close();
    this.#log.log('info', 'sidecar-closed');
    void this.#agent.identity
      .close()
      .then(() => this.#lock?.release())
      .catch((thrown) => this.#log.log('warn', 'identity-folder-not-released', { error: toSkeinError(thrown).message }))
      .then(() => this.#resolveClosed(error));
  }

  async #listen(): Promise<void> {
    const { http, tcp, dns, admin } = this.#options;
    if (http !== undefined || tcp.length > 0) await this.#listenLocally();
    if (dns !== undefined) await this.#listenDns(dns);
    if (admin !== undefined) await this.#listenAdmin(admin);
    await this.#listenDirect();
  }

  async #listenLocally(): Promise<void> {
    const { http, tcp } = this.#options;
    const { listenTcp } = this.#platform;
    if (listenTcp === undefined) throw cannot(this.#platform, 'listen');
    const shared = { listenTcp, capture: this.#capture, connections: this.#connections };
    if (http !== undefined) {
      const listener = await this.#keep(listenProxy({ ...shared, address: http, names: this.#agent.names }));
      this.addresses.http = `http://${listener.address}`;
    }
    for (const listen of tcp) {
      const listener = await this.#keep(listenForService({ ...shared, listen }));
      this.addresses[`tcp:${listen.name}`] = listener.address;
    }
  }

  async #listenDns(address: ListenAddress): Promise<void> {
    const [agent, capture, connections, log] = [this.#agent, this.#capture, this.#connections, this.#log];
    const listener = await this.#keep(openDns({ platform: this.#platform, agent, capture, connections, log, address }));
    this.addresses.dns = listener.address;
  }

  /** The sidecar may have been told to stop while a port was being opened. */
  async #keep(listening: Promise<Listener>): Promise<Listener> {
    const listener = await listening;
    if (this.#state === 'closed') await listener.close();
    else this.#listeners.push(listener);
    if (!isLoopbackAddress(listener.address)) {
      this.#log.log('warn', 'listener-not-local', {
        address: listener.address,
        risk: 'whoever reaches it acts in the name of this sidecar',
      });
    }
    return listener;
  }

  async #listenAdmin(address: ListenAddress): Promise<void> {
    const { listenHttp, crypto } = this.#platform;
    if (listenHttp === undefined) throw cannot(this.#platform, 'listen');
    const { fetch } = createAdminApp({
      ...this.know(),
      ...{ token: this.adminToken, crypto, log: this.#log },
      isReady: () => this.#state === 'ready',
    });
    const listener = await listenHttp({ ...address, fetch });
    this.addresses.admin = `http://${listener.address}`;
    this.#admin = listener;
    if (this.#state === 'closed') await listener.close();
  }

  /** Peers that look for a way around the relay; what they say first shows whether they are. */
  async #listenDirect(): Promise<void> {
    const { direct } = this.#options;
    const { directSockets } = this.#platform;
    if (direct === undefined) return;
    if (directSockets === undefined) {
      if (direct.isAsked) throw cannot(this.#platform, 'listen for direct paths');
      return;
    }
    const listener = await directSockets.listen(direct.listen, (connection) => this.#agent.direct.enter(connection));
    if (this.#state === 'closed') return listener.close();
    this.#direct = listener;
    this.#agent.direct.listensAt(listener.address.replace(/:\d+$/, ''), listener.port);
    if (direct.isAsked) this.addresses.direct = listener.address;
  }

  /** A service whose target is the proxy would send every request round and round. */
  #checkTargets(): void {
    const own = new Set(this.#listeners.map(({ address }) => address));
    for (const { exposed } of this.#apps) {
      const { host, port } = exposed.target;
      if (!own.has(`${host === 'localhost' ? '127.0.0.1' : host}:${port}`)) continue;
      throw new SkeinError(
        'SKEIN_CONFIG',
        `Cannot expose "${exposed.service}": its target ${host}:${port} is this sidecar's own listener`,
      );
    }
  }
}

function cannot({ name }: Platform, what: string): SkeinError {
  return new SkeinError('SKEIN_CONFIG', `Cannot start sidecar: ${name} cannot ${what}`);
}
