/**
 * Standing: by what a hub is one. It is the issuer itself and holds the signing key, or it holds an SVID that an issuer has given
 * to it, which says what it may do; then no key of the issuer is anywhere near it.
 */

import type { OwnCredential } from '../auth/authenticator.ts';
import type { HubRole } from '../auth/hub-role.ts';
import type { SignedRevocations } from '../auth/signed-revocations.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { SkeinError } from '../core/errors.ts';

/** Who a hub shows to be, and whom it believes. */
export interface HubStanding {
  readonly trustDomain: string;
  /** RFC 7638 thumbprint of the key of the issuer. */
  readonly thumbprint: string;
  bundle(): TrustBundle;
  credential(): OwnCredential;
  /** The bundle is another one from now on, or signed anew; the hub sets it. */
  onBundle: () => void;
  close(): void;
}

/** That of a hub which an issuer has let in. */
export interface HubMembership extends HubStanding {
  /** What its SVID says. */
  readonly roles: readonly HubRole[];
  /** As the issuer has signed them; undefined before it is known of any. */
  readonly revocations: SignedRevocations | undefined;
  /** Others are revoked from now on; the hub sets it. */
  onRevocations: () => void;
}

/** @param action what cannot be done here */
export function noIssuer(action: string): SkeinError {
  return new SkeinError('SKEIN_REFUSED', `${action}: this hub is no issuer`, {
    details: { remedy: 'Ask the hub that issues, with --hub.' },
  });
}
