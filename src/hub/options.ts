/** Options and limits of the hub, each with its reason; a number appears here and nowhere else. */

import { HUB_ROLES, type HubRole } from '../auth/hub-role.ts';
import { KEY_LIFE, type KeyLife } from '../auth/key-life.ts';
import { WIT_LIFETIME_MS } from '../auth/validity.ts';
import { REFLECTION_LIMITS } from '../control/reflection.ts';
import type { LogRate } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';
import type { ListenAddress } from '../core/platform.ts';
import type { RateLimits } from '../core/rates.ts';
import type { TunnelOptions } from '../tunnel/options.ts';
import type { answerAudit } from './audit-answers.ts';
import type { LeaseLimits } from './leases.ts';
import type { TrustedPlatform } from './platform-trust.ts';
import type { Publisher, PublisherOptions } from './publisher.ts';
import type { AbsenceLimits } from './registrations.ts';
import type { RestingPipe } from './resting-link.ts';
import type { HubMembership } from './standing.ts';
import type { Store } from './store.ts';

/** How a hub runs. */
export interface HubOptions {
  /** Where to listen. @default 127.0.0.1, any free port */
  readonly listen?: ListenAddress;
  /** Folder of the hub's state. Without it the hub forgets everything when it ends. */
  readonly dataFolder?: string;
  /** `file` (needs `dataFolder`), `memory`, or a store of the caller's. @default file with a `dataFolder`, else memory */
  readonly store?: 'file' | 'memory' | Store;
  /** How sidecars reach this hub from elsewhere, `wss://…`. @default made of the address it listens on */
  readonly url?: string;
  /** Where it is, as members say where they are. */
  readonly region?: string;
  /** SPIFFE trust domain; fixed at the first start. @default "skein.mesh" */
  readonly trustDomain?: string;
  /** Platforms whose tokens let newcomers in, beside join tokens; the first that fits a token decides. @default none */
  readonly trust?: readonly TrustedPlatform[];
  /** Other trust domains whose JWT-SVIDs members believe; what is not named any more is forgotten at the start. Only the issuer asks. @default none */
  readonly federation?: readonly FederatedDomain[];
  /** Parts of the hub that this one plays; without `issuer` it needs the SVID of a hub that has that role. @default all, or what its SVID says */
  readonly roles?: readonly HubRole[];
  /** At the first start, allow calls inside a namespace, so that a mesh works before anybody writes a policy. @default true */
  readonly starterPolicy?: boolean;
  /**
   * Make the mesh permissive, by the policy `permissive` of the namespace `mesh`, which stays until it is deleted: what no
   * policy decides is allowed, and counted as what would be denied. For a mesh that is given its policies while it works. @default false
   */
  readonly dangerouslyPermissive?: boolean;
  /** Origins whose pages may be members, as browsers write them (`https://shop.example.com`), or `*` for all. @default none */
  readonly pageOrigins?: readonly string[];
  /**
   * Believe what the proxy in front says about where a connection comes from (`Forwarded`, else `X-Forwarded-For`). Only
   * where nobody reaches this hub around that proxy. @default false: behind a proxy nobody's address is known
   */
  readonly trustsProxy?: boolean;
  /**
   * Declares that what the store holds now is right, and seals it anew: after a backup was restored, or once somebody has put right what
   * a stranger had written there. @default false
   */
  readonly reseal?: boolean;
  /** Bearer token of the admin API. @default the one in `dataFolder`, made at the first start */
  readonly adminToken?: string;
  /** Where it logs. @default nowhere */
  readonly log?: Logger;
  /** Limits that are not to be the defaults. */
  readonly limits?: Partial<HubLimits>;
}

/** Another trust domain whose JWT-SVIDs are believed in this mesh. */
export interface FederatedDomain {
  /** Its name, as in its SPIFFE ids. */
  readonly trustDomain: string;
  /** https URL of its bundle. */
  readonly bundleEndpoint: string;
  /** How its server proves itself: by a certificate that this machine trusts. @default https_web */
  readonly profile?: 'https_web';
  /** Its bundle, for as long as the endpoint has not answered for the first time: a JWK Set. */
  readonly bundle?: unknown;
}

/** Parts that whoever makes a hub may bring along. */
export interface HubParts {
  /** What the issuer has made this hub, which is no issuer then; the hub closes it. */
  readonly membership?: HubMembership | undefined;
  /** What members are told of the audit log. */
  readonly answerAudit?: typeof answerAudit;
  readonly createPublisher?: (options: PublisherOptions) => Publisher;
  /** Of a hub that sleeps while nobody needs it: its memory ends, its WebSockets and its store stay. */
  readonly sleep?: SleepOptions;
  /** Limits of its links. */
  readonly tunnel?: Partial<TunnelOptions>;
}

export interface SleepOptions {
  /** What may be left with one WebSocket, in bytes. */
  readonly maxStateBytes: number;
  /** What was left with those that stand. */
  readonly resting: readonly RestingPipe[];
  /** Is given, once, who says what must outlive the memory of this hub. */
  readonly onSleeper: (sleeper: { rest(): readonly RestingPipe[] | undefined }) => void;
}

export { HUB_ROLES, type HubRole };

/** Limits of a hub. Times are in milliseconds, sizes in bytes. */
export interface HubLimits {
  /** Links with an unfinished handshake, of which the oldest make room; each costs two Diffie-Hellman and a signature before it has proven anything. */
  readonly maxHalfOpen: number;
  /** Those of one address, loopback aside: alone it must not keep the others out. */
  readonly maxHalfOpenPerAddress: number;
  /** Links that one address may begin, per second and at once, loopback aside: above it they are refused before they cost anything. */
  readonly linksPerAddress: RateLimits;
  /** Who asks for a link while there is no room for it waits, with nothing but its connection: so many in all. */
  readonly maxWaiting: number;
  /** Those of one address, loopback aside. */
  readonly maxWaitingPerAddress: number;
  /** The longest that one waits, in milliseconds; then it is told when to come back. */
  readonly waitingMs: number;
  /** Links at once, in all. */
  readonly maxLinks: number;
  /** Links of one key at once: a member has one, and for a moment two. Replicas of a service have each a key of their own. */
  readonly maxLinksPerKey: number;
  /** Time for a link to authenticate, from the first packet of its connection, in milliseconds. */
  readonly authTimeoutMs: number;
  /** Time for an authenticated sidecar to open its control stream, in milliseconds. */
  readonly controlTimeoutMs: number;
  /** Circuits that one identity, which is a key, may ask for. */
  readonly circuitsPerSecond: number;
  /** The same, at once. */
  readonly circuitsBurst: number;
  /** Those that it has open at a time. */
  readonly maxCircuitsPerKey: number;
  /** Calls that one identity may make beside those for circuits; those that cost others something count fivefold. */
  readonly callsPerSecond: number;
  /** The same, at once. */
  readonly callsBurst: number;
  /** Control messages of any kind of one identity; beyond, its control streams are read no faster. */
  readonly messagesPerSecond: number;
  /** The same, at once. */
  readonly messagesBurst: number;
  /** SVIDs of one key within `svidLifetimeMs`, renewals among them: each is an entry of the audit log. */
  readonly svidsPerLifetime: number;
  /** Services that one instance registers. */
  readonly maxServicesPerInstance: number;
  /** Instances under new names that one identity registers: each start of a process is one. */
  readonly instancesPerSecond: number;
  /** The same, at once. */
  readonly instancesBurst: number;
  /** Bytes of one identity that are relayed; beyond, it gets its credit back later. */
  readonly relayedBytesPerSecond: number;
  /** The same, at once. */
  readonly relayedBytesBurst: number;
  /** One endpoint with its labels: it must fit into a message beside others, and is told to all who watch it. */
  readonly maxEndpointBytes: number;
  /** Refused links that are logged, and refused tokens: strangers decide how often they try. */
  readonly refusalsLogged: LogRate;
  /** Questions of one address where it is seen from, per second and at once. */
  readonly reflections: RateLimits;
  /** Time for the other end to take a circuit, in milliseconds. */
  readonly acceptTimeoutMs: number;
  /** Records of all relayed circuits that wait for a slow end; above it, those that hold most are closed. */
  readonly maxRelayWaitingBytes: number;
  /** Least time between two steps of the catalogue, in milliseconds. */
  readonly debounceMs: number;
  /** What is said of an instance whose link is gone, and when. */
  readonly absence: AbsenceLimits;
  /** How hubs that share a store know of each other. */
  readonly lease: LeaseLimits;
  /** Time for the store to take what was registered here when the hub ends, in milliseconds. */
  readonly flushMs: number;
  /** Life of a WIT-SVID, in milliseconds. */
  readonly svidLifetimeMs: number;
  /** Life of the keys that sign SVIDs. */
  readonly keys: KeyLife;
  /** Life of a join token for which none is asked, in milliseconds. */
  readonly tokenTtlMs: number;
  /** The longest that may be asked for. */
  readonly maxTokenTtlMs: number;
  /** How long a used or expired token is remembered as such, in milliseconds. */
  readonly tokenMemoryMs: number;
  /** Join tokens that wait for their use. */
  readonly maxTokens: number;
  /** Routes, policies and other resources that may be applied, in all. */
  readonly maxResources: number;
  /** One of them, as JSON. */
  readonly maxResourceBytes: number;
  /** Revisions that are kept, to be looked at and gone back to. */
  readonly maxRevisions: number;
  /** What they may take in the store, in bytes. */
  readonly maxRevisionBytes: number;
  /** Of the audit log, in bytes of the store; the oldest entries go, a signed checkpoint stays. An entry takes about 350. */
  readonly maxAuditBytes: number;
  /** Least time between two pushes of how far the audit log has come, in milliseconds. */
  readonly auditPushMs: number;
  /** Pushes in which every member of a large mesh is told once; those whom a new key concerns are told with the next. */
  readonly auditBeats: number;
  /** Body of an admin request, in bytes. */
  readonly maxBodyBytes: number;
  /** Time for sidecars to go elsewhere when the hub drains, in milliseconds. */
  readonly drainMs: number;
}

/** Limits of one identity, which the file of a hub may set. */
export const HUB_QUOTAS = [
  'maxLinksPerKey',
  'maxServicesPerInstance',
  'instancesPerSecond',
  'instancesBurst',
  'callsPerSecond',
  'callsBurst',
  'svidsPerLifetime',
  'messagesPerSecond',
  'messagesBurst',
  'circuitsPerSecond',
  'circuitsBurst',
  'maxCircuitsPerKey',
  'relayedBytesPerSecond',
  'relayedBytesBurst',
] as const satisfies readonly (keyof HubLimits)[];

export type HubQuotas = Partial<Pick<HubLimits, (typeof HUB_QUOTAS)[number]>>;

/** The limits of a hub that is given none. */
export const HUB_LIMITS: HubLimits = {
  maxHalfOpen: 256,
  maxHalfOpenPerAddress: 128,
  linksPerAddress: { perSecond: 200, burst: 2_000, maxKeys: 16_384 },
  maxWaiting: 2_048,
  maxWaitingPerAddress: 512,
  waitingMs: 4_000,
  maxLinks: 16_000,
  maxLinksPerKey: 64,
  authTimeoutMs: 2_000,
  controlTimeoutMs: 5_000,
  circuitsPerSecond: 50,
  circuitsBurst: 100,
  maxCircuitsPerKey: 1_024,
  callsPerSecond: 100,
  callsBurst: 1_200,
  // Four times what a member asks for that renews every hour.
  svidsPerLifetime: 96,
  // Who is called by thousands takes a circuit of each, in one message.
  messagesPerSecond: 500,
  messagesBurst: 5_000,
  maxServicesPerInstance: 64,
  instancesPerSecond: 1,
  instancesBurst: 64,
  // More than one core relays: it is there to be lowered where several share a hub.
  relayedBytesPerSecond: 1024 * 1024 * 1024,
  relayedBytesBurst: 1024 * 1024 * 1024,
  maxEndpointBytes: 16 * 1024,
  refusalsLogged: { perSecond: 20, burst: 100 },
  reflections: REFLECTION_LIMITS,
  acceptTimeoutMs: 5_000,
  maxRelayWaitingBytes: 256 * 1024 * 1024,
  debounceMs: 50,
  absence: { unhealthyAfterMs: 1_000, unhealthyAfterStartMs: 10_000, removedAfterMs: 30_000 },
  // One small write a second and hub. A hub that is killed is known to be after 5 s; one that stalls for less is not missed.
  lease: { renewMs: 1_000, renewals: 5, sweepAfterMs: 30_000 },
  flushMs: 2_000,
  svidLifetimeMs: WIT_LIFETIME_MS,
  keys: KEY_LIFE,
  tokenTtlMs: 15 * 60_000,
  maxTokenTtlMs: 24 * 3_600_000,
  tokenMemoryMs: 24 * 3_600_000,
  maxTokens: 10_000,
  maxResources: 10_000,
  maxResourceBytes: 32 * 1024,
  maxRevisions: 100,
  maxRevisionBytes: 4 * 1024 * 1024,
  maxAuditBytes: 16 * 1024 * 1024,
  auditPushMs: 30_000,
  auditBeats: 10,
  maxBodyBytes: 1024 * 1024,
  drainMs: 10_000,
};
