/**
 * Sealed catalogue: of what a hub tells of policies and routes, the part that the issuer has sealed. What does not match its seal is not
 * used; the last that did stays in force, and the hub is told of loudly and trusted less.
 */

import { type LatestStatements, verifySeal } from '../auth/seal.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import type { Interest } from '../catalog/interest.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import type { SealPush } from '../control/messages.ts';
import type { Timer } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { SealKeeper, type SealRefusal } from './seal-keeper.ts';
import { Withheld } from './withheld.ts';

export interface SealedCatalogueOptions {
  readonly platform: Platform;
  readonly log: Logger;
  readonly bundle: () => TrustBundle;
  readonly interest: () => Interest;
  readonly onPolicies: (snapshot: Snapshot) => void;
  readonly onRoutes: (snapshot: Snapshot) => void;
  /** What else the issuer has said, as far as this member was told. */
  readonly known: () => LatestStatements;
  /** The hub that is followed does not show what was sealed: another one may. */
  readonly onDoubt: () => void;
}

/** What is refused, and why: read at scrape time. */
export interface SealStats {
  readonly refused: Record<SealRefusal | 'unsealed', number>;
  /** Of what the issuer has said besides, and was not told. */
  readonly withheld: Withheld['counts'];
}

/** Seal and resources come one after the other, and a large change takes a hub its time. */
const PATIENCE_MS = 5_000;
/** A hub that was followed for less is not blamed. */
const LEAST_TIME_MS = 1_000;
/** Three times as often a hub has one signed anew. */
const STALE_MS = 900_000;

export class SealedCatalogue {
  readonly stats: SealStats;
  readonly #options: SealedCatalogueOptions;
  readonly #keeper: SealKeeper;
  readonly #withheld: Withheld;
  #candidate: Snapshot | undefined;
  /** Services whose routes were seen to be whole. */
  readonly #services = new Set<string>();
  #waiters: { readonly isDone: () => boolean; readonly resolve: () => void }[] = [];
  #hasPolicies = false;
  #complaint: Timer | undefined;
  /** Since when what is told does not match. */
  #mismatchMs = 0;
  #staleness: Timer | undefined;
  #signedAtMs = -1;
  /** When the newest seal was seen. */
  #seenMs: number | undefined;

  constructor(options: SealedCatalogueOptions) {
    this.#options = options;
    const { platform, log, bundle, known, onDoubt } = options;
    this.#withheld = new Withheld({ clock: platform.clock, log, known, onDoubt });
    this.stats = {
      refused: { forged: 0, index: 0, rollback: 0, fork: 0, unsealed: 0 },
      withheld: this.#withheld.counts,
    };
    this.#keeper = new SealKeeper({
      sha256: platform.crypto.sha256,
      verify: (head) => verifySeal(head, bundle()),
      onSeal: ({ atMs, latest }) => {
        if (latest !== undefined) this.#withheld.note(latest);
        this.#noteSigned(atMs);
        this.consider();
      },
      onRefused: (why, seal, newest) => {
        this.stats.refused[why]++;
        log.log('error', 'seal-refused', { why, revision: seal?.revision, known: newest?.revision });
        onDoubt();
      },
    });
  }

  /** Time since a hub has shown that the issuer still says so, in milliseconds; 0 before the first. */
  get sealAgeMs(): number {
    return this.#seenMs === undefined ? 0 : this.#options.platform.clock.monotonicMs() - this.#seenMs;
  }

  /** Another hub is followed from now on. Call it while the one before can still be told of. */
  onHub(): void {
    const { clock } = this.#options.platform;
    // One that has shown nothing that was sealed is not forgotten because another one was quicker.
    const hadTime = clock.monotonicMs() - this.#mismatchMs >= LEAST_TIME_MS;
    if (this.#complaint !== undefined && !this.#keeper.isTold && hadTime) this.#complain();
    this.#keeper.onHub();
    this.#cancelComplaint();
  }

  receive(push: SealPush): void {
    this.#keeper.receive(push);
  }

  /** The hub has told this. */
  onSnapshot(snapshot: Snapshot): void {
    this.#candidate = snapshot;
    this.consider();
  }

  /** Looks at what was told last: with another seal, or another interest. */
  consider(): void {
    const snapshot = this.#candidate;
    if (snapshot === undefined) return;
    const { interest, onPolicies, onRoutes } = this.#options;
    const wanted = interest();
    const { policies, routes } = this.#keeper.check(snapshot.allManifests(), wanted);
    if (routes) {
      for (const service of wanted.services) this.#services.add(service);
      onRoutes(snapshot);
    }
    if (policies) {
      this.#hasPolicies = true;
      onPolicies(snapshot);
    }
    if (policies && routes) this.#cancelComplaint();
    else this.#complaint ??= this.#complainAfter();
    this.#waiters = this.#waiters.filter(({ isDone, resolve }) => {
      if (isDone()) resolve();
      return !isDone();
    });
  }

  /** Were the routes of `service` seen to be whole? */
  isSealed(service: string): boolean {
    return this.#services.has(service);
  }

  forget(service: string): void {
    this.#services.delete(service);
  }

  /** Resolves when the routes of `service` are known to be whole. */
  sealed(service: string): Promise<void> {
    if (!this.isSealed(service)) this.consider();
    return this.#until(() => this.isSealed(service));
  }

  /** Resolves when there are policies that were sealed, or nobody shows any in time: then none of anybody holds. */
  async ready(): Promise<void> {
    if (this.#hasPolicies) return;
    const { clock } = this.#options.platform;
    let timer: Timer | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = clock.setTimer(PATIENCE_MS, resolve);
    });
    await Promise.race([this.#until(() => this.#hasPolicies), limit]);
    timer?.cancel();
  }

  close(): void {
    this.#cancelComplaint();
    this.#withheld.close();
    this.#staleness?.cancel();
  }

  #until(isDone: () => boolean): Promise<void> {
    if (isDone()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ isDone, resolve }));
  }

  #complainAfter(): Timer {
    const { clock } = this.#options.platform;
    this.#mismatchMs = clock.monotonicMs();
    return clock.setTimer(PATIENCE_MS, () => {
      this.#complaint = undefined;
      this.#complain();
    });
  }

  #complain(): void {
    const { log, onDoubt } = this.#options;
    this.stats.refused.unsealed++;
    log.log('error', 'catalogue-not-sealed', {
      revision: this.#candidate?.revision,
      sealed: this.#keeper.seal?.revision,
      remedy:
        'The hub, or who writes to its store, keeps back or alters policies or routes; those that were sealed stay in force.',
    });
    onDoubt();
  }

  #cancelComplaint(): void {
    this.#complaint?.cancel();
    this.#complaint = undefined;
  }

  /** One that was signed before another that was seen says nothing new: it may have been kept back. */
  #noteSigned(atMs: number): void {
    if (atMs <= this.#signedAtMs) return;
    const { platform, log } = this.#options;
    this.#signedAtMs = atMs;
    this.#seenMs = platform.clock.monotonicMs();
    this.#staleness?.cancel();
    this.#staleness = platform.clock.setTimer(STALE_MS, () => {
      const signedAt = new Date(atMs).toISOString();
      log.log('warn', 'seal-stale', { revision: this.#keeper.seal?.revision, signedAt });
    });
  }
}
