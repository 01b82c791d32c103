/** The keys of one issuer as a verifier looks them up, whatever document they were published in. */

import { findKey, type KeyUse, type TrustBundle, toCryptoKey } from './trust-bundle.ts';

export interface SigningKeys {
  find(keyId: string): SigningKey | undefined;
}

export interface SigningKey {
  /** Those its type can be used with, of those that its issuer may use; a header is compared with them and never believed. */
  readonly algorithms: readonly string[];
  /** @throws when it is no key of that algorithm */
  load(algorithm: string): Promise<CryptoKey>;
}

/** The keys that the own issuer uses for `use`. */
export function toSigningKeys(bundle: TrustBundle, use: KeyUse): SigningKeys {
  return {
    find(keyId) {
      const key = findKey(bundle, keyId, use);
      return key === undefined ? undefined : { algorithms: ['ES256'], load: () => toCryptoKey(key) };
    },
  };
}
