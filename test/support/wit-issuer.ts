/** An issuer with one good WIT-SVID of it and one good JWT-SVID, to be changed and signed anew. */
import { Authority } from '../../src/auth/authority.ts';
import { type JwtSvid, verifyJwtSvid } from '../../src/auth/jwt-svid.ts';
import { createIdentityKey, type IdentityKey, importIdentityKey } from '../../src/auth/key-pair.ts';
import { toSigningKeys } from '../../src/auth/signing-keys.ts';
import { verifyWit, type Wit } from '../../src/auth/svid.ts';
import { parseSpiffeId } from '../../src/core/spiffe-id.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { TokenForge } from './token-forge.ts';

export const TRUST_DOMAIN = 'test.mesh';
export const HOLDER_ID = 'spiffe://test.mesh/ns/default/sa/api';
export const AUDIENCE = 'https://shop.example.com';

export class WitIssuer {
  readonly clock = new VirtualClock();
  readonly authority: Authority;
  readonly holder: IdentityKey;
  readonly wit: TokenForge;
  readonly jwt: TokenForge;

  private constructor(authority: Authority, holder: IdentityKey, wit: TokenForge, jwt: TokenForge) {
    this.authority = authority;
    this.holder = holder;
    this.wit = wit;
    this.jwt = jwt;
  }

  static async create(): Promise<WitIssuer> {
    const authority = await Authority.create({ trustDomain: TRUST_DOMAIN, clock: new VirtualClock() });
    const holder = await createIdentityKey();
    const keys = (await authority.exportState()).reveal();
    const id = parseSpiffeId(HOLDER_ID);
    const wit = await authority.issueWit({ id, publicJwk: holder.publicJwk, services: ['api.default'] });
    const jwt = (await authority.issueJwt(id, AUDIENCE, 'token-1', { joinedAtMs: 0 })).token;
    return new WitIssuer(
      authority,
      holder,
      new TokenForge(await importIdentityKey(keys.wit), wit),
      new TokenForge(await importIdentityKey(keys.jwt), jwt),
    );
  }

  verifyWit(token: string, clock = this.clock): Promise<Wit> {
    return verifyWit(token, this.authority.bundle(), { clock, trustDomain: TRUST_DOMAIN });
  }

  verifyJwt(token: string, clock = this.clock, audience = AUDIENCE): Promise<JwtSvid> {
    const keys = toSigningKeys(this.authority.bundle(), 'jwt-svid');
    const keysOf = (domain: string) => (domain === TRUST_DOMAIN ? keys : undefined);
    return verifyJwtSvid(token, { clock, trustDomain: TRUST_DOMAIN, audience, keysOf, isRevoked: () => false });
  }
}
