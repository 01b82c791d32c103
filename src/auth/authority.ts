/** The issuer: it holds the signing keys of a trust domain, signs SVIDs and publishes the bundle. */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { Redacted } from '../core/redacted.ts';
import { isTrustDomain, type SpiffeId } from '../core/spiffe-id.ts';
import type { HubRole } from './hub-role.ts';
import { isAudience, JWT_SVID_LIFETIME_MS, type JwtSvidClaims, mintJwtSvid } from './jwt-svid.ts';
import { createIdentityKey, type IdentityKey, importIdentityKey, type PrivateJwk, type PublicJwk } from './key-pair.ts';
import { beginRing, currentKey, type KeyRing } from './key-ring.ts';
import { openRing, sealRing } from './ring-seal.ts';
import { BUNDLE_LIFE_MS, BUNDLE_RESIGN_MS, endOf, signBundle } from './signed-bundle.ts';
import { type Claims, type StatementType, signStatement } from './statement.ts';
import { mintWit } from './svid.ts';
import type { BundleKey, KeyUse, TrustBundle } from './trust-bundle.ts';
import { WIT_LIFETIME_MS } from './validity.ts';

const REFRESH_HINT_SECONDS = 300;

/** What the hub keeps in a 0600 file, and does not change: the keys that came after these are sealed under the first. */
export interface AuthorityState {
  readonly trustDomain: string;
  readonly sequence: number;
  /** The anchor: signs what the issuer states, the bundle among it; and SVIDs until the first rotation. */
  readonly wit: PrivateJwk;
  /** Signs bearer tokens: another key, so that neither kind of token can be taken for the other. */
  readonly jwt: PrivateJwk;
}

export interface WitRequest {
  readonly id: SpiffeId;
  readonly publicJwk: PublicJwk;
  /** Services the holder may serve, as `name.namespace`. */
  readonly services: readonly string[];
  /** When the holder joined the mesh. @default now */
  readonly joinedAtMs?: number;
  /** What a hub may do for members. */
  readonly hubRoles?: readonly HubRole[] | undefined;
  /** @default WIT_LIFETIME_MS */
  readonly lifetimeMs?: number;
}

export interface IssuedJwt {
  readonly token: string;
  readonly expiresAtMs: number;
}

export class Authority {
  readonly trustDomain: string;
  readonly #clock: Clock;
  readonly #anchor: IdentityKey;
  #ring: KeyRing;
  #bundle: TrustBundle;

  private constructor(trustDomain: string, clock: Clock, anchor: IdentityKey, ring: KeyRing, bundle: TrustBundle) {
    this.trustDomain = trustDomain;
    this.#clock = clock;
    this.#anchor = anchor;
    this.#ring = ring;
    this.#bundle = bundle;
  }

  /** With `state` the issuer it was, without it a new one. @throws SkeinError SKEIN_CONFIG */
  static async create(options: {
    readonly trustDomain: string;
    readonly clock: Clock;
    readonly state?: unknown;
  }): Promise<Authority> {
    const { trustDomain, clock, state } = options;
    if (!isTrustDomain(trustDomain))
      throw new SkeinError('SKEIN_CONFIG', `Cannot create issuer: "${trustDomain}" is not a trust domain`);
    const { anchor, jwt, sequence } = await readState(trustDomain, state as Partial<AuthorityState> | undefined);
    const ring = beginRing({ 'wit-svid': anchor, 'jwt-svid': jwt }, sequence, clock.epochMs());
    return new Authority(trustDomain, clock, anchor, ring, await toBundle(ring, anchor, clock.epochMs()));
  }

  /** RFC 7638 thumbprint of the anchor: join tokens carry it, so a newcomer knows its hub before it speaks. */
  get thumbprint(): string {
    return this.#anchor.thumbprint;
  }

  get ring(): KeyRing {
    return this.#ring;
  }

  /** Signs by the keys of `ring` from now on, and publishes them. */
  async useRing(ring: KeyRing): Promise<void> {
    const bundle = await toBundle(ring, this.#anchor, this.#clock.epochMs());
    this.#ring = ring;
    this.#bundle = bundle;
  }

  /** Signs the bundle anew where that is due, and whenever the clock has jumped. @returns whether it has */
  async renewBundle(): Promise<boolean> {
    const ageMs = this.#clock.epochMs() - (endOf(this.#bundle) - BUNDLE_LIFE_MS);
    if (ageMs >= 0 && ageMs < BUNDLE_RESIGN_MS) return false;
    const ring = this.#ring;
    const bundle = await toBundle(ring, this.#anchor, this.#clock.epochMs());
    if (this.#ring !== ring) return false; // it has been signed with others meanwhile
    this.#bundle = bundle;
    return true;
  }

  /** As text that only who has the anchor can read or make. */
  sealRing(ring: KeyRing, random: Random): Promise<string> {
    return sealRing(ring, this.#anchor, random);
  }

  /** @throws SkeinError SKEIN_STORE */
  openRing(sealed: string): Promise<KeyRing> {
    return openRing(sealed, this.#anchor);
  }

  issueWit(request: WitRequest): Promise<string> {
    if (request.id.trustDomain !== this.trustDomain) {
      return Promise.reject(
        new SkeinError('SKEIN_IDENTITY', 'Cannot issue WIT-SVID: the id is of another trust domain'),
      );
    }
    const nowMs = this.#clock.epochMs();
    const key = currentKey(this.#ring, 'wit-svid');
    return mintWit(key, key.thumbprint, {
      id: request.id,
      publicJwk: request.publicJwk,
      services: request.services,
      hubRoles: request.hubRoles,
      joinedAtMs: request.joinedAtMs ?? nowMs,
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + (request.lifetimeMs ?? WIT_LIFETIME_MS),
    });
  }

  /** A JWT-SVID that tells `audience` who its holder is. @throws SkeinError SKEIN_BAD_REQUEST */
  async issueJwt(id: SpiffeId, audience: string, tokenId: string, holder: JwtSvidClaims['holder']): Promise<IssuedJwt> {
    if (id.trustDomain !== this.trustDomain)
      throw new SkeinError('SKEIN_IDENTITY', 'Cannot issue JWT-SVID: the id is of another trust domain');
    if (!isAudience(audience)) {
      throw new SkeinError(
        'SKEIN_BAD_REQUEST',
        'Cannot issue JWT-SVID: the audience is no text of 1 to 512 characters',
      );
    }
    const issuedAtMs = this.#clock.epochMs();
    const key = currentKey(this.#ring, 'jwt-svid');
    const token = await mintJwtSvid(key, key.thumbprint, { id, audience, tokenId, issuedAtMs, holder });
    return { token, expiresAtMs: issuedAtMs + JWT_SVID_LIFETIME_MS };
  }

  /** Signs what is no identity. It outlives the keys that sign identities, so the anchor signs it. */
  sign(type: StatementType, claims: Claims): Promise<string> {
    return signStatement(this.#anchor, type, claims);
  }

  /** The same object as long as nothing changes. */
  bundle(): TrustBundle {
    return this.#bundle;
  }

  /** For the file of the first start: of the keys that are in use then. */
  async exportState(): Promise<Redacted<AuthorityState>> {
    const wit = (await this.#anchor.exportPrivate()).reveal();
    const jwt = (await currentKey(this.#ring, 'jwt-svid').exportPrivate()).reveal();
    return new Redacted({ trustDomain: this.trustDomain, sequence: this.#ring.sequence, wit, jwt });
  }
}

async function readState(
  trustDomain: string,
  state: Partial<AuthorityState> | undefined,
): Promise<{ readonly anchor: IdentityKey; readonly jwt: IdentityKey; readonly sequence: number }> {
  if (state === undefined) return { anchor: await createIdentityKey(), jwt: await createIdentityKey(), sequence: 1 };
  const { trustDomain: stored, sequence, wit, jwt } = state;
  if (stored !== trustDomain) {
    throw new SkeinError(
      'SKEIN_CONFIG',
      `Cannot use issuer state: it is of trust domain "${String(stored)}", not "${trustDomain}"`,
    );
  }
  const before = Number.isSafeInteger(sequence) ? (sequence as number) : 1;
  return {
    anchor: await importIdentityKey(wit),
    // An issuer of before has none; with it the bundle becomes another one.
    jwt: jwt === undefined ? await createIdentityKey() : await importIdentityKey(jwt),
    sequence: jwt === undefined ? before + 1 : before,
  };
}

/** The anchor first, whether it signs SVIDs or not: it has signed the bundle. */
function toBundle({ sequence, keys }: KeyRing, anchor: IdentityKey, nowMs: number): Promise<TrustBundle> {
  const others = keys.filter(({ key }) => key.thumbprint !== anchor.thumbprint);
  const published = [toBundleKey(anchor, 'wit-svid'), ...others.map(({ key, use }) => toBundleKey(key, use))];
  return signBundle(
    { keys: published, spiffe_sequence: sequence, spiffe_refresh_hint: REFRESH_HINT_SECONDS },
    anchor,
    nowMs,
  );
}

function toBundleKey({ publicJwk, thumbprint }: IdentityKey, use: KeyUse): BundleKey {
  return { ...publicJwk, kid: thumbprint, use };
}
