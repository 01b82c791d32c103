/** Enrolment: join tokens, which work once and for one key, and what becomes of those who present them or a platform's. */

import * as v from 'valibot';
import type { PresentedJoinToken, PresentedToken } from '../auth/authenticator.ts';
import type { Grant } from '../auth/grant.ts';
import { GRANTED_ROLES, type HubRole } from '../auth/hub-role.ts';
import { createJoinToken, hashSecret, matchesSecret } from '../auth/join-token.ts';
import { type PublicJwk, toThumbprint } from '../auth/key-pair.ts';
import { MESH_NAMESPACE, namespaceOf, parseServiceName } from '../catalog/service.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import { LimitedLog } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';
import type { Crypto } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import { RESERVED_NAMESPACE, type SpiffeId, toHubId, toWorkloadId } from '../core/spiffe-id.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import { type Admission, RETRY_MS, refuseToken } from './admission.ts';
import type { HubLimits } from './options.ts';
import type { PlatformTrust } from './platform-trust.ts';
import type { Store, StoreEntry } from './store.ts';
import { Tally } from './tally.ts';

export interface EnrolmentOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: Crypto;
  readonly log: Logger;
  readonly trustDomain: string;
  /** Thumbprint of the issuer's key, which the token carries so that a newcomer knows this hub. */
  readonly issuerThumbprint: string;
  readonly limits: HubLimits;
  /** Refuses a newcomer before its token is used up. @throws SkeinError SKEIN_REVOKED */
  readonly check?: (newcomer: PeerIdentity) => void;
  /** Takes tokens of platforms; without it they are refused. */
  readonly platforms?: PlatformTrust;
}

/** What a join token shall allow. */
export interface TokenRequest {
  /** Names that its holder may serve; the first is its identity's service account. Of a hub: none. */
  readonly services: readonly string[];
  /** Lets in a hub, which may do this for members; never `issuer`. @default a member is let in */
  readonly hubRoles?: readonly HubRole[] | undefined;
  /** Namespace of its services. @default "default" */
  readonly namespace?: string;
  /** How long it may be used, in milliseconds, 24 hours at most. @default 15 minutes */
  readonly ttlMs?: number;
}

/** Counters, read at scrape time. */
export interface EnrolmentStats {
  tokensCreated: number;
  readonly outcomes: Map<string, number>;
}

/** A join token that was made. */
export interface CreatedToken {
  /** The token itself: a secret. */
  readonly text: string;
  /** What logs call it. */
  readonly id: string;
  /** From when on it is refused, in milliseconds since 1970. */
  readonly expiresAtMs: number;
}

const PREFIX = 'token/';
const MAX_ID_CHARS = 64;
/** Part of the tokens that may be remembered. */
const FORGOTTEN_AT_ONCE = 0.1;
const STORED = v.object({
  secretHash: v.string(),
  services: v.array(v.string()),
  namespace: v.string(),
  hubRoles: v.optional(v.array(v.picklist(GRANTED_ROLES))),
  expiresAtMs: v.number(),
  used: v.optional(v.object({ atMs: v.number(), by: v.string() })),
});
type StoredToken = v.InferOutput<typeof STORED>;

export class Enrolment {
  readonly stats: EnrolmentStats = { tokensCreated: 0, outcomes: new Map() };
  readonly #options: EnrolmentOptions;
  readonly #refusals: LimitedLog;
  readonly #tokens: Tally;

  constructor(options: EnrolmentOptions) {
    this.#options = options;
    this.#tokens = new Tally(options.store, PREFIX);
    this.#refusals = new LimitedLog(options.log, options.clock, options.limits.refusalsLogged);
  }

  /** @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_LIMIT, SKEIN_STORE */
  async createToken(request: TokenRequest): Promise<CreatedToken> {
    const { clock, limits, store, crypto, trustDomain, issuerThumbprint, random, log } = this.#options;
    const { services, namespace, hubRoles } = readNames(request);
    const ttlMs = request.ttlMs ?? limits.tokenTtlMs;
    if (!(ttlMs >= 1000 && ttlMs <= limits.maxTokenTtlMs)) {
      throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot make token: its life of ${ttlMs} ms is out of range`);
    }
    if (this.#tokens.size >= limits.maxTokens && !(await this.#makeRoom())) {
      throw new SkeinError('SKEIN_LIMIT', `Cannot make token: ${limits.maxTokens} wait for their use already`);
    }
    const expiresAtMs = clock.epochMs() + ttlMs;
    const { text, id, secret } = createJoinToken({ trustDomain, issuerThumbprint, random });
    const secretHash = hashSecret(crypto.sha256, secret.reveal());
    const stored: StoredToken = { secretHash, services, namespace, hubRoles, expiresAtMs };
    if ((await store.compareAndSet(PREFIX + id, 0, JSON.stringify(stored))) === undefined) {
      throw new SkeinError('SKEIN_CONFLICT', 'Cannot make token: its id exists already');
    }
    this.stats.tokensCreated++;
    log.log('info', 'token-created', { token: id, services, hubRoles, expiresAt: new Date(expiresAtMs).toISOString() });
    return { text, id, expiresAtMs };
  }

  /**
   * Takes the token that a newcomer with `publicJwk` has presented; called once the newcomer has proven that key.
   * @throws SkeinError SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_STORE
   */
  async admit(presented: PresentedToken, publicJwk: PublicJwk): Promise<Admission> {
    // The id is of a stranger: as long as one of ours, and no longer.
    const token =
      'secret' in presented
        ? presented.id.slice(0, MAX_ID_CHARS)
        : this.#options.platforms?.describe(presented.platformToken);
    try {
      const admission =
        'secret' in presented
          ? await this.#admit(presented, publicJwk)
          : await this.#admitByPlatform(presented.platformToken, publicJwk);
      this.#count('admitted');
      this.#options.log.log('info', 'sidecar-enrolled', {
        token,
        id: admission.id.uri,
        services: admission.services,
        hubRoles: admission.hubRoles,
      });
      return admission;
    } catch (thrown) {
      const error = toSkeinError(thrown);
      this.#count(error.reason);
      const event = error.code === 'SKEIN_TOKEN_USED' ? 'token-reused' : 'token-refused';
      this.#refusals.log('warn', event, {
        token,
        reason: error.reason,
        ...error.details,
      });
      throw error;
    }
  }

  close(): void {
    this.#tokens.close();
    this.#options.platforms?.close();
  }

  /** Forgets tokens for the identity `id` that wait for their use. @returns how many there were */
  async withdraw(id: string): Promise<number> {
    const { store, trustDomain } = this.#options;
    let count = 0;
    for (const entry of await store.list(PREFIX)) {
      const token = readToken(entry);
      if (token === undefined || token.used !== undefined || toId(trustDomain, token).uri !== id) continue;
      if (await store.delete(entry.key, entry.revision)) count++;
    }
    return count;
  }

  /** Forgets tokens that nobody will ask about any more. */
  async sweep(): Promise<void> {
    const { store, clock, limits } = this.#options;
    for (const entry of await store.list(PREFIX)) {
      const token = readToken(entry);
      if (token !== undefined && token.expiresAtMs + limits.tokenMemoryMs > clock.epochMs()) continue;
      await store.delete(entry.key, entry.revision);
    }
    await this.#options.platforms?.sweep();
  }

  /**
   * Forgets the oldest tokens that were used: whoever shows one of them again is still refused, only not told why. Some more
   * than are in the way, because it reads them all. False when there are none.
   */
  async #makeRoom(): Promise<boolean> {
    const { store, clock, limits } = this.#options;
    await this.sweep();
    if (this.#tokens.size < limits.maxTokens) return true;
    const entries = await store.list(PREFIX);
    const usedUntilMs = clock.epochMs() - RETRY_MS;
    const used = entries
      .map((entry) => ({ entry, usedMs: readToken(entry)?.used?.atMs ?? Number.POSITIVE_INFINITY }))
      .filter(({ usedMs }) => usedMs < usedUntilMs)
      .sort((a, b) => a.usedMs - b.usedMs)
      .slice(0, Math.ceil(limits.maxTokens * FORGOTTEN_AT_ONCE));
    for (const { entry } of used) await store.delete(entry.key, entry.revision);
    return used.length > 0;
  }

  async #admit({ id, secret }: PresentedJoinToken, publicJwk: PublicJwk): Promise<Admission> {
    const { store, clock, crypto, trustDomain } = this.#options;
    const thumbprint = await toThumbprint(publicJwk);
    for (;;) {
      const entry = id.length <= MAX_ID_CHARS && /^[A-Za-z0-9_-]+$/.test(id) ? await store.get(PREFIX + id) : undefined;
      const token = entry === undefined ? undefined : readToken(entry);
      if (entry === undefined || token === undefined)
        throw refuseToken('SKEIN_TOKEN_INVALID', 'this hub has not made it');
      if (!matchesSecret(crypto.sha256, secret, token.secretHash)) {
        throw refuseToken('SKEIN_TOKEN_INVALID', 'this hub has not made it');
      }
      const nowMs = clock.epochMs();
      const { used } = token;
      if (used !== undefined && (used.by !== thumbprint || nowMs > used.atMs + RETRY_MS)) {
        throw refuseToken('SKEIN_TOKEN_USED', 'it was used already', { usedAt: new Date(used.atMs).toISOString() });
      }
      if (nowMs >= token.expiresAtMs) throw refuseToken('SKEIN_TOKEN_EXPIRED', 'it has expired');
      const admission: Admission = {
        id: toId(trustDomain, token),
        services: token.services,
        hubRoles: token.hubRoles,
      };
      this.#check(admission, publicJwk, thumbprint);
      const marked: StoredToken = { ...token, used: used ?? { atMs: nowMs, by: thumbprint } };
      if (
        used === undefined &&
        (await store.compareAndSet(entry.key, entry.revision, JSON.stringify(marked))) === undefined
      ) {
        continue; // somebody was faster; the next look tells who
      }
      return admission;
    }
  }

  async #admitByPlatform(token: string, publicJwk: PublicJwk): Promise<Admission> {
    const { platforms } = this.#options;
    if (platforms === undefined) throw refuseToken('SKEIN_TOKEN_INVALID', 'this hub trusts no platform');
    const thumbprint = await toThumbprint(publicJwk);
    return platforms.admit(token, thumbprint, (admission) => this.#check(admission, publicJwk, thumbprint));
  }

  /** @throws SkeinError SKEIN_REVOKED */
  #check({ id, services, hubRoles }: Admission, publicJwk: PublicJwk, thumbprint: string): void {
    const joinedAtMs = this.#options.clock.epochMs();
    const times = { joinedAtMs, expiresAtMs: 0 };
    const grant: Grant = { kind: 'newcomer', services, publicJwk, thumbprint, ...times, hubRoles, keyId: '' };
    this.#options.check?.({ id, grant });
  }

  #count(outcome: string): void {
    this.stats.outcomes.set(outcome, (this.stats.outcomes.get(outcome) ?? 0) + 1);
  }
}

function readNames({
  services,
  namespace,
  hubRoles,
}: TokenRequest): Pick<StoredToken, 'services' | 'namespace' | 'hubRoles'> {
  if (hubRoles !== undefined) {
    if (services.length > 0) throw new SkeinError('SKEIN_RESOURCE_INVALID', 'Cannot make token: a hub serves nothing');
    const roles = GRANTED_ROLES.filter((role) => hubRoles.includes(role));
    if (roles.length > 0 && hubRoles.every((role) => roles.includes(role))) {
      return { services: [], namespace: RESERVED_NAMESPACE, hubRoles: roles };
    }
    const state = `a hub is let in for ${GRANTED_ROLES.join(', ')}; who issues has the key of the issuer`;
    throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot make token: ${state}`);
  }
  const keys = [...new Set(services.map((service) => parseServiceName(service, namespace).key))];
  const [first] = keys;
  if (first === undefined) throw new SkeinError('SKEIN_RESOURCE_INVALID', 'Cannot make token: no service is named');
  const space = namespaceOf(first);
  if (keys.some((key) => namespaceOf(key) !== space)) {
    throw new SkeinError('SKEIN_RESOURCE_INVALID', 'Cannot make token: its services are of several namespaces');
  }
  if (space === RESERVED_NAMESPACE || space === MESH_NAMESPACE) {
    throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot make token: namespace "${space}" is reserved`);
  }
  return { services: keys, namespace: space };
}

/** Whose it is: the identity of its first service. */
function toId(trustDomain: string, { namespace, services: [first = ''], hubRoles }: StoredToken): SpiffeId {
  if (hubRoles !== undefined) return toHubId(trustDomain);
  return toWorkloadId(trustDomain, namespace, first.slice(0, -namespace.length - 1));
}

function readToken({ value }: StoreEntry): StoredToken | undefined {
  const result = v.safeParse(STORED, tryParseJson(value));
  return result.success ? result.output : undefined;
}
