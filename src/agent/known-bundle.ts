/** Known bundle: the keys of the issuer as far as hubs have shown them; another one takes their place only if the anchor has signed it and it is later. */

import { type BundleRefusal, bundleEnded, endOf, isLaterBundle, whyNotNext } from '../auth/signed-bundle.ts';
import { anchorOf, findKey, parseTrustBundle, type TrustBundle } from '../auth/trust-bundle.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { ALL_HEARD_MS } from './withheld.ts';

export interface KnownBundleOptions {
  readonly clock: Clock;
  /** Hubs decide how often there is something to refuse: it should be limited. */
  readonly log: Logger;
  /** The issuer has other keys from now on. */
  readonly onKeys: () => void;
  /** The same, or it has signed them anew. */
  readonly onBundle: () => void;
}

/** What is said of a bundle that is not taken over. */
const REFUSALS: Readonly<Record<BundleRefusal, string>> = {
  malformed: 'it cannot be read',
  unsigned: 'the issuer has not signed it',
  forged: 'its signature is not that of the issuer',
  rollback: 'its sequence goes back',
  fork: 'it has the sequence of another one',
};

export class KnownBundle {
  /** Those that were not taken over, by why. */
  readonly refused: Record<BundleRefusal, number> = { malformed: 0, unsigned: 0, forged: 0, rollback: 0, fork: 0 };
  readonly #options: KnownBundleOptions;
  #current: TrustBundle | undefined;
  /** When its keys became known here. */
  #keysSinceMs = Number.NEGATIVE_INFINITY;

  constructor(options: KnownBundleOptions) {
    this.#options = options;
  }

  /** Undefined before a hub was seen. */
  get current(): TrustBundle | undefined {
    return this.#current;
  }

  /** @throws SkeinError SKEIN_IDENTITY before a hub was seen */
  get trusted(): TrustBundle {
    if (this.#current === undefined) throw new SkeinError('SKEIN_IDENTITY', 'Cannot verify peer: no hub was seen yet');
    return this.#current;
  }

  /** Until when it may be the newest one, wall time; 0 before there is one. */
  get endsAtMs(): number {
    return this.#current === undefined ? 0 : endOf(this.#current);
  }

  /** Thumbprint of the issuer's key that does not change. @throws SkeinError SKEIN_IDENTITY before a hub was seen */
  get anchor(): string {
    return toAnchor(this.trusted);
  }

  /** May that key have signed SVIDs? Before a hub was seen any may. */
  has(keyId: string): boolean {
    return this.#current === undefined || findKey(this.#current, keyId, 'wit-svid') !== undefined;
  }

  /** The first, whose anchor was known beforehand. */
  begin(bundle: TrustBundle): void {
    this.#current = bundle;
    this.#keysSinceMs = this.#options.clock.monotonicMs();
  }

  /** The one that was kept: since when hubs know it is not known here. */
  restore(bundle: TrustBundle): void {
    this.#current = bundle;
  }

  /**
   * Takes it over, if it is believed and later.
   * @returns whether it was, and why a hub that issues would not have shown it: the issuer has not signed it, or not of late
   */
  async offer(value: unknown): Promise<{ readonly isTaken: boolean; readonly fault?: SkeinError | undefined }> {
    let offered: TrustBundle;
    try {
      offered = parseTrustBundle(value);
    } catch (thrown) {
      this.#refuse('malformed', undefined, toSkeinError(thrown).message);
      return { isTaken: false, fault: notOfIssuer('malformed') };
    }
    const { bundle, why } = await this.choose(offered);
    const isTaken = this.take(bundle);
    return { isTaken, fault: why === 'unsigned' || why === 'forged' ? notOfIssuer(why) : this.#whyEnded(offered) };
  }

  /** The later one of `offered` and the one in use, and why the first is not believed. */
  async choose(offered: TrustBundle): Promise<{ readonly bundle: TrustBundle; readonly why?: BundleRefusal }> {
    const current = this.#current;
    if (current === undefined) return { bundle: offered };
    const why = await whyNotNext(current, offered, toAnchor(current));
    const known = this.#current ?? current; // another one may have come meanwhile
    if (why === undefined) return { bundle: isLaterBundle(offered, known) ? offered : known };
    // Behind a change a hub shows the keys of before until it has heard, and may have been overtaken on its way here by another one.
    if (why === 'rollback' && this.#areKeysNew) return { bundle: known };
    this.#refuse(why, offered.spiffe_sequence, REFUSALS[why]);
    return { bundle: known, why };
  }

  /** One that was chosen. False: it is in use, or a later one has come since. */
  take(bundle: TrustBundle): boolean {
    const known = this.#current;
    if (known === bundle || (known !== undefined && !isLaterBundle(bundle, known))) return false;
    const areKeysOther = bundle.spiffe_sequence !== known?.spiffe_sequence || known.skein_signature === undefined;
    this.#current = bundle;
    if (areKeysOther) this.#keysSinceMs = this.#options.clock.monotonicMs();
    if (known === undefined) return true;
    if (areKeysOther) this.#options.onKeys();
    this.#options.onBundle();
    return true;
  }

  get #areKeysNew(): boolean {
    return this.#options.clock.monotonicMs() - this.#keysSinceMs < ALL_HEARD_MS;
  }

  /** Who issues nothing shows what it was told last: it is told of, and not refused for it. */
  #whyEnded(offered: TrustBundle): SkeinError | undefined {
    const { clock, log } = this.#options;
    const nowMs = clock.epochMs();
    if (nowMs < endOf(offered)) return undefined;
    const [until, known] = [endOf(offered), this.endsAtMs].map((ms) => new Date(ms).toISOString());
    log.log('warn', 'bundle-ended', { sequence: offered.spiffe_sequence, until, known });
    return bundleEnded(offered, nowMs);
  }

  #refuse(why: BundleRefusal, sequence: number | undefined, error: string): void {
    this.refused[why]++;
    this.#options.log.log('error', 'bundle-refused', { why, sequence, known: this.#current?.spiffe_sequence, error });
  }
}

/** The key by which the issuer signs its bundles. One that was kept before they were signed has a single key for SVIDs. */
function toAnchor(bundle: TrustBundle): string {
  return (anchorOf(bundle) ?? bundle.keys.find(({ use }) => use === 'wit-svid'))?.kid ?? '';
}

function notOfIssuer(why: BundleRefusal): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `Cannot trust hub: it shows no keys of the issuer (${why})`);
}
