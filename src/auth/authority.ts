/** The issuer: it holds the signing keys of a trust domain, signs SVIDs and publishes the bundle. */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { Redacted } from '../core/redacted.ts';
import { isTrustDomain, type SpiffeId } from '../core/spiffe-id.ts';
import { isAudience, JWT_SVID_LIFETIME_MS, mintJwtSvid } from './jwt-svid.ts';
import { createIdentityKey, type IdentityKey, importIdentityKey, type PrivateJwk, type PublicJwk } from './key-pair.ts';
import { type Claims, type StatementType, signStatement } from './statement.ts';
import { mintWit } from './svid.ts';
import type { BundleKey, TrustBundle } from './trust-bundle.ts';

/** Long, because hubs may be away for a night; renewed hourly, and ended early by revocation, not by expiry. */
export const WIT_LIFETIME_MS = 24 * 3_600_000;
const REFRESH_HINT_SECONDS = 300;

/** What the hub keeps in a 0600 file. */
export interface AuthorityState {
  readonly trustDomain: string;
  readonly sequence: number;
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
  readonly #witKey: IdentityKey;
  readonly #jwtKey: IdentityKey;
  readonly #sequence: number;
  readonly #bundle: TrustBundle;

  private constructor(
    trustDomain: string,
    clock: Clock,
    { witKey, jwtKey, sequence }: { witKey: IdentityKey; jwtKey: IdentityKey; sequence: number },
  ) {
    this.trustDomain = trustDomain;
    this.#clock = clock;
    this.#witKey = witKey;
    this.#jwtKey = jwtKey;
    this.#sequence = sequence;
    const keys: readonly BundleKey[] = [
      { ...witKey.publicJwk, kid: witKey.thumbprint, use: 'wit-svid' },
      { ...jwtKey.publicJwk, kid: jwtKey.thumbprint, use: 'jwt-svid' },
    ];
    this.#bundle = { keys, spiffe_sequence: sequence, spiffe_refresh_hint: REFRESH_HINT_SECONDS };
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
    if (state === undefined) {
      const [witKey, jwtKey] = [await createIdentityKey(), await createIdentityKey()];
      return new Authority(trustDomain, clock, { witKey, jwtKey, sequence: 1 });
    }
    const { trustDomain: stored, sequence, wit, jwt } = state as Partial<AuthorityState>;
    if (stored !== trustDomain) {
      throw new SkeinError(
        'SKEIN_CONFIG',
        `Cannot use issuer state: it is of trust domain "${String(stored)}", not "${trustDomain}"`,
      );
    }
    const before = Number.isSafeInteger(sequence) ? (sequence as number) : 1;
    return new Authority(trustDomain, clock, {
      witKey: await importIdentityKey(wit),
      // An issuer of before has none; with it the bundle becomes another one.
      jwtKey: jwt === undefined ? await createIdentityKey() : await importIdentityKey(jwt),
      sequence: jwt === undefined ? before + 1 : before,
    });
  }

  /** RFC 7638 thumbprint of the signing key: join tokens carry it, so a newcomer knows its hub before it speaks. */
  get thumbprint(): string {
    return this.#witKey.thumbprint;
  }

  issueWit(request: WitRequest): Promise<string> {
    if (request.id.trustDomain !== this.trustDomain) {
      return Promise.reject(
        new SkeinError('SKEIN_IDENTITY', 'Cannot issue WIT-SVID: the id is of another trust domain'),
      );
    }
    const nowMs = this.#clock.epochMs();
    return mintWit(this.#witKey, this.thumbprint, {
      id: request.id,
      publicJwk: request.publicJwk,
      services: request.services,
      joinedAtMs: request.joinedAtMs ?? nowMs,
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + (request.lifetimeMs ?? WIT_LIFETIME_MS),
    });
  }

  /** A JWT-SVID that tells `audience` who its holder is. @throws SkeinError SKEIN_BAD_REQUEST */
  async issueJwt(id: SpiffeId, audience: string, tokenId: string): Promise<IssuedJwt> {
    if (id.trustDomain !== this.trustDomain)
      throw new SkeinError('SKEIN_IDENTITY', 'Cannot issue JWT-SVID: the id is of another trust domain');
    if (!isAudience(audience)) {
      throw new SkeinError(
        'SKEIN_BAD_REQUEST',
        'Cannot issue JWT-SVID: the audience is no text of 1 to 512 characters',
      );
    }
    const issuedAtMs = this.#clock.epochMs();
    const token = await mintJwtSvid(this.#jwtKey, this.#jwtKey.thumbprint, { id, audience, tokenId, issuedAtMs });
    return { token, expiresAtMs: issuedAtMs + JWT_SVID_LIFETIME_MS };
  }

  /** Signs what is no identity. */
  sign(type: StatementType, claims: Claims): Promise<string> {
    return signStatement(this.#witKey, this.thumbprint, type, claims);
  }

  /** The same object as long as nothing changes. */
  bundle(): TrustBundle {
    return this.#bundle;
  }

  /** The set an ordinary OIDC verifier reads: keys of bearer tokens only, without `use`. */
  jwks(): { readonly keys: readonly Omit<BundleKey, 'use'>[] } {
    return {
      keys: this.bundle()
        .keys.filter(({ use }) => use === 'jwt-svid')
        .map(({ use: _use, ...key }) => key),
    };
  }

  async exportState(): Promise<Redacted<AuthorityState>> {
    const wit = (await this.#witKey.exportPrivate()).reveal();
    const jwt = (await this.#jwtKey.exportPrivate()).reveal();
    return new Redacted({ trustDomain: this.trustDomain, sequence: this.#sequence, wit, jwt });
  }
}
