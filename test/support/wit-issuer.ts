/** An issuer, one good WIT-SVID of it, and the means to change that in any one respect and sign it anew. */
import { Authority } from '../../src/auth/authority.ts';
import { createIdentityKey, type IdentityKey, importIdentityKey } from '../../src/auth/key-pair.ts';
import { verifyWit, type Wit } from '../../src/auth/svid.ts';
import { decodeUtf8, encodeUtf8, fromBase64Url, toBase64Url } from '../../src/core/bytes.ts';
import { parseSpiffeId } from '../../src/core/spiffe-id.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';

export type Json = Readonly<Record<string, unknown>>;

export const TRUST_DOMAIN = 'test.mesh';
export const HOLDER_ID = 'spiffe://test.mesh/ns/default/sa/api';

export class WitIssuer {
  readonly clock = new VirtualClock();
  readonly authority: Authority;
  readonly holder: IdentityKey;
  readonly signingKey: IdentityKey;
  readonly good: string;
  readonly header: Json;
  readonly claims: Json;

  private constructor(authority: Authority, holder: IdentityKey, signingKey: IdentityKey, good: string) {
    this.authority = authority;
    this.holder = holder;
    this.signingKey = signingKey;
    this.good = good;
    const [header = '', claims = ''] = good.split('.');
    this.header = JSON.parse(decodeUtf8(fromBase64Url(header))) as Json;
    this.claims = JSON.parse(decodeUtf8(fromBase64Url(claims))) as Json;
  }

  static async create(): Promise<WitIssuer> {
    const authority = await Authority.create({ trustDomain: TRUST_DOMAIN, clock: new VirtualClock() });
    const holder = await createIdentityKey();
    const signingKey = await importIdentityKey((await authority.exportState()).reveal().wit);
    let good: string;
    // One signature in fifteen holds neither letter that base64 writes differently, and one mutant exchanges such a letter.
    do {
      good = await authority.issueWit({
        id: parseSpiffeId(HOLDER_ID),
        publicJwk: holder.publicJwk,
        services: ['api.default'],
      });
    } while (!/[-_]/.test(good));
    return new WitIssuer(authority, holder, signingKey, good);
  }

  verify(token: string, clock = this.clock): Promise<Wit> {
    return verifyWit(token, this.authority.bundle(), { clock, trustDomain: TRUST_DOMAIN });
  }

  /** Signed with the real signing key, so that nothing but the content can be the reason of a refusal. */
  async sign(header: string, claims: string, key = this.signingKey): Promise<string> {
    const signed = `${toSegment(header)}.${toSegment(claims)}`;
    return `${signed}.${toBase64Url(await key.sign(encodeUtf8(signed)))}`;
  }

  /** The good one with members that are changed, or left out where they are undefined. */
  withHeader(change: Json): Promise<string> {
    return this.sign(JSON.stringify({ ...this.header, ...change }), JSON.stringify(this.claims));
  }

  withClaims(change: Json): Promise<string> {
    return this.sign(JSON.stringify(this.header), JSON.stringify({ ...this.claims, ...change }));
  }

  /** The good one with another text of its header or claims. */
  withText(part: 'header' | 'claims', change: (text: string) => string): Promise<string> {
    const [header, claims] = [JSON.stringify(this.header), JSON.stringify(this.claims)];
    return part === 'header' ? this.sign(change(header), claims) : this.sign(header, change(claims));
  }
}

function toSegment(text: string): string {
  return toBase64Url(encodeUtf8(text));
}
