/** One good token and the means to change it in any one respect and sign it anew, with the key that signed it. */
import type { IdentityKey } from '../../src/auth/key-pair.ts';
import { decodeUtf8, encodeUtf8, fromBase64Url, toBase64Url } from '../../src/core/bytes.ts';

export type Json = Readonly<Record<string, unknown>>;

export class TokenForge {
  readonly signingKey: IdentityKey;
  readonly good: string;
  readonly header: Json;
  readonly claims: Json;

  constructor(signingKey: IdentityKey, good: string) {
    this.signingKey = signingKey;
    this.good = good;
    const [header = '', claims = ''] = good.split('.');
    this.header = JSON.parse(decodeUtf8(fromBase64Url(header))) as Json;
    this.claims = JSON.parse(decodeUtf8(fromBase64Url(claims))) as Json;
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
