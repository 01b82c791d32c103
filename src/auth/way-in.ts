/** What a newcomer shows to be let in, and by what it knows its hub before it shows it. */

import { type Bytes, encodeUtf8, toBase64Url } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { Redacted } from '../core/redacted.ts';
import { isTrustDomain } from '../core/spiffe-id.ts';
import { looksLikeJwt } from './compact-jws.ts';
import type { Credential } from './credential-codec.ts';
import { parseJoinToken } from './join-token.ts';

export interface WayIn {
  readonly trustDomain: string;
  /** RFC 7638 thumbprints, base64url: a hub whose bundle one of these keys has signed. */
  readonly issuerThumbprints: readonly string[];
  /** Tells this token from others; no secret. */
  readonly id: string;
  readonly shown: Redacted<Pick<Credential, 'joinId' | 'joinSecret' | 'platformToken'>>;
}

export interface KnownHub {
  readonly thumbprints: readonly string[];
  readonly trustDomain: string;
}

/**
 * A join token says itself which hub it is for; the token of a platform does not.
 * @throws SkeinError SKEIN_TOKEN_INVALID, SKEIN_CONFIG
 */
export function parseWayIn(text: string, hub: KnownHub, sha256: (...parts: readonly Bytes[]) => Bytes): WayIn {
  const trimmed = text.trim();
  if (!looksLikeJwt(trimmed)) {
    const { trustDomain, issuerThumbprint, id, secret } = parseJoinToken(text);
    const shown = { joinId: id, joinSecret: secret.reveal() };
    return { trustDomain, issuerThumbprints: [issuerThumbprint], id, shown: new Redacted(shown) };
  }
  if (hub.thumbprints.length === 0) {
    throw new SkeinError(
      'SKEIN_CONFIG',
      'Cannot join with the token of a platform: it is not known which hub to trust',
      {
        details: {
          remedy:
            'Give the thumbprint of the hub with --hub-thumbprint; the hub tells it in its log line "hub-listening".',
        },
      },
    );
  }
  return {
    trustDomain: hub.trustDomain,
    issuerThumbprints: hub.thumbprints,
    id: toBase64Url(sha256(encodeUtf8('skein/1 platform-token'), encodeUtf8(trimmed))),
    shown: new Redacted({ platformToken: trimmed }),
  };
}

/** @throws SkeinError SKEIN_CONFIG */
export function checkKnownHub({ thumbprints, trustDomain }: KnownHub): void {
  for (const thumbprint of thumbprints) {
    if (/^[\w-]{43}$/.test(thumbprint)) continue;
    throw new SkeinError(
      'SKEIN_CONFIG',
      `Cannot use hub thumbprint "${thumbprint}": expected 43 characters of base64url`,
    );
  }
  if (!isTrustDomain(trustDomain))
    throw new SkeinError('SKEIN_CONFIG', `Cannot use trust domain "${trustDomain}": expected a-z, 0-9, ., _ and -`);
}
