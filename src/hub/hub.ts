/** `createHub`: the parts of a hub put together, from its start to its end. */

import { toJwks } from '../auth/jwks.ts';
import { verifyWit } from '../auth/svid.ts';
import { PERMISSIVE_POLICY, STARTER_POLICY } from '../catalog/authorization-policy.ts';
import { Reflections } from '../control/reflection.ts';
import { wait } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { createId } from '../core/id.ts';
import { type Logger, SILENT_LOGGER } from '../core/log.ts';
import type { Listener, Platform } from '../core/platform.ts';
import { jitter } from '../core/random.ts';
import type { Redacted } from '../core/redacted.ts';
import { TunnelObserver } from '../telemetry/observe.ts';
import { Metrics } from '../telemetry/prometheus.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import { Admin } from './admin.ts';
import { createApp } from './app.ts';
import { Audit } from './audit.ts';
import { answerAudit } from './audit-answers.ts';
import { AuditPushes } from './audit-pushes.ts';
import { Authentication } from './authentication.ts';
import type { CallServices } from './calls.ts';
import { Door } from './door.ts';
import { type CreatedToken, Enrolment, type TokenRequest } from './enroll.ts';
import { Federation } from './federation.ts';
import { HalfOpen } from './half-open.ts';
import type { HubIssuer } from './issuer.ts';
import { Leases } from './leases.ts';
import { defineHubMetrics } from './metrics.ts';
import { type OpenedStanding, openStanding } from './open-standing.ts';
import { HUB_LIMITS, type HubLimits, type HubOptions, type HubParts, type HubRole } from './options.ts';
import { createUpgradeGuard } from './page-origins.ts';
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
import { Sleeper } from './sleeper.ts';
import { type HubStanding, noIssuer } from './standing.ts';
import { type HubState, openState } from './state.ts';
import { StatusBoard } from './status-board.ts';
import { Sweep } from './sweep.ts';
import type { Trunks } from './workers/trunks.ts';

/** Sidecars told to go come back after about this long, in milliseconds. */
const RECONNECT_MS = 1000;

/** A running hub. */
export interface Hub {
  /** Bound address, `host:port`. */
  readonly address: string;
  /** What sidecars dial: `ws://…` or the `url` of the options. */
  readonly url: string;
  /** SPIFFE trust domain of the mesh. */
  readonly trustDomain: string;
  /** Bearer token of the admin API. */
  readonly adminToken: Redacted<string>;
  /** What `/metrics` answers: text in the form of Prometheus, 0.0.4. */
  readonly metrics: { render(): Promise<string> };
  /** A single-use join token. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_REFUSED, SKEIN_STORE */
  createJoinToken(request: TokenRequest): Promise<CreatedToken>;
  /** Applies manifests as `skein apply` does. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_STORE */
  apply(manifests: readonly unknown[]): Promise<readonly Applied[]>;
  /** Sends sidecars elsewhere, waits until they have gone or `drainMs` has passed, and closes. */
  drain(): Promise<void>;
  /** Ends at once; what was answered is on disk. Idempotent. */
  close(): Promise<void>;
}

/** A hub that listens. @throws SkeinError SKEIN_CONFIG, SKEIN_STORE */
export async function createHub(platform: Platform, options: HubOptions = {}, parts: InnerParts = {}): Promise<Hub> {
  const log = options.log ?? SILENT_LOGGER;
  const state = await openState(platform, options, log);
  try {
    return await RunningHub.start(platform, { ...options, ...parts }, log, state);
  } catch (thrown) {
    await state.store.close();
    throw thrown;
  }
}

/** Those of a worker know others of their hub. */
interface InnerParts extends HubParts {
  readonly trunks?: Pick<Trunks, 'attach' | 'find'> | undefined;
}

type Given = HubOptions & InnerParts;

class RunningHub implements Hub {
  readonly trustDomain: string;
  readonly adminToken: Redacted<string>;
  readonly metrics = new Metrics();
  readonly #platform: Platform;
  readonly #options: Given;
  readonly #limits: HubLimits;
  readonly #log: Logger;
  readonly #state: HubState;
  readonly #roles: readonly HubRole[];
  readonly #standing: HubStanding;
  /** undefined: another hub issues. */
  readonly #issuer: HubIssuer | undefined;
  readonly #enrolment: Enrolment;
  readonly #publisher: Publisher;
  readonly #leases: Leases;
  readonly #registrations: Registrations;
  readonly #resources: Resources;
  readonly #federation: Federation;
  readonly #revocations: RevocationBoard;
  readonly #sweep: Sweep;
  readonly #presence = new Presence();
  readonly #relay: Relay;
  readonly #admin: Admin;
  readonly #door: Door;
  readonly #sleeper: Sleeper;
  #auditPushes: AuditPushes | undefined;
  #listener: Listener | undefined;
  #closing: Promise<void> | undefined;
  #life: 'starting' | 'ready' | 'draining' | 'closed' = 'starting';

  private constructor(platform: Platform, options: Given, log: Logger, state: HubState, opened: OpenedStanding) {
    const limits: HubLimits = { ...HUB_LIMITS, ...options.limits };
    const { clock, random, crypto } = platform;
    const { sha256 } = crypto;
    const { store, epoch } = state;
    const { standing, roles, issuer, ticketRoot } = opened;
    const { trustDomain } = standing;
    this.#platform = platform;
    this.#options = options;
    this.#limits = limits;
    const refusals = new Refusals(log, clock, limits.refusalsLogged);
    const links = { accepted: 0, halfOpen: new HalfOpen(limits), refused: refusals.counts };
    this.#log = log;
    this.#state = state;
    this.#standing = standing;
    this.#roles = roles;
    this.#issuer = issuer;
    this.trustDomain = trustDomain;
    this.adminToken = state.adminToken;
    const check = (peer: PeerIdentity): void => this.#revocations.known.check(peer);
    this.#revocations = new RevocationBoard({
      ...{ store, clock, log, trustDomain, reseal: options.reseal ?? false },
      bundle: () => standing.bundle(),
      sign: issuer === undefined ? undefined : (type, claims) => issuer.sign(type, claims),
      withdrawTokens: (id) => this.#enrolment.withdraw(id),
      onChange: () => {
        for (const connection of this.#door.connections()) connection.reconsider();
      },
    });
    if (options.membership !== undefined) {
      const { membership } = options;
      membership.onRevocations = () => this.#revocations.adopt(membership.revocations);
    }
    standing.onBundle = () => {
      for (const connection of this.#door.connections()) connection.tellKeys(standing.bundle(), issuer?.holders);
    };
    const board = new StatusBoard(clock);
    const { createPublisher = (made) => new Publisher(made) } = options;
    this.#publisher = createPublisher({
      onNews: () => this.#door.noteNews(),
      clock,
      sha256,
      epoch,
      onStep: (snapshot, keys) => board.follow(snapshot, keys),
      debounceMs: limits.debounceMs,
      asOf: () => (store.isShared ? { revision: store.revision, isCurrent: this.#leases.isCurrent } : undefined),
    });
    // One that sleeps is the same one behind each sleep, and alone.
    const own = options.sleep === undefined ? String(epoch) : 'object';
    this.#leases = new Leases({
      ...{ store, clock, log, limits: limits.lease, own },
      onChange: (hub, isLive) => this.#registrations.onHub(hub, isLive),
    });
    this.#registrations = new Registrations({
      ...{ publisher: this.#publisher, store, clock, random, log, own, absence: limits.absence },
      isLive: (hub) => this.#leases.isLive(hub),
    });
    const sealer = new Sealer({
      ...{ store, clock, log, sha256, standing, issuer, publisher: this.#publisher, reseal: options.reseal ?? false },
      sleeps: options.sleep !== undefined,
      isCurrent: () => !store.isShared || this.#leases.isCurrent,
      latest: () => ({
        revocations: this.#revocations.known.list.number,
        bundle: standing.bundle().spiffe_sequence,
      }),
    });
    this.#resources = new Resources({ store, publisher: this.#publisher, clock, log, limits, sealer });
    const { federation: domains = [] } = options;
    this.#federation = new Federation({ platform, log, resources: this.#resources, trustDomain, domains });
    this.#relay = new Relay({ clock, log, limits });
    this.#enrolment = new Enrolment({
      ...{ store, clock, random, crypto, log, trustDomain, limits, check },
      issuerThumbprint: standing.thumbprint,
      platforms: new PlatformTrust({
        ...{ platform, store, log, trustDomain, trusted: options.trust ?? [], maxTokens: limits.maxTokens },
      }),
    });
    this.#sweep = new Sweep(clock, log, [
      () => this.#enrolment.sweep(),
      () => this.#revocations.sweep(),
      async () => issuer?.holders.sweep(),
    ]);
    const instance = createId(random);
    const quotas = new Quotas(clock, limits, (key) => {
      return issuer?.audit.countIssued(key, clock.epochMs() - limits.svidLifetimeMs) ?? 0;
    });
    const services: CallServices = {
      ...{ issuer, quotas, clock, limits },
      roles: new Set(roles),
      readMember: (wit: string) => verifyWit(wit, standing.bundle(), { clock, trustDomain }),
      find: (instance) => this.#presence.get(instance) ?? options.trunks?.find(instance),
      registrations: this.#registrations,
      revocations: this.#revocations,
      relay: this.#relay,
      rendezvous: new Rendezvous(random),
      sha256,
      answerAudit: options.answerAudit ?? answerAudit,
    };
    if (issuer !== undefined) {
      this.#auditPushes = new AuditPushes({
        ...{ clock, log: this.#log, everyMs: limits.auditPushMs, audit: issuer.audit },
        // One that sleeps does not stay awake for it.
        beats: options.sleep === undefined ? limits.auditBeats : 1,
        members: () => this.#presence.all(),
        count: () => this.#presence.size,
      });
    }
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
      issuer,
      about: {
        instance,
        trustDomain,
        region: options.region ?? '',
        roles,
        runtime: platform.name,
        startedAtMs: clock.epochMs(),
      },
    });
    const authentication = new Authentication({
      ...{ clock, crypto, random, standing, issuer, enrolment: this.#enrolment, revocations: this.#revocations },
      ...{ roles, ticketRoot },
    });
    const connection = {
      ...services,
      presence: this.#presence,
      platform,
      log,
      trustDomain,
      instance,
      staticKey: crypto.createX25519(),
      authentication,
      observer: new TunnelObserver(this.metrics),
      publisher: this.#publisher,
      ...{ tunnel: options.tunnel, maxStateBytes: options.sleep?.maxStateBytes },
    };
    this.#door = new Door({ ...{ clock, limits, links, refusals, connection }, isOpen: () => this.#life === 'ready' });
    options.trunks?.attach({ ...services, own, presence: this.#presence });
    this.#sleeper = new Sleeper(this.#door, this.#relay);
    options.sleep?.onSleeper(this.#sleeper);
    defineHubMetrics(this.metrics, {
      runtime: platform.name,
      presence: this.#presence,
      publisher: this.#publisher,
      relay: this.#relay,
      ...{ issuer, authentication },
      enrolment: this.#enrolment,
      links,
      ...{ quotas, federation: this.#federation, leases: this.#leases, waiting: () => this.#door.waiting },
      registrations: this.#registrations,
      ...{ store, storeBytes: state.storeBytes },
    });
  }

  static async start(platform: Platform, options: Given, log: Logger, state: HubState): Promise<RunningHub> {
    const opened = await openStanding({ platform, options, log, state });
    const hub = new RunningHub(platform, options, log, state, opened);
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
    if (this.#issuer === undefined) return Promise.reject(noIssuer('Cannot make token'));
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
    for (const connection of this.#door.connections()) {
      connection.push('goaway', { reconnectInMs: Math.round(jitter(random, RECONNECT_MS, 0.5)) });
    }
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(this.#limits.drainMs, resolve);
      this.#door.whenEmpty(() => {
        timer.cancel();
        resolve();
      });
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
    for (const connection of this.#door.connections()) connection.leave();
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
    await this.#revocations.load();
    this.#revocations.adopt(this.#options.membership?.revocations);
    this.#leases.load();
    this.#registrations.load();
    await this.#resources.load();
    const isIssuer = this.#issuer !== undefined;
    if (isIssuer && this.#state.isFirstStart && (this.#options.starterPolicy ?? true)) {
      await this.#resources.apply([STARTER_POLICY]);
    }
    if (isIssuer && this.#options.dangerouslyPermissive === true) await this.#resources.apply([PERMISSIVE_POLICY]);
    if (isIssuer) await this.#federation.start();
    this.#sleeper.resume(this.#options.sleep?.resting ?? []);
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
      audit: new Audit(this.#log, this.#platform.clock, this.#limits.refusalsLogged, this.#issuer?.audit),
      isReady: () => this.#life === 'ready',
      jwks: () => toJwks(this.#standing.bundle()),
      bundle: () => this.#standing.bundle(),
      hosts: url === undefined ? [] : [new URL(url).hostname],
      maxBodyBytes: this.#limits.maxBodyBytes,
      reflections: new Reflections(this.#platform.clock, this.#limits.reflections),
    });
    const refuseUpgrade = createUpgradeGuard(this.#options.pageOrigins ?? []);
    this.#listener = await listenHttp({
      ...listen,
      fetch: app.fetch,
      onWebSocket: (pipe) => this.#door.accept(pipe),
      admitWebSocket: (asked) => refuseUpgrade(asked) ?? this.#door.admit(asked),
      trustsProxy: this.#options.trustsProxy ?? false,
    });
    this.#life = 'ready';
    const { epoch, store } = this.#state;
    if (store.isShared) this.#leases.start({ url: this.url, region: this.#options.region ?? '' });
    this.#log.log('info', 'hub-listening', {
      address: this.address,
      url: this.url,
      trustDomain: this.trustDomain,
      thumbprint: this.#standing.thumbprint,
      epoch,
      roles: this.#roles,
    });
  }

  #stop(): void {
    this.#life = 'closed';
    this.#sweep.close();
    for (const connection of this.#door.connections()) connection.leave();
    this.#standing.close();
    this.#auditPushes?.close();
    this.#leases.close().catch(() => undefined); // it tells of its failures itself
    this.#enrolment.close();
    this.#federation.close();
    this.#resources.close();
    this.#revocations.close();
    this.#registrations.close();
    this.#publisher.close();
    this.#relay.close();
  }
}
