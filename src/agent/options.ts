/** What a member of the mesh is asked to be, and the limits of the folder; a number appears here and nowhere else. */

import { checkKnownHub, type KnownHub } from '../auth/way-in.ts';
import { isLabel } from '../catalog/service.ts';
import { SkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { Redacted } from '../core/redacted.ts';
import { DEFAULT_TRUST_DOMAIN } from '../core/spiffe-id.ts';
import { type RouterOptions, resolveRouterOptions } from '../router/options.ts';
import type { DirectOptions } from './direct/options.ts';
import type { Middleware } from './middleware.ts';

/** Who a member is, where its hubs are, and what it may use. */
export interface AgentOptions {
  /** Hubs, `wss://…` or `ws://…`, the preferred ones first: links to two of them are kept, the others are spares. */
  readonly hub: string | readonly string[];
  /**
   * Join token, as `skein token create` printed it, or a JWT of a platform that the hub trusts. Not needed when `data` holds an identity:
   * a function is called for one only when there is none that is good.
   */
  readonly token?: string | Redacted<string> | (() => Promise<string>) | undefined;
  /**
   * Thumbprints of the hub's issuer, of which one must be its own: whom to trust when `token` is a platform's. A join token holds
   * one itself.
   */
  readonly hubThumbprint?: string | readonly string[] | undefined;
  /** SPIFFE trust domain of the hub, when `token` is a platform's. @default "skein.mesh" */
  readonly trustDomain?: string | undefined;
  /**
   * Folder that keeps key and identity (0600), so that a restart needs no new token; in a browser a name, under which all pages of the
   * origin find them. Without it they live in memory.
   */
  readonly data?: string | undefined;
  /** Services that will be served, as `name` or `name.namespace`: an identity in `data` that may not serve them is replaced by the token's. */
  readonly services?: readonly string[] | undefined;
  /** Namespace of names that give none. @default that of the own identity */
  readonly namespace?: string | undefined;
  /** Where this member runs, for locality-aware choices. */
  readonly region?: string | undefined;
  /** Part of `region`. */
  readonly zone?: string | undefined;
  /** Paths to other members around the relays; `false`: none are looked for. @default all that need no configuration */
  readonly direct?: DirectOptions | false | undefined;
  /** Where it logs. @default nowhere */
  readonly log?: Logger | undefined;
  /** Functions that routes may name (ExtensionRef, kind Middleware): they see requests of this member to services of the mesh. */
  readonly middleware?: Readonly<Record<string, Middleware>> | undefined;
  /** Limits that are not to be the defaults. */
  readonly limits?: Partial<AgentLimits> | undefined;
  /** Retries, budgets, outliers, where they are not to be the defaults. */
  readonly router?: Partial<RouterOptions> | undefined;
}

/** Limits of a member: whole numbers from 1. */
export interface AgentLimits {
  /** Sessions with one instance at once: one each way and one being replaced, with one to spare. */
  readonly maxSessionsPerPeer: number;
  /** Sessions that one identity, which is a key, has opened to here, under whatever instances. */
  readonly maxSessionsPerKey: number;
  /** Streams that one identity has open here, over all its sessions: as many as one of them may have. */
  readonly maxStreamsPerKey: number;
  /** Sessions with all instances; a link carries as many circuits. */
  readonly maxSessions: number;
  /** Bytes kept for sending again, of all sessions together; above it sessions out of reach are given up. */
  readonly replayBudgetBytes: number;
  /** Bytes held for readers that have not read them, of all sessions together; near it windows grow no more, and sleepers are reset sooner. */
  readonly unreadBudgetBytes: number;
  /** Handshakes that others have begun and not finished, by each hub. */
  readonly maxHalfOpen: number;
  /** A session without a stream for so long is closed; the next request makes a new one in a round trip or two. */
  readonly idleSessionMs: number;
  /**
   * A WIT-SVID is renewed after so long, ± 10 %, and after half of its lifetime at the latest: it is valid for 24 h, so
   * that a hub may be away for most of a day.
   */
  readonly renewAfterMs: number;
  /** Hubs that links are kept to at once: one that is used, one that is ready when it fails. */
  readonly maxHubs: number;
  /** A hub that does not answer the first dial for so long is no longer counted on: the next of the list is dialled. */
  readonly nextHubAfterMs: number;
  /** A link that held so long was good: the next dial is at once, and the hub may be relied on again. */
  readonly healthyAfterMs: number;
  /**
   * Dials at once behind links that came into use and did not hold so long, per second: somebody on the way cuts them, and
   * streams wait. More, and one that lets in and throws out is hammered.
   */
  readonly swiftDialsPerSecond: number;
  /** The same, of a member whose links had held. */
  readonly swiftDialsBurst: number;
  /** First ceiling of the wait between dials; it doubles. */
  readonly reconnectBaseMs: number;
  /** The largest. */
  readonly reconnectCapMs: number;
  /** Refused requests logged per second, and as many refused circuits and sessions: callers must not fill the disk. */
  readonly denialsPerSecond: number;
  /** The same, at once. */
  readonly denialsBurst: number;
  /** Sessions that one identity may break per minute before no other of it is taken: nobody honest breaks any. */
  readonly faultsPerMinute: number;
  /** The same, at once. */
  readonly faultsBurst: number;
  /** Streams of one identity that are refused, per second; beyond, each refusal waits for its turn, for a second at most. */
  readonly refusalsPerSecond: number;
  /** The same, at once. */
  readonly refusalsBurst: number;
  /** Bytes read ahead of an application that uses WHATWG streams. */
  readonly bodyWindowBytes: number;
}

export const AGENT_LIMITS: AgentLimits = {
  maxSessionsPerPeer: 4,
  maxSessionsPerKey: 16,
  maxStreamsPerKey: 1_024,
  maxSessions: 1000,
  replayBudgetBytes: 128 * 1024 * 1024,
  unreadBudgetBytes: 256 * 1024 * 1024,
  maxHalfOpen: 256,
  idleSessionMs: 300_000,
  renewAfterMs: 3_600_000,
  maxHubs: 2,
  nextHubAfterMs: 1_500,
  healthyAfterMs: 30_000,
  swiftDialsPerSecond: 1,
  swiftDialsBurst: 5,
  reconnectBaseMs: 250,
  reconnectCapMs: 20_000,
  denialsPerSecond: 20,
  denialsBurst: 100,
  faultsPerMinute: 6,
  faultsBurst: 3,
  refusalsPerSecond: 500,
  refusalsBurst: 1_000,
  bodyWindowBytes: 64 * 1024,
};

export interface ResolvedAgentOptions
  extends Omit<AgentOptions, 'hub' | 'token' | 'hubThumbprint' | 'trustDomain' | 'limits' | 'router'> {
  readonly hubs: readonly string[];
  readonly token: Redacted<string> | (() => Promise<string>) | undefined;
  readonly knownHub: KnownHub;
  readonly limits: AgentLimits;
  readonly router: RouterOptions;
}

/** @throws SkeinError SKEIN_CONFIG, RangeError on a limit that is no positive integer */
export function resolveAgentOptions(options: AgentOptions): ResolvedAgentOptions {
  const { hub, token, hubThumbprint = [], trustDomain = DEFAULT_TRUST_DOMAIN, limits, router, ...rest } = options;
  const knownHub: KnownHub = { thumbprints: [hubThumbprint].flat(), trustDomain };
  checkKnownHub(knownHub);
  const hubs = (typeof hub === 'string' ? hub.split(',') : hub).map((url) => url.trim()).filter((url) => url !== '');
  if (hubs.length === 0) throw new SkeinError('SKEIN_CONFIG', 'Cannot join mesh: no hub is named');
  for (const url of hubs) checkHubUrl(url);
  if (options.namespace !== undefined && !isLabel(options.namespace)) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot use namespace "${options.namespace}": not a DNS label in lower case`);
  }
  return {
    ...rest,
    hubs,
    knownHub,
    token: typeof token === 'string' ? new Redacted(token) : token,
    limits: resolveLimits(limits),
    router: resolveRouterOptions(router),
  };
}

function checkHubUrl(url: string): void {
  if (!/^wss?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?$/.test(url)) {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot use hub URL: not wss://host[:port] or ws://host[:port]');
  }
}

function resolveLimits(limits: Partial<AgentLimits> = {}): AgentLimits {
  const resolved: AgentLimits = { ...AGENT_LIMITS, ...limits };
  for (const [name, value] of Object.entries(resolved)) {
    if (!Object.hasOwn(AGENT_LIMITS, name)) throw new RangeError(`Cannot use agent limit "${name}": unknown name`);
    if (!Number.isSafeInteger(value) || value <= 0) {
      throw new RangeError(`Cannot use agent limit "${name}": not a positive integer`);
    }
  }
  return resolved;
}
