/** `Agent`: one member of the mesh without any listening socket, put together from its parts, from its start to its end. */

import type { HubRole } from '../auth/hub-role.ts';
import { type JwtSvid, verifyJwtSvid } from '../auth/jwt-svid.ts';
import type { AppProtocol, Endpoint } from '../catalog/endpoint.ts';
import { parseServiceName } from '../catalog/service.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { type Clock, wait } from '../core/clock.ts';
import { Emitter } from '../core/emitter.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { createId } from '../core/id.ts';
import { type Logger, SILENT_LOGGER } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { HttpHandler } from '../http/handler.ts';
import type { BackendStatus } from '../router/backend-status.ts';
import { Backends } from '../router/backends.ts';
import { type Destination, type NameOptions, SERVICE_PORT, toDestination } from '../router/destination.ts';
import { Dispatcher } from '../router/dispatch.ts';
import type { RouterEvents } from '../router/events.ts';
import type { Locality } from '../router/locality.ts';
import { TcpDispatcher } from '../router/tcp.ts';
import { AuditWatch } from './audit-watch.ts';
import { type BearerToken, BearerTokens } from './bearer-tokens.ts';
import { createNoDirect, type DirectEnvironment, type DirectPaths } from './direct-paths.ts';
import { logHealth } from './health-log.ts';
import type { HubConnection } from './hub-connection.ts';
import { Identity } from './identity.ts';
import { Inbound, type InboundEvents } from './inbound.ts';
import { createMiddlewareHandler } from './middleware.ts';
import { Mirror } from './mirror.ts';
import { type AgentOptions, type ResolvedAgentOptions, resolveAgentOptions } from './options.ts';
import { createOutbound } from './outbound.ts';
import type { AgentParts } from './parts.ts';
import { tellPath } from './path-field.ts';
import { Peers } from './peers.ts';
import { RefusalPace } from './refusal-pace.ts';
import { Registrar } from './registrar.ts';
import { Renewal } from './renewal.ts';
import { type LocalService, LocalServices, type ServiceHandle } from './services.ts';
import { type HubStatus, Uplinks } from './uplinks.ts';

/** What a member tells those who listen with `on`. */
export interface AgentEvents {
  /** A hub has taken this member, at the start or again. */
  connected: { readonly hub: string };
  /** No hub is left; what is known stays, and other connections are being made. */
  disconnected: { readonly error: SkeinError };
}

/** What a key that was removed has vouched for is kept for as long, while this member gets another SVID. */
const RENEWAL_PATIENCE_MS = 2_000;
const FINISH_POLL_MS = 25;

/**
 * An agent with its identity, stored or to be got with the token; nothing is dialled before `start`.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_IDENTITY, SKEIN_TOKEN_INVALID, SKEIN_STORE
 */
export async function createAgent(platform: Platform, options: AgentOptions, parts: AgentParts = {}): Promise<Agent> {
  const resolved = resolveAgentOptions(options);
  const { direct = {} } = options;
  const createDirect = (direct !== false && parts.prepareDirect?.(direct)) || createNoDirect;
  const identity = await Identity.open({
    platform,
    token: resolved.token,
    knownHub: resolved.knownHub,
    data: resolved.data,
    services: resolved.services ?? [],
    renewAfterMs: resolved.limits.renewAfterMs,
    log: resolved.log ?? SILENT_LOGGER,
    tickets: parts.memory?.tickets,
  });
  return new Agent(platform, resolved, identity, { ...parts, createDirect });
}

interface ResolvedParts extends Omit<AgentParts, 'prepareDirect'> {
  readonly createDirect: (environment: DirectEnvironment) => DirectPaths;
}

export class Agent {
  /** This process, as others find it in the catalogue. */
  readonly instance: string;
  readonly events = new Emitter<AgentEvents>();
  readonly inboundEvents: Emitter<InboundEvents>;
  readonly outboundEvents = new Emitter<RouterEvents>();
  /** Performs requests of local applications to services of the mesh. */
  readonly outbound: HttpHandler;
  readonly mirror: Mirror;
  readonly peers: Peers;
  /** Paths around the relays. */
  readonly direct: DirectPaths;
  readonly identity: Identity;
  /** The issuer's log of what it has issued. */
  readonly audit: AuditWatch;
  /** How names without a namespace are read. */
  readonly names: NameOptions;
  readonly log: Logger;
  readonly clock: Clock;
  /** How often a hub has acted in a role that its SVID does not say. */
  hubsBeyondRoles = 0;
  readonly #services: LocalServices;
  readonly #registrar: Registrar;
  readonly #inbound: Inbound;
  readonly #backends: Backends;
  /** What finds the way of a request. */
  readonly dispatcher: Dispatcher;
  readonly #tcp: TcpDispatcher;
  readonly #uplinks: Uplinks;
  /** Where this member runs. */
  readonly here: Locality;
  readonly #tokens: BearerTokens;
  readonly #renewal: Renewal;
  #isClosed = false;

  /** @internal use `createAgent` */
  constructor(platform: Platform, options: ResolvedAgentOptions, identity: Identity, parts: ResolvedParts) {
    const { observer, regularExpressions, memory, createDirect } = parts;
    const { limits, router, log = SILENT_LOGGER } = options;
    const { clock, random, decodeLatin1 } = platform;
    const staticKey = platform.crypto.createX25519();
    this.instance = createId(random);
    const { instance } = this;
    this.clock = clock;
    this.identity = identity;
    this.log = log;
    // The own namespace is known once there is an identity.
    const names: NameOptions = {
      get namespace(): string {
        return options.namespace ?? identity.namespace;
      },
      allowShort: true,
    };
    this.names = names;
    this.mirror = new Mirror({
      ...{ platform, log, namespace: () => identity.namespace, expressions: regularExpressions },
      remembered: memory?.services,
      sealing: {
        served: () => this.#services.names(),
        bundle: () => identity.bundle,
        known: () => ({
          revocations: identity.revocations.list.number,
          bundle: identity.bundle.spiffe_sequence,
        }),
        onDoubt: (channel) => this.#uplinks.doubt(channel),
      },
      own: {
        trustDomain: () => identity.trustDomain,
        jwtKeys: () => identity.jwtKeys,
        isRevoked: (holder) => identity.revocations.hasHolder(holder),
      },
      onPolicies: () => this.#inbound.reconsider(),
    });
    this.#services = new LocalServices(() => this.#onServices());
    this.#registrar = new Registrar({
      clock,
      random,
      log,
      instance,
      region: options.region,
      zone: options.zone,
      services: () => this.#services.registrations(),
      reach: () => this.direct.reach,
    });
    const pace = new RefusalPace(clock, limits);
    this.#inbound = new Inbound({
      ...{ services: this.#services, mirror: this.mirror, clock, decodeLatin1, log, limits, pace },
    });
    this.inboundEvents = this.#inbound.events;
    const routes = (): readonly HubConnection[] => this.#uplinks.routes;
    this.audit = new AuditWatch({ platform, identity, log, routes, hasReplica: () => this.#hasReplica() });
    identity.auditHeads = this.audit.heads;
    this.#renewal = new Renewal({ platform, identity, log, routes, renewAfterMs: limits.renewAfterMs });
    this.#tokens = new BearerTokens({ clock, routes });
    this.direct = createDirect({ platform, log, observer, routes });
    const relays = (): readonly HubConnection[] => routes().filter((hub) => hub.plays('relay'));
    this.peers = new Peers({
      ...{ platform, identity, instance, staticKey, limits, pace, log, observer, routes: relays, direct: this.direct },
      local: {
        http: tellPath({ request: (...call) => this.#inbound.handlerFor(this.id).request(...call) }, () => 'local'),
        openRaw: refuseOwn,
      },
      onStream: (stream, caller) => this.#inbound.onStream(stream, caller),
      areHubsSteady: () => this.#uplinks.areSteady,
      onSuspect: (instance) => this.#backends.leave(instance),
      onGone: (instance) => this.#backends.giveUp(instance),
    });
    const here = { region: options.region ?? '', zone: options.zone ?? '' };
    this.here = here;
    this.#backends = new Backends(this.mirror, clock, { here, random, limits: router, events: this.outboundEvents });
    const routing = {
      ...{ backends: this.#backends, connector: this.peers, clock, limits: router },
      routes: this.mirror.routing,
    };
    const dispatcher = new Dispatcher({
      ...{ ...routing, random, names, events: this.outboundEvents },
      middleware: (name) => findMiddleware(options, name),
    });
    this.dispatcher = dispatcher;
    logHealth(this.outboundEvents, log);
    this.outbound = createOutbound(dispatcher, clock, random);
    this.#tcp = new TcpDispatcher(routing);
    identity.onKeys = () => this.#onKeys();
    this.#uplinks = new Uplinks({
      ...{ platform, identity, instance, staticKey, limits, log, observer },
      hubs: options.hubs,
      events: {
        onCatalogue: (push, from) => this.mirror.receive(push, from.channel),
        onSeal: (push, from) => this.mirror.receiveSeal(push, from.channel),
        onCircuit: (push, from) => this.peers.accept(push, from),
        onAudit: (from) => this.audit.look(from),
        onBeyondRoles: (role, from) => this.#onBeyondRoles(role, from),
        onRevocations: () => this.#onRevocations(),
      },
      follow: ({ channel }) => this.mirror.attach(channel),
      register: (connection) => this.#registrar.attach(connection),
      onConnected: (connection) => this.#onConnected(connection),
      onLeaving: (connection) => this.peers.leaveHub(connection),
      onDisconnected: (error) => this.events.emit('disconnected', { error }),
      onRevoked: (error) => this.peers.giveUpLost(error),
      isEnough: (connection) => connection.plays('catalogue'),
      isUsed: (connection) => this.peers.isUsing(connection),
      isAwaited: () => this.peers.hasWaitingStreams,
    });
  }

  /** @throws SkeinError SKEIN_IDENTITY before the first hub was there */
  get id(): SpiffeId {
    return this.identity.id;
  }

  /** URL of the hub whose catalogue is followed, or undefined while there is none. */
  get hub(): string | undefined {
    return this.#uplinks.routes[0]?.url;
  }

  /** Every hub that was named, in the order of preference. */
  get hubs(): readonly HubStatus[] {
    return this.#uplinks.status;
  }

  /** For how long the keys of the issuer may be the newest ones, in milliseconds; below 0: no hub that issues was heard for long. */
  get bundleValidMs(): number {
    return this.identity.bundleEndsAtMs - this.clock.epochMs();
  }

  /** What no hub that is connected does for members. */
  get missingRoles(): readonly HubRole[] {
    return this.#uplinks.missingRoles;
  }

  /** Rejects when this member was refused at the start; never resolves. */
  get refused(): Promise<never> {
    return this.#uplinks.refused;
  }

  get services(): LocalServices {
    return this.#services;
  }

  /** Streams of others that are served now. */
  get liveStreams(): number {
    return this.#inbound.live;
  }

  /** Joins. Resolves when a hub has taken this member; tries for ever. @throws SkeinError what a refusal says */
  async start(): Promise<void> {
    this.#uplinks.start();
    this.#renewal.start();
    await Promise.race([this.#uplinks.ready, this.#uplinks.refused]);
  }

  /**
   * Serves a service. Before `start` it is told to the hub with the first registration, and a refusal shows there.
   * `registered` resolves when the hub knows.
   */
  serve(service: LocalService, isHealthy = true): ServiceHandle & { readonly registered: Promise<void> } {
    const handle = this.#services.add(service, isHealthy);
    const registered = this.#registrar.changed();
    registered.catch(() => undefined); // for those who ask
    return { ...handle, registered };
  }

  /** A service in full, by a name as a local caller writes it. @throws SkeinError SKEIN_RESOURCE_INVALID */
  toServiceKey(name: string): string {
    return parseServiceName(name.replace(/\.mesh$/, ''), this.names.namespace).key;
  }

  /** Opens a raw connection. @throws SkeinError */
  connect(destination: Destination): Promise<ByteStream> {
    return this.#tcp.open(destination);
  }

  /** A token by which this member shows `audience`, somebody outside of the mesh, who it is. @throws SkeinError SKEIN_HUB_UNREACHABLE, SKEIN_BAD_REQUEST */
  token(audience: string): Promise<BearerToken> {
    return this.#tokens.get(audience);
  }

  /** Verifies a JWT-SVID that was made out to `audience`, of this trust domain or of one that is federated. @throws SkeinError SKEIN_IDENTITY, SKEIN_REVOKED */
  verifyToken(token: string, audience: string): Promise<JwtSvid> {
    const { trust } = this.mirror;
    const { clock } = this;
    return verifyJwtSvid(token, {
      ...{ clock, audience, trustDomain: trust.trustDomain },
      keysOf: (domain) => trust.keysOf(domain),
      isRevoked: (holder) => trust.isRevoked(holder),
    });
  }

  /** How the service speaks. @throws SkeinError SKEIN_NO_SUCH_SERVICE, SKEIN_HUB_UNREACHABLE */
  async protocolOf(destination: Destination): Promise<AppProtocol> {
    const { protocol } = await this.#backends.find(destination);
    // Its routes say what they take, whoever serves the name itself, and even when nobody does.
    const routes = this.mirror.routing.table.find(destination);
    if (routes !== undefined) return routes.connections === undefined ? 'http' : 'tcp';
    if (protocol !== undefined) return protocol;
    throw new SkeinError('SKEIN_NO_SUCH_SERVICE', `Cannot reach service "${destination.key}": nobody serves it`);
  }

  /** Who serves `service` (`name.namespace`), healthy or not; asked of the hub where nothing is known. @throws SkeinError SKEIN_HUB_UNREACHABLE, SKEIN_LIMIT */
  async endpointsOf(service: string): Promise<readonly Endpoint[]> {
    await this.#backends.find(toDestination(service, SERVICE_PORT));
    return this.mirror.endpoints(service);
  }

  /** What the answers of the services in use have taught. */
  describeBackends(): readonly BackendStatus[] {
    return this.#backends.describe();
  }

  /** Keeps watching a service that will be called. */
  watch(service: string): void {
    this.#backends.pin(service).catch((thrown) => {
      this.log.log('warn', 'service-not-watched', { service, error: toSkeinError(thrown).message });
    });
  }

  /** Others should choose this member no more; who has not heard of it yet is still served. */
  async leave(): Promise<void> {
    await this.#registrar.leave().catch((thrown) => {
      this.log.log('warn', 'hub-not-told', { error: toSkeinError(thrown).message });
    });
  }

  /**
   * Waits until nobody is being served, at most for `timeoutMs`. Own requests go on: who is being answered may call others for it.
   * @returns whether that is so
   */
  served(timeoutMs: number): Promise<boolean> {
    return this.#until(() => this.#inbound.live === 0, timeoutMs);
  }

  /** Opens no more streams and takes none, waits until all have ended, at most for `timeoutMs`. @returns whether they have */
  finish(timeoutMs: number): Promise<boolean> {
    this.peers.drain();
    return this.#until(() => this.peers.openStreams + this.#inbound.live === 0, timeoutMs);
  }

  /** Ends all at once. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#renewal.close();
    this.audit.close();
    this.direct.close();
    this.peers.close(new SkeinError('SKEIN_CANCELLED', 'Cannot use session: this member has left'));
    this.#uplinks.close();
    this.#backends.close();
    this.mirror.close();
    void this.identity.close();
  }

  async #until(isDone: () => boolean, timeoutMs: number): Promise<boolean> {
    const { clock } = this;
    const endMs = clock.monotonicMs() + timeoutMs;
    while (!isDone()) {
      if (clock.monotonicMs() >= endMs) return false;
      await wait(clock, FINISH_POLL_MS);
    }
    return true;
  }

  #onConnected(connection: HubConnection): void {
    this.peers.onRoute(connection);
    this.events.emit('connected', { hub: connection.url });
    void this.#renewal.look();
    this.audit.look(connection);
  }

  #onBeyondRoles(role: HubRole, { url, roles }: HubConnection): void {
    this.hubsBeyondRoles++;
    this.log.log('error', 'hub-beyond-roles', { hub: url, role, roles });
  }

  /** Is another instance of this identity in the catalogue? Where nobody can say, it counts as none. */
  async #hasReplica(): Promise<boolean> {
    for (const service of this.identity.services) {
      const endpoints = await this.endpointsOf(service).catch(() => []);
      if (endpoints.some(({ id, instance }) => id === this.id.uri && instance !== this.instance)) return true;
    }
    return false;
  }

  #onRevocations(): void {
    const { number, entries } = this.identity.revocations.list;
    this.log.log('info', 'revocations-changed', { number, identities: entries.length });
    this.mirror.authentications.forget();
    this.peers.reconsider();
    this.#uplinks.reconsider();
  }

  #onKeys(): void {
    this.log.log('info', 'keys-changed', { sequence: this.identity.bundle.spiffe_sequence });
    this.#tokens.forget();
    // With an SVID of a key that is gone nobody would take this member: another one first, so that what ends can begin anew.
    const patience = new AbortController();
    const limit = wait(this.clock, RENEWAL_PATIENCE_MS, patience.signal).catch(() => undefined); // it was in time
    void Promise.race([this.#renewal.look(), limit]).then(() => {
      patience.abort();
      if (this.#isClosed) return;
      this.peers.reconsider();
      this.#uplinks.reconsider();
    });
  }

  #onServices(): void {
    this.#registrar.changed().catch(() => undefined); // it has been logged
  }
}

function findMiddleware({ middleware = {}, limits, log = SILENT_LOGGER }: ResolvedAgentOptions, name: string) {
  const found = Object.hasOwn(middleware, name) ? middleware[name] : undefined;
  if (found === undefined) return undefined;
  const options = { log, windowBytes: limits.bodyWindowBytes };
  return (next: HttpHandler): HttpHandler => createMiddlewareHandler(found, next, options);
}

function refuseOwn(): never {
  throw new SkeinError(
    'SKEIN_PEER_UNREACHABLE',
    'Cannot connect: a raw connection of an instance to itself goes around the mesh',
  );
}
