/** The hub as issuer: its signing authority, kept in the data folder, and the identity it issues to itself. */

import type { OwnCredential } from '../auth/authenticator.ts';
import { Authority, type AuthorityState, type IssuedJwt } from '../auth/authority.ts';
import type { Grant } from '../auth/grant.ts';
import type { HubRole } from '../auth/hub-role.ts';
import { createIdentityKey, type IdentityKey } from '../auth/key-pair.ts';
import type { Claims, StatementType } from '../auth/statement.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { type Bytes, decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import { setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { createId } from '../core/id.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { jitter } from '../core/random.ts';
import { DEFAULT_TRUST_DOMAIN, type SpiffeId, toHubId } from '../core/spiffe-id.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import { otherIssuer, type TrustAnchor } from './anchor.ts';
import { AuditLog } from './audit-log.ts';
import { Holders, isVouchedFor, keyRemoved } from './holders.ts';
import { KeyKeeper } from './key-keeper.ts';
import type { HubLimits } from './options.ts';
import { checkOwnIdentity, keepOwnIdentity, readOwnIdentity } from './own-identity.ts';
import type { Store } from './store.ts';

export interface HubIssuerOptions {
  readonly platform: Platform;
  readonly log: Logger;
  /** Undefined: that of the first start, or the default. */
  readonly trustDomain: string | undefined;
  /** File of the signing key; without it the key lives as long as the hub. */
  readonly stateFile: string | undefined;
  /** File of the own key and SVID. @default none, and each start makes others */
  readonly ownFile?: string | undefined;
  /** The issuer that the hubs of this store are; undefined for the first of them. */
  readonly anchor: TrustAnchor | undefined;
  /** What this hub does for members. */
  readonly roles: readonly HubRole[];
  readonly store: Store;
  readonly limits: Pick<HubLimits, 'svidLifetimeMs' | 'keys' | 'maxAuditBytes'>;
}

/** The hub's own SVID is renewed as often as everybody's: so many times in the life of one. */
const RENEWALS = 24;
const RENEW_SPREAD = 0.1;
/** How often it is looked whether that is due: the clock of the wall may have jumped, or the machine slept. */
const RENEWAL_CHECK_MS = 30_000;

export class HubIssuer {
  /** SVIDs issued, the hub's own included. */
  issued = 0;
  /** Bearer tokens issued. */
  issuedJwts = 0;
  readonly keys: KeyKeeper;
  readonly audit: AuditLog;
  readonly holders: Holders;
  /** The bundle is another one from now on, or signed anew. */
  onBundle: () => void = () => undefined;
  readonly #authority: Authority;
  readonly #options: HubIssuerOptions;
  readonly #key: IdentityKey;
  readonly #kept: string;
  #wit = '';
  #issuedAtMs = 0;
  #renewAtMs = 0;
  #timer: Timer | undefined;

  /** @param kept the SVID of before, which may be good no more */
  private constructor(authority: Authority, key: IdentityKey, options: HubIssuerOptions, kept = '') {
    this.#authority = authority;
    this.#key = key;
    this.#kept = kept;
    this.#options = options;
    const { platform, log, store, limits, stateFile } = options;
    this.holders = new Holders({ store, log, clock: platform.clock, removed: () => authority.ring.removed });
    this.audit = new AuditLog({
      ...{ store, log, clock: platform.clock, sha256: platform.crypto.sha256, maxBytes: limits.maxAuditBytes },
      bundle: () => authority.bundle(),
      sign: (type, claims) => authority.sign(type, claims),
    });
    this.keys = new KeyKeeper({
      ...{ authority, store, log, life: limits.keys, clock: platform.clock },
      ...{ random: platform.random, files: platform.files },
      copyFile: stateFile === undefined ? undefined : toCopyFile(stateFile),
      onChange: () => this.#onKeys(),
    });
  }

  /** The issuer it was, or a new one at the first start. @throws SkeinError SKEIN_CONFIG, SKEIN_STORE */
  static async open(options: HubIssuerOptions): Promise<HubIssuer> {
    const { platform, stateFile } = options;
    const { clock, files } = platform;
    const stored = stateFile === undefined ? undefined : await files?.read(stateFile);
    // A new issuer would only be in the way of the right one.
    if (stored === undefined && options.anchor !== undefined) {
      throw otherIssuer(options.anchor, { file: stateFile ?? '' });
    }
    const state = stored === undefined ? undefined : readState(stored, stateFile ?? '');
    const trustDomain = options.trustDomain ?? state?.trustDomain ?? DEFAULT_TRUST_DOMAIN;
    const authority = await Authority.create({ trustDomain, clock, ...(state === undefined ? {} : { state }) });
    if (stateFile !== undefined && state?.jwt === undefined) {
      const fresh = await authority.exportState();
      await files?.replace(stateFile, encodeUtf8(`${JSON.stringify(fresh.reveal())}\n`));
    }
    const own = options.ownFile === undefined ? undefined : await readOwnIdentity(files, options.ownFile);
    return new HubIssuer(authority, own?.key ?? (await createIdentityKey()), options, own?.wit);
  }

  /** Finds the keys that sign now. Not before it is known that this is the issuer of the store. @throws SkeinError SKEIN_STORE */
  async start(): Promise<void> {
    await this.audit.open();
    await this.keys.open();
    if (this.#wit === '' && this.#kept !== '') await this.#takeKept();
    if (this.#wit === '') await this.#renewOwn();
    // There is something that newcomers can go on from.
    if (this.audit.told === '') await this.audit.endStretch(0);
    const { clock } = this.#options.platform;
    const checkMs = Math.min(RENEWAL_CHECK_MS, this.#options.limits.svidLifetimeMs / RENEWALS);
    this.#timer = setPeriodic(clock, checkMs, () => {
      const nowMs = clock.epochMs();
      // A clock that had jumped ahead and is right again has issued it for a time that nobody else has yet.
      if (nowMs >= this.#renewAtMs || nowMs < this.#issuedAtMs) void this.#renew();
      void this.#renewBundle();
    });
  }

  get trustDomain(): string {
    return this.#authority.trustDomain;
  }

  get thumbprint(): string {
    return this.#authority.thumbprint;
  }

  bundle(): TrustBundle {
    return this.#authority.bundle();
  }

  /** What the hub shows in a handshake. */
  credential(): OwnCredential {
    return { wit: this.#wit, key: this.#key };
  }

  async issue(
    id: SpiffeId,
    {
      publicJwk,
      thumbprint,
      services,
      joinedAtMs,
      hubRoles,
    }: Pick<Grant, 'publicJwk' | 'thumbprint' | 'services' | 'joinedAtMs' | 'hubRoles'>,
    kind: keyof typeof BY,
  ): Promise<{ readonly wit: string; readonly expiresAtMs: number }> {
    const lifetimeMs = this.#options.limits.svidLifetimeMs;
    const expiresAtMs = this.#options.platform.clock.epochMs() + lifetimeMs;
    // In the log before anybody has it.
    await this.audit.append({ kind, id: id.uri, key: thumbprint, by: BY[kind] });
    const wit = await this.#authority.issueWit({ id, publicJwk, services, joinedAtMs, hubRoles, lifetimeMs });
    this.issued++;
    this.#options.log.log('debug', 'svid-issued', { id: id.uri, services });
    return { wit, expiresAtMs };
  }

  /** An SVID for who has shown at this hub who it is. @throws SkeinError SKEIN_IDENTITY when the one by which it has is good no more */
  async issueTo(peer: PeerIdentity): Promise<{ readonly wit: string; readonly expiresAtMs: number }> {
    const isKnown = isVouchedFor(this.bundle(), peer) || (await this.holders.vouches(peer));
    // Its SVID may be of another key by now, which another hub has made while it did not know better.
    if (!isKnown || (await this.holders.isOfRemoved(peer))) throw keyRemoved('Cannot issue SVID');
    const issued = await this.issue(peer.id, peer.grant as Grant, kindOf(peer.grant as Grant));
    await this.holders.note(peer, issued.expiresAtMs);
    return issued;
  }

  /** A bearer token by which its holder shows `audience` who it is. @throws SkeinError SKEIN_BAD_REQUEST */
  async issueJwt(
    id: SpiffeId,
    { thumbprint, joinedAtMs }: Pick<Grant, 'thumbprint' | 'joinedAtMs'>,
    audience: string,
  ): Promise<IssuedJwt> {
    const tokenId = createId(this.#options.platform.random);
    const issued = await this.#authority.issueJwt(id, audience, tokenId, { key: thumbprint, joinedAtMs });
    this.issuedJwts++;
    this.#options.log.log('debug', 'token-issued', { id: id.uri, audience });
    return issued;
  }

  sign(type: StatementType, claims: Claims): Promise<string> {
    return this.#authority.sign(type, claims);
  }

  close(): void {
    this.#timer?.cancel();
    this.keys.close();
  }

  /** The own SVID is renewed first: members that connect from now on may not know the key that has signed it before. */
  async #onKeys(): Promise<void> {
    await this.#renew();
    this.onBundle();
    const kids = this.bundle().keys.map(({ kid, use }) => `${use} ${kid}`);
    await this.audit
      .append({ kind: 'keys', id: toHubId(this.trustDomain).uri, by: 'issuer', what: kids.join(', ') })
      .catch((thrown) => this.#options.log.log('error', 'audit-not-written', { error: toSkeinError(thrown).message }));
  }

  async #renewOwn(): Promise<void> {
    const { platform, roles } = this.#options;
    const { clock } = platform;
    const { publicJwk, thumbprint } = this.#key;
    const nowMs = clock.epochMs();
    const { wit } = await this.issue(
      toHubId(this.trustDomain),
      { publicJwk, thumbprint, services: [], joinedAtMs: nowMs, hubRoles: roles },
      'hub',
    );
    this.#adopt(wit, nowMs);
    const { ownFile } = this.#options;
    if (ownFile !== undefined) await keepOwnIdentity(platform.files, ownFile, this.credential());
  }

  async #takeKept(): Promise<void> {
    const { platform, roles } = this.#options;
    const { clock } = platform;
    const own = { key: this.#key, wit: this.#kept };
    const now = { bundle: this.bundle(), trustDomain: this.trustDomain, roles, clock };
    const said = await checkOwnIdentity(own, now);
    if (said === undefined) return;
    this.#adopt(own.wit, said.issuedAtMs);
    if (clock.epochMs() >= this.#renewAtMs) this.#wit = '';
  }

  #adopt(wit: string, issuedAtMs: number): void {
    const { platform, limits } = this.#options;
    this.#wit = wit;
    this.#issuedAtMs = issuedAtMs;
    this.#renewAtMs = issuedAtMs + jitter(platform.random, limits.svidLifetimeMs / RENEWALS, RENEW_SPREAD);
  }

  async #renewBundle(): Promise<void> {
    try {
      if (await this.#authority.renewBundle()) this.onBundle();
    } catch (thrown) {
      this.#options.log.log('error', 'bundle-not-signed', { error: toSkeinError(thrown).message });
    }
  }

  async #renew(): Promise<void> {
    try {
      await this.#renewOwn();
    } catch (thrown) {
      this.#options.log.log('error', 'hub-svid-not-renewed', { error: toSkeinError(thrown).message });
    }
  }
}

/** By what right an SVID is issued. */
const BY = { join: 'join-token', renew: 'svid', hub: 'issuer' } as const;

function kindOf({ kind, hubRoles }: Grant): keyof typeof BY {
  if (hubRoles !== undefined) return 'hub';
  return kind === 'newcomer' ? 'join' : 'renew';
}

/** Beside it: the ring as this hub has seen it last. */
function toCopyFile(stateFile: string): string {
  return stateFile.replace(/[^/]*$/, 'keys.json');
}

function readState(bytes: Bytes, path: string): Partial<AuthorityState> {
  try {
    return JSON.parse(decodeUtf8(bytes)) as Partial<AuthorityState>;
  } catch {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read issuer state '${path}': it is not JSON`, {
      details: { path, remedy: 'restore the file from a backup; a new one would shut out every sidecar' },
    });
  }
}
