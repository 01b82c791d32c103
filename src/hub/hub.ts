/** `createHub`: the parts of a hub put together, from its start to its end. */

import { createHubAuthenticator } from '../auth/authenticator.ts';
import { PERMISSIVE_POLICY, STARTER_POLICY } from '../catalog/authorization-policy.ts';
import { Reflections } from '../control/reflection.ts';
import { wait } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { createId } from '../core/id.ts';
import { type Logger, SILENT_LOGGER } from '../core/log.ts';
import type { Listener, MessagePipe, Platform, UpgradeRefusal, UpgradeRequest } from '../core/platform.ts';
import { jitter } from '../core/random.ts';
import type { Redacted } from '../core/redacted.ts';
import { TunnelObserver } from '../telemetry/observe.ts';
import { Metrics } from '../telemetry/prometheus.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import { Admin } from './admin.ts';
import { claimAnchor, readAnchor } from './anchor.ts';
import { createApp, refuseUpgrade } from './app.ts';
import { Audit } from './audit.ts';
import type { CallServices } from './calls.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { type CreatedToken, Enrolment, type TokenRequest } from './enroll.ts';
import { HalfOpen } from './half-open.ts';
import { HubIssuer } from './issuer.ts';
import { Leases } from './leases.ts';
import { defineHubMetrics, type LinkCounts } from './metrics.ts';
import { HUB_LIMITS, HUB_ROLES, type HubLimits, type HubOptions, type HubParts } from './options.ts';
import { PlatformTrust } from './platform-trust.ts';
import { Presence } from './presence.ts';
import { Publisher } from './publisher.ts';
import { Quotas } from './quotas.ts';
import { Refusals } from './refusals.ts';
import { Registrations } from './registrations.ts';
import { Relay } from './relay.ts';
import { Rendezvous } from './rendezvous.ts';
import { type Applied, Resources } from './resources.ts';
import { RevocationBoard } from './revocations.ts';
import { Sealer } from './sealer.ts';
import { type HubState, openState } from './state.ts';
import { StatusBoard } from './status-board.ts';
import { Sweep } from './sweep.ts';

/** Sidecars told to go come back after about this long, in milliseconds. */
const RECONNECT_MS = 1000;

/** A running hub. */
export interface Hub {
  /** Bound address, `host:port`. */
  readonly address: string;
  /** What sidecars dial: `ws://…` or the `url` of the options. */
  readonly url: string;
  readonly trustDomain: string;
  readonly adminToken: Redacted<string>;
  readonly metrics: Metrics;
  /** A single-use join token. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_REFUSED, SKEIN_STORE */
  createJoinToken(request: TokenRequest): Promise<CreatedToken>;
  /** Applies manifests as `skein apply` does. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_STORE */
  apply(manifests: readonly unknown[]): Promise<readonly Applied[]>;
  /** Sends sidecars elsewhere, waits until they have gone or `drainMs` has passed, and closes. */
  drain(): Promise<void>;
  /** Ends at once; what was answered is on disk. Idempotent. */
  close(): Promise<void>;
}

/** @throws SkeinError SKEIN_CONFIG, SKEIN_STORE */
export async function createHub(platform: Platform, options: HubOptions = {}, parts: HubParts = {}): Promise<Hub> {
  const log = options.log ?? SILENT_LOGGER;
  const state = await openState(platform, options, log);
  try {
    return await RunningHub.start(platform, { ...options, ...parts }, log, state);
  } catch (thrown) {
    await state.store.close();
    throw thrown;
  }
}

type Given = HubOptions & HubParts;

class RunningHub implements Hub {
  readonly trustDomain: string;
  readonly adminToken: Redacted<string>;
  readonly metrics = new Metrics();
  readonly #platform: Platform;
  readonly #options: Given;
  readonly #limits: HubLimits;
  readonly #log: Logger;
  readonly #state: HubState;
  readonly #issuer: HubIssuer;
  readonly #enrolment: Enrolment;
  readonly #publisher: Publisher;
  readonly #leases: Leases;
  readonly #registrations: Registrations;
  readonly #resources: Resources;
  readonly #revocations: RevocationBoard;
  readonly #sweep: Sweep;
  readonly #presence = new Presence();
  readonly #relay: Relay;
  readonly #admin: Admin;
  readonly #connections = new Set<Connection>();
  readonly #links: LinkCounts;
  readonly #connectionOptions: Omit<ConnectionOptions, 'onSettled' | 'onClose'>;
  readonly #refusals: Refusals;
  #listener: Listener | undefined;
  /** Set while draining. */
  #onEmpty: () => void = () => undefined;
  #closing: Promise<void> | undefined;
  #life: 'starting' | 'ready' | 'draining' | 'closed' = 'starting';

  private constructor(platform: Platform, options: Given, log: Logger, state: HubState, issuer: HubIssuer) {
    const limits: HubLimits = { ...HUB_LIMITS, ...options.limits };
    const { clock, random, crypto } = platform;
    const { sha256 } = crypto;
    const { store, epoch } = state;
    const { trustDomain } = issuer;
    this.#platform = platform;
    this.#options = options;
    this.#limits = limits;
    this.#refusals = new Refusals(log, clock, limits.refusalsLogged);
    this.#links = { accepted: 0, halfOpen: new HalfOpen(limits), refused: this.#refusals.counts };
    this.#log = log;
    this.#state = state;
    this.#issuer = issuer;
    this.trustDomain = trustDomain;
    this.adminToken = state.adminToken;
    const check = (peer: PeerIdentity): void => this.#revocations.known.check(peer);
    this.#revocations = new RevocationBoard({
      ...{ store, clock, log, trustDomain },
      withdrawTokens: (id) => this.#enrolment.withdraw(id),
      onChange: () => {
        for (const connection of [...this.#connections]) connection.reconsider();
      },
    });
    issuer.onBundle = () => {
      for (const connection of this.#connections) connection.push('bundle', { bundle: issuer.bundle() });
    };
    const board = new StatusBoard(clock);
    const { createPublisher = (made) => new Publisher(made) } = options;
    this.#publisher = createPublisher({
      clock,
      sha256,
      epoch,
      onStep: (snapshot, keys) => board.follow(snapshot, keys),
      debounceMs: limits.debounceMs,
      asOf: () => (store.isShared ? { revision: store.revision, isCurrent: this.#leases.isCurrent } : undefined),
    });
    const own = String(epoch);
    this.#leases = new Leases({
      store,
      clock,
      log,
      limits: limits.lease,
      own,
      onChange: (hub, isLive) => this.#registrations.onHub(hub, isLive),
    });
    this.#registrations = new Registrations({
      ...{ publisher: this.#publisher, store, clock, random, log, own, absence: limits.absence },
      isLive: (hub) => this.#leases.isLive(hub),
    });
    const sealer = new Sealer({
      ...{ store, clock, log, sha256, issuer, publisher: this.#publisher, reseal: options.reseal ?? false },
      isCurrent: () => !store.isShared || this.#leases.isCurrent,
    });
    this.#resources = new Resources({ store, publisher: this.#publisher, clock, log, limits, sealer });
    this.#relay = new Relay({ clock, log, limits });
    this.#enrolment = new Enrolment({
      ...{ store, clock, random, crypto, log, trustDomain, limits, check },
      issuerThumbprint: issuer.thumbprint,
      platforms: new PlatformTrust({
        ...{ platform, store, log, trustDomain, trusted: options.trust ?? [], maxTokens: limits.maxTokens },
      }),
    });
    this.#sweep = new Sweep(clock, log, [() => this.#enrolment.sweep(), () => this.#revocations.sweep()]);
    const instance = createId();
    const quotas = new Quotas(clock, limits);
    const roles = options.roles ?? HUB_ROLES;
    const services: CallServices = {
      roles: new Set(roles),
      issuer,
      presence: this.#presence,
      registrations: this.#registrations,
      revocations: this.#revocations,
      relay: this.#relay,
      rendezvous: new Rendezvous(random),
      quotas,
      clock,
      limits,
    };
    this.#admin = new Admin({
      clock,
      enrolment: this.#enrolment,
      resources: this.#resources,
      board,
      presence: this.#presence,
      publisher: this.#publisher,
      registrations: this.#registrations,
      revocations: this.#revocations,
      leases: this.#leases,
      relay: this.#relay,
      keys: issuer.keys,
      about: {
        instance,
        trustDomain,
        region: options.region ?? '',
        roles,
        runtime: platform.name,
        startedAtMs: clock.epochMs(),
      },
    });
    this.#connectionOptions = {
      ...services,
      platform,
      log,
      trustDomain,
      instance,
      staticKey: crypto.createX25519(),
      authenticator: createHubAuthenticator({
        credential: () => issuer.credential(),
        bundle: () => issuer.bundle(),
        trustDomain,
        clock,
        check,
        admit: async (presented, publicJwk) => {
          // Before the token is used up: the newcomer may take it to another hub.
          if (!services.roles.has('issuer')) {
            throw new SkeinError('SKEIN_REFUSED', 'Cannot enrol: this hub does not play "issuer"');
          }
          return this.#enrolment.admit(presented, publicJwk);
        },
      }),
      observer: new TunnelObserver(this.metrics),
      publisher: this.#publisher,
    };
    defineHubMetrics(this.metrics, {
      runtime: platform.name,
      presence: this.#presence,
      publisher: this.#publisher,
      relay: this.#relay,
      issuer,
      enrolment: this.#enrolment,
      links: this.#links,
      quotas,
      leases: this.#leases,
      registrations: this.#registrations,
      store,
      storeBytes: state.storeBytes,
    });
  }

  static async start(platform: Platform, options: Given, log: Logger, state: HubState): Promise<RunningHub> {
    const { store, issuerFile } = state;
    const anchor = await readAnchor(store);
    const issuer = await HubIssuer.open({
      platform,
      log,
      trustDomain: options.trustDomain,
      stateFile: issuerFile,
      ...{ anchor, store, limits: { ...HUB_LIMITS, ...options.limits } },
    });
    const { trustDomain, thumbprint } = issuer;
    await claimAnchor(store, { thumbprint, trustDomain, url: plannedUrl(options), file: issuerFile ?? '' });
    await issuer.start();
    const hub = new RunningHub(platform, options, log, state, issuer);
    try {
      await hub.#load();
      await hub.#listen();
    } catch (thrown) {
      hub.#stop();
      throw thrown;
    }
    return hub;
  }

  get address(): string {
    return this.#listener?.address ?? '';
  }

  get url(): string {
    return this.#options.url ?? `ws://${this.address.replace(/^(?:0\.0\.0\.0|\[::\])(?=:)/, '127.0.0.1')}`;
  }

  createJoinToken(request: TokenRequest): Promise<CreatedToken> {
    return this.#enrolment.createToken(request);
  }

  async apply(manifests: readonly unknown[]): Promise<readonly Applied[]> {
    return (await this.#resources.apply(manifests)).results;
  }

  async drain(): Promise<void> {
    if (this.#life !== 'ready') return this.close();
    this.#life = 'draining';
    this.#log.log('info', 'hub-draining', { sidecars: this.#presence.size });
    const { clock, random } = this.#platform;
    await this.#listener?.close();
    for (const connection of this.#connections) {
      connection.push('goaway', { reconnectInMs: Math.round(jitter(random, RECONNECT_MS, 0.5)) });
    }
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(this.#limits.drainMs, resolve);
      this.#onEmpty = () => {
        timer.cancel();
        resolve();
      };
      if (this.#connections.size === 0) this.#onEmpty();
    });
    await this.close();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#life = 'closed';
    await this.#listener?.close();
    for (const connection of [...this.#connections]) connection.leave();
    await this.#handOver();
    this.#stop();
    await this.#state.store.close();
    this.#log.log('info', 'hub-closed', {});
  }

  /** Other hubs are told what was registered here and that this hub is gone, as far as the store takes it in time. */
  async #handOver(): Promise<void> {
    const over = new AbortController();
    const limit = wait(this.#platform.clock, this.#limits.flushMs, over.signal).catch(() => undefined); // not needed
    await Promise.race([this.#registrations.flush().then(() => this.#leases.close()), limit]);
    over.abort();
  }

  async #load(): Promise<void> {
    this.#revocations.load();
    this.#leases.load();
    this.#registrations.load();
    await this.#resources.load();
    if (this.#state.isFirstStart && (this.#options.starterPolicy ?? true)) {
      await this.#resources.apply([STARTER_POLICY]);
    }
    if (this.#options.dangerouslyPermissive === true) await this.#resources.apply([PERMISSIVE_POLICY]);
    this.#publisher.flush();
    const permissive = this.#admin.permissive();
    if (permissive !== undefined) this.#log.log('warn', 'mesh-permissive', { rule: permissive });
    await this.#sweep.start();
  }

  async #listen(): Promise<void> {
    const { listenHttp, crypto } = this.#platform;
    if (listenHttp === undefined) {
      throw new SkeinError('SKEIN_CONFIG', `Cannot start hub: ${this.#platform.name} cannot listen`);
    }
    const { listen = { host: '127.0.0.1', port: 0 }, url } = this.#options;
    const app = createApp({
      admin: this.#admin,
      adminToken: this.adminToken,
      crypto,
      metrics: this.metrics,
      log: this.#log,
      audit: new Audit(this.#log, this.#platform.clock, this.#limits.refusalsLogged),
      isReady: () => this.#life === 'ready',
      jwks: () => this.#issuer.jwks(),
      bundle: () => this.#issuer.bundle(),
      hosts: url === undefined ? [] : [new URL(url).hostname],
      maxBodyBytes: this.#limits.maxBodyBytes,
      reflections: new Reflections(this.#platform.clock, this.#limits.reflections),
    });
    this.#listener = await listenHttp({
      ...listen,
      fetch: app.fetch,
      onWebSocket: (pipe) => this.#accept(pipe),
      admitWebSocket: (asked) => refuseUpgrade(asked) ?? this.#admit(asked),
      trustsProxy: this.#options.trustsProxy ?? false,
    });
    this.#life = 'ready';
    const { epoch, store } = this.#state;
    if (store.isShared) this.#leases.start({ url: this.url, region: this.#options.region ?? '' });
    this.#log.log('info', 'hub-listening', {
      address: this.address,
      url: this.url,
      trustDomain: this.trustDomain,
      thumbprint: this.#issuer.thumbprint,
      epoch,
    });
  }

  /** Refuses a WebSocket before it costs anything. */
  #admit({ remoteAddress }: UpgradeRequest): UpgradeRefusal | undefined {
    const isFull =
      this.#connections.size >= this.#limits.maxLinks ||
      !this.#links.halfOpen.mayTry(remoteAddress, this.#platform.clock.monotonicMs());
    if (this.#life === 'ready' && !isFull) return undefined;
    this.#refusals.count(isFull ? 'limit' : 'draining');
    return { status: 503, retryAfterSeconds: 1 };
  }

  #accept(pipe: MessagePipe): void {
    const tooMany = new SkeinError('SKEIN_LIMIT', 'Cannot use link: newer ones wait, and it has not authenticated yet');
    const nowMs = this.#platform.clock.monotonicMs();
    const settle = this.#links.halfOpen.enter(pipe.remoteAddress, nowMs, () => connection.close(tooMany));
    if (settle === undefined) {
      this.#refusals.count('limit');
      pipe.terminate();
      return;
    }
    this.#links.accepted++;
    const connection: Connection = new Connection(pipe, {
      ...this.#connectionOptions,
      onSettled: (refusal) => {
        settle();
        if (refusal !== undefined) this.#refusals.note(pipe.remoteAddress, refusal);
      },
      onClose: () => {
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#onEmpty();
      },
    });
    this.#connections.add(connection);
  }

  #stop(): void {
    this.#life = 'closed';
    this.#sweep.close();
    for (const connection of [...this.#connections]) connection.leave();
    this.#issuer.close();
    this.#leases.close().catch(() => undefined); // it tells of its failures itself
    this.#resources.close();
    this.#revocations.close();
    this.#registrations.close();
    this.#publisher.close();
    this.#relay.close();
  }
}

/** Before it listens. */
function plannedUrl({ url, listen }: HubOptions): string {
  return url ?? `ws://${listen?.host ?? '127.0.0.1'}:${listen?.port ?? 0}`;
}
