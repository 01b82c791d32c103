/** JWK Set of a bundle, as an ordinary OIDC verifier reads it. */

import type { BundleKey, TrustBundle } from './trust-bundle.ts';

export interface Jwks {
  readonly keys: readonly Omit<BundleKey, 'use'>[];
}

/** Keys of bearer tokens only, without `use`. */
export function toJwks({ keys }: TrustBundle): Jwks {
  return { keys: keys.filter(({ use }) => use === 'jwt-svid').map(({ use: _use, ...key }) => key) };
}
