/** Known revocations: the newest list that a hub has passed on and the issuer has signed. */

import { type RevocationList, Revocations } from '../auth/revocation.ts';
import {
  areSameEntries,
  type RevocationsRefusal,
  type SignedRevocations,
  whyNotSaid,
} from '../auth/signed-revocations.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import type { Logger } from '../core/log.ts';

export class KnownRevocations {
  /** Lists that were not taken over, by why. */
  readonly refused: Record<RevocationsRefusal, number> = { unsigned: 0, forged: 0, fork: 0 };
  readonly #log: Logger;
  #current = new Revocations();
  #signed: SignedRevocations | undefined;

  /** @param log hubs decide how often there is something to refuse: it should be limited */
  constructor(log: Logger) {
    this.#log = log;
  }

  get current(): Revocations {
    return this.#current;
  }

  /** As the issuer has signed them; undefined before there are any. */
  get signed(): SignedRevocations | undefined {
    return this.#signed;
  }

  /** Takes over a later list that the issuer of `bundle` has signed; false: it is none. */
  async offer(offered: RevocationList & { readonly head?: string | undefined }, bundle: TrustBundle): Promise<boolean> {
    const why = await whyNotSaid(offered, bundle);
    const { list } = this.#current;
    const isSame = offered.number === list.number && list.number > 0;
    const isFork = why === undefined && isSame && !(await areSameEntries(offered.entries, list.entries));
    if (why !== undefined || isFork) {
      const cause = why ?? 'fork';
      this.refused[cause]++;
      this.#log.log('error', 'revocations-refused', { why: cause, number: offered.number, known: list.number });
      return false;
    }
    // Another one may have come meanwhile.
    if (offered.number <= this.#current.list.number) return false;
    this.#signed = { ...offered, head: offered.head ?? '' };
    this.#current = new Revocations(offered);
    return true;
  }
}
