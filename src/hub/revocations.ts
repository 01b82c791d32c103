/**
 * Revocations: the identities that administrators have taken back, kept in the store, so that every hub of the mesh refuses
 * them and tells its sidecars. All are one entry of the store, written as a whole under a number that grows.
 */

import * as v from 'valibot';
import { NO_REVOCATIONS, type Revocation, Revocations } from '../auth/revocation.ts';
import {
  type RevocationsRefusal,
  type SignedRevocations,
  signRevocations,
  whyNotSaid,
} from '../auth/signed-revocations.ts';
import type { SignStatement } from '../auth/statement.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { TOLERATED_SKEW_MS, WIT_LIFETIME_MS } from '../auth/validity.ts';
import { MAX_REVOCATIONS } from '../control/limits.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import { toHubId, tryParseSpiffeId } from '../core/spiffe-id.ts';
import type { Store } from './store.ts';

export interface RevocationsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly trustDomain: string;
  /** Keys of the issuer. */
  readonly bundle: () => TrustBundle;
  /** Signs for the issuer; undefined: another hub does, and this one only tells what it has heard. */
  readonly sign: SignStatement | undefined;
  /** Whatever was signed before, what the store holds is right: an operator says so. */
  readonly reseal: boolean;
  /** Join tokens of that identity that wait for their use are good no more. */
  readonly withdrawTokens: (id: string) => Promise<number>;
  /** Another list holds from now on. */
  readonly onChange: () => void;
}

export interface RevokeRequest {
  readonly id: string;
  readonly key?: string | undefined;
  readonly reason?: string | undefined;
  /** Who joins anew is good. */
  readonly rejoin?: boolean | undefined;
}

const KEY = 'hub/revocations';
/**
 * After that no SVID is left that was issued before: what is revoked until somebody joins anew, or by its key, which is
 * renewed no more, needs not be remembered. Clocks of hubs and members may differ.
 */
const MEMORY_MS = WIT_LIFETIME_MS + 2 * TOLERATED_SKEW_MS;
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;
/** All of them are one value in the store, which holds a million bytes. */
const MAX_ID_CHARS = 512;
const MAX_REASON_CHARS = 200;

const STORED_ENTRY = v.object({
  id: v.string(),
  key: v.optional(v.string()),
  joinedUntilMs: v.optional(v.number()),
  reason: v.optional(v.string()),
  atMs: v.number(),
});
const STORED = v.object({
  number: v.pipe(v.number(), v.safeInteger()),
  entries: v.array(STORED_ENTRY),
  /** The issuer's word; missing in what a version from before has written. */
  head: v.optional(v.string()),
});

export type RevocationEntry = v.InferOutput<typeof STORED_ENTRY>;
type StoredRevocations = v.InferOutput<typeof STORED>;

export class RevocationBoard {
  readonly #options: RevocationsOptions;
  #known: Revocations = new Revocations(NO_REVOCATIONS);
  #entries: readonly RevocationEntry[] = [];
  #head = '';
  #unwatch: (() => void) | undefined;
  /** One list after the other. */
  #tail: Promise<void> = Promise.resolve();
  /** Why the first could not be believed. */
  #failure: unknown;

  constructor(options: RevocationsOptions) {
    this.#options = options;
  }

  /** As far as the store has told. */
  get known(): Revocations {
    return this.#known;
  }

  /** What members are told. */
  get signed(): SignedRevocations {
    return { ...this.#known.list, head: this.#head };
  }

  /** With what only administrators need to know. */
  get entries(): readonly RevocationEntry[] {
    return this.#entries;
  }

  /** @throws SkeinError SKEIN_STORE when it is there and cannot be read, or was not signed by the issuer */
  async load(): Promise<void> {
    const { store, log } = this.#options;
    this.#unwatch = store.watch(KEY, ({ key, entry }) => {
      if (key !== KEY || entry === undefined) return;
      this.#tail = this.#tail
        .then(() => this.#follow(entry.value))
        .catch((thrown) => {
          this.#failure ??= thrown;
          log.log('error', 'revocations-unreadable', { error: toSkeinError(thrown).message });
        });
    });
    await this.#tail;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** What the hub that issues has told this one. */
  adopt(list: SignedRevocations | undefined): void {
    if (list === undefined || list.number <= this.#known.list.number) return;
    const { clock, store, log } = this.#options;
    const atMs = clock.epochMs();
    const stored = { ...list, entries: list.entries.map((entry) => ({ ...entry, atMs })) };
    this.#take(stored);
    // A hub that starts while nobody tells it must not let in whom it has refused.
    if (store.isShared) return;
    this.#tail = this.#tail
      .then(async () => {
        const before = await store.get(KEY);
        await store.compareAndSet(KEY, before?.revision ?? 0, JSON.stringify(stored));
      })
      .catch((thrown) => log.log('warn', 'revocations-not-kept', { error: toSkeinError(thrown).message }));
  }

  /** Resolves when the store has it. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_LIMIT, SKEIN_STORE */
  async revoke({ id, key, reason, rejoin = false }: RevokeRequest): Promise<RevocationEntry> {
    const { clock, trustDomain, withdrawTokens, log } = this.#options;
    checkRequest(trustDomain, id, key, reason);
    const atMs = clock.epochMs();
    const entry: RevocationEntry = {
      id,
      atMs,
      ...(key === undefined ? {} : { key }),
      ...(reason === undefined ? {} : { reason }),
      ...(rejoin ? { joinedUntilMs: atMs } : {}),
    };
    await this.#change((entries) => {
      const next = [...entries.filter((other) => !isSame(other, entry)), entry];
      if (next.length <= MAX_REVOCATIONS) return next;
      throw new SkeinError('SKEIN_LIMIT', `Cannot revoke: ${MAX_REVOCATIONS} identities are revoked already`);
    });
    // Whoever holds one could join as this identity; one key is revoked because of its holder, not of its name.
    const tokens = key === undefined ? await withdrawTokens(id) : 0;
    log.log('warn', 'identity-revoked', { id, key, reason, rejoin, tokens });
    return entry;
  }

  /** False when it is not revoked. @throws SkeinError SKEIN_STORE */
  async undo(target: { readonly id: string; readonly key?: string | undefined }): Promise<boolean> {
    let isFound = false;
    await this.#change((entries) => {
      isFound = entries.some((entry) => isSame(entry, target));
      return isFound ? entries.filter((entry) => !isSame(entry, target)) : entries;
    });
    if (isFound) this.#options.log.log('warn', 'revocation-undone', { id: target.id, key: target.key });
    return isFound;
  }

  /** Forgets what nobody can be caught by any more. @throws SkeinError SKEIN_STORE */
  async sweep(): Promise<void> {
    await this.#change((entries) => entries);
  }

  close(): void {
    this.#unwatch?.();
  }

  async #change(change: (entries: RevocationEntry[]) => RevocationEntry[]): Promise<void> {
    const { store, clock, sign } = this.#options;
    if (sign === undefined) return; // another hub does it
    for (;;) {
      const before = await store.get(KEY);
      const stored = before === undefined ? undefined : read(before.value);
      const known = this.#known.list.number;
      // What somebody else has written, or has put back, is written over.
      const isBelieved =
        stored !== undefined && stored.number >= known && (await this.#whyNotSaid(stored)) === undefined;
      const { number, entries } = isBelieved ? stored : { number: known, entries: [...this.#entries] };
      const nowMs = clock.epochMs();
      const next = change(entries).filter((entry) => !isOver(entry, nowMs));
      if (next.length === entries.length && next.every((entry, index) => entry === entries[index])) return;
      // By the clock, so that it goes on growing behind a store that was put back.
      const list = await this.#sign(Math.max(number + 1, known + 1, nowMs), next, sign);
      if ((await store.compareAndSet(KEY, before?.revision ?? 0, JSON.stringify(list))) === undefined) continue;
      this.#take(list);
      return;
    }
  }

  /** @throws SkeinError SKEIN_STORE */
  async #follow(value: string): Promise<void> {
    const { store, sign, reseal } = this.#options;
    const stored = read(value);
    const why = await this.#whyNotSaid(stored);
    if (why === undefined) return stored.number < this.#known.list.number ? this.#putBack(value) : this.#take(stored);
    // Of a version that did not sign: whoever writes to a folder of this hub has the key of the issuer beside it.
    const isOurs = sign !== undefined && (reseal || (why === 'unsigned' && !store.isShared));
    if (!isOurs) throw notSigned(why);
    const { number } = this.#known.list;
    const list = await this.#sign(Math.max(number, stored.number) + 1, stored.entries, sign);
    const before = await store.get(KEY);
    if (before?.value === value) await store.compareAndSet(KEY, before.revision, JSON.stringify(list));
    this.#take(list);
  }

  /** A store that holds an older list is told the one that is known here: who starts on it must not begin with the older. */
  async #putBack(older: string): Promise<void> {
    const { store, sign } = this.#options;
    const before = await store.get(KEY);
    if (sign === undefined || before?.value !== older) return;
    const known: StoredRevocations = { ...this.signed, entries: [...this.#entries] };
    await store.compareAndSet(KEY, before.revision, JSON.stringify(known));
  }

  #whyNotSaid({ number, entries, head }: StoredRevocations): Promise<RevocationsRefusal | undefined> {
    return whyNotSaid({ number, entries: entries.map(toRevocation), head }, this.#options.bundle());
  }

  async #sign(number: number, entries: readonly RevocationEntry[], sign: SignStatement): Promise<StoredRevocations> {
    const { head } = await signRevocations({ number, entries: entries.map(toRevocation) }, sign);
    return { number, entries: [...entries], head };
  }

  #take({ number, entries, head = '' }: StoredRevocations): void {
    if (number <= this.#known.list.number) return;
    this.#entries = entries;
    this.#head = head;
    this.#known = new Revocations({ number, entries: entries.map(toRevocation) });
    this.#options.onChange();
  }
}

/** What members need. */
function toRevocation({ id, key, joinedUntilMs }: RevocationEntry): Revocation {
  return { id, ...(key === undefined ? {} : { key }), ...(joinedUntilMs === undefined ? {} : { joinedUntilMs }) };
}

function isSame(a: { id: string; key?: string | undefined }, b: { id: string; key?: string | undefined }): boolean {
  return a.id === b.id && a.key === b.key;
}

/** An identity that is revoked as a whole stays so until that is undone. */
function isOver({ key, joinedUntilMs, atMs }: RevocationEntry, nowMs: number): boolean {
  return (key !== undefined || joinedUntilMs !== undefined) && nowMs - atMs > MEMORY_MS;
}

/** @throws SkeinError SKEIN_STORE: a hub that cannot read it would let in who must not be */
function read(value: string): StoredRevocations {
  const stored = v.safeParse(STORED, tryParseJson(value));
  if (stored.success) return stored.output;
  throw new SkeinError('SKEIN_STORE', `Cannot read revocations: "${KEY}" in the store is not readable`);
}

function notSigned(why: RevocationsRefusal): SkeinError {
  return new SkeinError(
    'SKEIN_STORE',
    `Cannot believe revocations: "${KEY}" in the store was not signed by the issuer`,
    {
      details: { why, remedy: 'Look at them (skein revoke --list); once they are right, start a hub with --reseal.' },
    },
  );
}

function checkRequest(trustDomain: string, id: string, key: string | undefined, reason: string | undefined): void {
  const issue = (state: string): SkeinError => new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot revoke: ${state}`);
  if (tryParseSpiffeId(id) === undefined || id.length > MAX_ID_CHARS) throw issue(`"${id}" is no SPIFFE id`);
  if (id === toHubId(trustDomain).uri && key === undefined)
    throw issue('that is the identity of all hubs; name one by its key');
  if (key !== undefined && !THUMBPRINT.test(key)) throw issue('the key is no thumbprint, as `skein status` shows it');
  if (reason !== undefined && reason.length > MAX_REASON_CHARS) {
    throw issue(`the reason is longer than ${MAX_REASON_CHARS} characters`);
  }
}
