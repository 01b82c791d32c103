/** Trust domains whose JWT-SVIDs are believed: the own one, and those for which the last catalogue has a bundle. */

import { parseKeySet } from '../auth/key-set.ts';
import type { Holder } from '../auth/revocation.ts';
import type { SigningKeys } from '../auth/signing-keys.ts';
import { FEDERATED_TRUST_DOMAIN, parseFederatedTrustDomain } from '../catalog/federated-trust-domain.ts';
import type { Manifest } from '../catalog/resource.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import type { Logger } from '../core/log.ts';
import type { JwtTrust } from './authentications.ts';

/** What this member is. */
export interface OwnTrust {
  readonly trustDomain: () => string;
  /** Keys that sign JWT-SVIDs of its trust domain. */
  readonly jwtKeys: () => SigningKeys | undefined;
  readonly isRevoked: (holder: Holder) => boolean;
}

export class FederatedTrust implements JwtTrust {
  readonly #log: Logger;
  readonly #own: OwnTrust;
  #manifests: readonly Manifest[] = [];
  #domains: ReadonlyMap<string, SigningKeys> = new Map();

  constructor(log: Logger, own: OwnTrust) {
    this.#log = log;
    this.#own = own;
  }

  get trustDomain(): string {
    return this.#own.trustDomain();
  }

  /** Undefined: nobody vouches for that trust domain. What a catalogue says of the own one counts for nothing. */
  keysOf(trustDomain: string): SigningKeys | undefined {
    return trustDomain === this.trustDomain ? this.#own.jwtKeys() : this.#domains.get(trustDomain);
  }

  isRevoked(holder: Holder): boolean {
    return this.#own.isRevoked(holder);
  }

  /** @returns whether it is another catalogue for it */
  follow(snapshot: Snapshot): boolean {
    const manifests = snapshot.manifests(FEDERATED_TRUST_DOMAIN);
    if (manifests === this.#manifests || manifests.length + this.#manifests.length === 0) return false;
    this.#manifests = manifests;
    const domains = new Map<string, SigningKeys>();
    for (const manifest of manifests) {
      const parsed = parseFederatedTrustDomain(manifest);
      if ('issues' in parsed) {
        const { name } = manifest.metadata;
        this.#log.log('error', 'trust-domain-unreadable', { name, issues: parsed.issues });
        continue;
      }
      const { trustDomain, bundle } = parsed.value.spec;
      // Of two the first by name, so that all members believe the same.
      if (!domains.has(trustDomain)) domains.set(trustDomain, parseKeySet(bundle, { isFor: () => true }));
    }
    this.#domains = domains;
    this.#log.log('info', 'trust-domains-changed', { federated: [...domains.keys()] });
    return true;
  }
}
