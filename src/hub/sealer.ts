/**
 * Sealer: signs what all resources are at each revision, and takes no revision for one that is not sealed. It knows the resources by
 * the sealed revisions that led to them, not by what the store says they are: whoever writes to the store cannot have that sealed.
 */

import { compareSeals, type LatestStatements, type Seal, verifySeal } from '../auth/seal.ts';
import type { Sha256 } from '../catalog/digest.ts';
import type { Manifest } from '../catalog/resource.ts';
import { SealIndex } from '../catalog/seal-index.ts';
import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import type { HubIssuer } from './issuer.ts';
import type { ResourceChange, Revision } from './journal.ts';
import type { Publisher } from './publisher.ts';
import { type HubStanding, noIssuer } from './standing.ts';
import type { Store } from './store.ts';

export interface SealerOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sha256: Sha256;
  readonly standing: Pick<HubStanding, 'bundle'>;
  /** undefined: another hub signs, and this one only follows. */
  readonly issuer: Pick<HubIssuer, 'sign'> | undefined;
  /** Each seal says it as well, so that members notice when some of it is kept from them. */
  readonly latest: () => LatestStatements;
  /** Is told each seal that comes into force. */
  readonly publisher: Pick<Publisher, 'seal'>;
  /** The hub is in touch with its store: what it knows is what there is. */
  readonly isCurrent: () => boolean;
  /** Whatever was sealed before, what the store holds is right: an operator says so. */
  readonly reseal: boolean;
  /** The hub may have slept when it was time to sign anew. */
  readonly sleeps: boolean;
}

/** Signed outside of a change: by an operator's word, or where a mesh was never sealed. */
const KEY = 'hub/seal';
/** A seal is signed anew as often, so that members notice when one is kept from them. */
export const RESIGN_MS = 300_000;
/** How often a hub that sleeps looks, while it is awake, whether that is due. */
const LOOK_MS = 1_000;

/** What is sealed. */
interface State {
  readonly seal: Seal;
  readonly manifests: ReadonlyMap<string, Manifest>;
  readonly index: SealIndex;
}

export class Sealer {
  readonly #options: SealerOptions;
  #state: State | undefined;
  /** What is done follows on what was begun before. */
  #tail: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #unwatch: (() => void) | undefined;

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  /** The revisions that this hub knows are sealed, and nothing else is in force. */
  get isSealed(): boolean {
    return this.#state !== undefined;
  }

  /**
   * What is in the store at the start, all of it carried out. False: it is not what was sealed.
   * @param isLast it is not looked again
   * @throws SkeinError SKEIN_STORE
   */
  async open(
    revisions: readonly Revision[],
    manifests: ReadonlyMap<string, Manifest>,
    isLast: boolean,
  ): Promise<boolean> {
    const { sha256, reseal, clock, log } = this.#options;
    const revision = revisions.at(-1)?.revision ?? 0;
    const index = SealIndex.of(sha256, manifests.values());
    const newest = await this.#readNewest(revisions);
    const everyMs = this.#options.sleeps ? LOOK_MS : RESIGN_MS;
    this.#timer ??= setPeriodic(clock, everyMs, () => void this.#enqueue(() => this.#resign()));
    if (this.#options.issuer === undefined) {
      this.#unwatch ??= this.#options.store.watch(KEY, ({ entry }) => this.#passOn(entry?.value));
      // Nobody has ever made a resource: there is nothing to show a seal of.
      if (newest === undefined && revision === 0 && manifests.size === 0) {
        this.#state = { seal: { revision, era: 0, index: index.digest, atMs: 0 }, manifests, index };
        return true;
      }
    } else if (reseal || newest === undefined) {
      const seal = { revision, era: reseal ? clock.epochMs() : 0, index: index.digest, atMs: clock.epochMs() };
      const head = await this.#sign(seal);
      // Of a mesh without resources nobody needs to know that it was sealed.
      if (reseal || revision > 0 || manifests.size > 0) await this.#write(head);
      if (revision > 0 || reseal) log.log('warn', 'resources-sealed', { revision, resources: manifests.size });
      this.#accept({ seal, manifests, index }, head);
      return true;
    }
    const { seal, head } = newest ?? NOT_SEALED;
    const isSealed = seal.revision === revision && seal.index === index.digest;
    if (isSealed) this.#accept({ seal, manifests, index }, head);
    else if (isLast) log.log('error', 'resources-not-sealed', { revision, sealed: seal.revision, remedy: REMEDY });
    return isSealed;
  }

  /** A revision was made, by whichever hub. */
  note(revision: Revision): void {
    void this.#follow(revision); // it tells of its failures itself
  }

  /**
   * The seal of the revision after `revisions` that makes `changes`.
   * @throws SkeinError SKEIN_CONFLICT when what there is now is not sealed
   */
  async prepare(revisions: readonly Revision[], changes: readonly ResourceChange[]): Promise<string> {
    if (this.#options.issuer === undefined) throw noIssuer('Cannot change resources');
    const newest = revisions.at(-1)?.revision ?? 0;
    for (const revision of revisions) await this.#follow(revision);
    const state = this.#state;
    if (state === undefined || state.seal.revision !== newest) {
      throw new SkeinError(
        'SKEIN_CONFLICT',
        'Cannot change resources: what the store holds was not sealed by the issuer',
        {
          details: { revision: newest, sealed: state?.seal.revision, remedy: REMEDY },
        },
      );
    }
    const index = SealIndex.of(this.#options.sha256, carryOut(state.manifests, changes).values());
    return this.#sign({ revision: newest + 1, era: state.seal.era, index: index.digest, atMs: this.#now(state) });
  }

  close(): void {
    this.#timer?.cancel();
    this.#unwatch?.();
  }

  #follow(revision: Revision): Promise<void> {
    return this.#enqueue(() => this.#carryOn(revision));
  }

  async #carryOn({ revision, changes, seal: head }: Revision): Promise<void> {
    const state = this.#state;
    if (state === undefined || revision <= state.seal.revision) return;
    const seal = head === undefined ? undefined : await verifySeal(head, this.#options.standing.bundle());
    const manifests = carryOut(state.manifests, changes);
    const index = SealIndex.of(this.#options.sha256, manifests.values());
    const isNext = seal?.revision === revision && revision === state.seal.revision + 1 && seal.era === state.seal.era;
    if (head === undefined || !isNext || seal.index !== index.digest) {
      this.#options.log.log('error', 'revision-not-sealed', { revision, sealed: state.seal.revision, remedy: REMEDY });
      return;
    }
    this.#accept({ seal, manifests, index }, head);
  }

  async #resign(): Promise<void> {
    const state = this.#state;
    const { issuer, isCurrent, sleeps, clock, store } = this.#options;
    if (state === undefined || issuer === undefined || !isCurrent()) return;
    if (sleeps && clock.epochMs() - state.seal.atMs < RESIGN_MS) return;
    const seal = { ...state.seal, atMs: this.#now(state) };
    const head = await this.#sign(seal);
    this.#accept({ ...state, seal }, head);
    // For hubs on the same store that do not sign, and for this one behind its sleep.
    if ((store.isShared || sleeps) && seal.revision > 0) await this.#write(head);
  }

  /** A hub that does not sign shows its members what was signed anew. */
  #passOn(value: string | undefined): void {
    const head = value === undefined ? undefined : tryParseJson(value);
    if (typeof head !== 'string') return;
    void this.#enqueue(async () => {
      const seal = await verifySeal(head, this.#options.standing.bundle());
      const state = this.#state;
      if (seal === undefined || state === undefined || compareSeals(seal, state.seal) !== 0) return;
      if (seal.index === state.seal.index && seal.atMs > state.seal.atMs) this.#accept({ ...state, seal }, head);
    });
  }

  #accept(state: State, head: string): void {
    this.#state = state;
    this.#options.publisher.seal(head, state.index);
  }

  /** @throws SkeinError SKEIN_REFUSED where another hub signs */
  #sign({ revision, era, index, atMs }: Seal): Promise<string> {
    const { issuer } = this.#options;
    if (issuer === undefined) return Promise.reject(noIssuer('Cannot change resources'));
    return issuer.sign('skein-seal+jwt', { revision, era, index, atMs, ...this.#options.latest() });
  }

  /** Never before the seal that is followed: clocks of hubs differ. */
  #now({ seal }: State): number {
    return Math.max(this.#options.clock.epochMs(), seal.atMs);
  }

  async #readNewest(
    revisions: readonly Revision[],
  ): Promise<{ readonly seal: Seal; readonly head: string } | undefined> {
    const stored = await this.#options.store.get(KEY);
    const value = stored === undefined ? undefined : tryParseJson(stored.value);
    const heads = [revisions.at(-1)?.seal, value].filter((head) => typeof head === 'string');
    let newest: { readonly seal: Seal; readonly head: string } | undefined;
    for (const head of heads) {
      const seal = await verifySeal(head, this.#options.standing.bundle());
      if (seal === undefined) continue;
      if (newest === undefined || compareSeals(newest.seal, seal) < 0) newest = { seal, head };
    }
    // One that this issuer has not made is no seal; but somebody wants it to be taken for one, or to be forgotten.
    return newest ?? (heads.length > 0 ? NOT_SEALED : undefined);
  }

  async #write(head: string): Promise<void> {
    const { store } = this.#options;
    for (;;) {
      const before = await store.get(KEY);
      if (await store.compareAndSet(KEY, before?.revision ?? 0, JSON.stringify(head))) return;
    }
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    this.#tail = this.#tail.then(work).catch((thrown) => {
      this.#options.log.log('error', 'seal-not-made', { error: toSkeinError(thrown).message });
    });
    return this.#tail;
  }
}

const NOT_SEALED = { seal: { revision: -1, era: 0, index: '', atMs: 0 }, head: '' } as const;
const REMEDY =
  'Somebody has written to the store who is no hub of this issuer. Look at the resources (skein get), put right what is wrong, then start a hub with --reseal.';

function carryOut(
  before: ReadonlyMap<string, Manifest>,
  changes: readonly ResourceChange[],
): ReadonlyMap<string, Manifest> {
  const manifests = new Map(before);
  for (const { key, after } of changes) {
    if (after === undefined) manifests.delete(key);
    else manifests.set(key, after);
  }
  return manifests;
}
