/**
 * Key ring: the keys by which an issuer signs SVIDs, and what becomes of each. Of each use one is `next`, told to everybody long before it
 * signs; one is `current`; and those that were are `retired` until nothing is left that they have signed. Pure: who keeps the ring says
 * what time it is.
 */

import { SkeinError } from '../core/errors.ts';
import type { KeyLife } from './key-life.ts';
import type { IdentityKey } from './key-pair.ts';
import type { KeyUse } from './trust-bundle.ts';

export type KeyState = 'next' | 'current' | 'retired';

export interface RingKey {
  readonly key: IdentityKey;
  readonly use: KeyUse;
  readonly state: KeyState;
  /** Since when it is in the bundle, wall time. */
  readonly announcedAtMs: number;
  /** Since when it signs; of a next key, when an operator has asked it to. */
  readonly signsFromMs?: number | undefined;
  readonly retiredAtMs?: number | undefined;
}

export interface KeyRing {
  /** Grows with each change: the `spiffe_sequence` of its bundle. */
  readonly sequence: number;
  readonly keys: readonly RingKey[];
  /** Ids of keys that an operator has removed, newest last: somebody else may have used them. */
  readonly removed: readonly string[];
}

/** More than an operator removes in the life of an SVID. */
const MAX_REMOVED = 100;

export const KEY_USES: readonly KeyUse[] = ['wit-svid', 'jwt-svid'];

/** Makes a key. */
export type CreateKey = () => Promise<IdentityKey>;

/** The ring of an issuer that had one key of each use. */
export function beginRing(keys: Readonly<Record<KeyUse, IdentityKey>>, sequence: number, nowMs: number): KeyRing {
  return {
    sequence,
    removed: [],
    keys: KEY_USES.map((use) => ({
      ...{ key: keys[use], use, announcedAtMs: nowMs, signsFromMs: nowMs },
      state: 'current',
    })),
  };
}

/** @throws SkeinError SKEIN_INTERNAL when there is none */
export function currentKey(ring: KeyRing, use: KeyUse): IdentityKey {
  const current = findState(ring, use, 'current');
  if (current === undefined) throw new SkeinError('SKEIN_INTERNAL', `Cannot sign: no key for "${use}" is in use`);
  return current.key;
}

/** When the next key of `use` begins to sign by itself; undefined when there is none. */
export function signsFrom(ring: KeyRing, use: KeyUse, life: KeyLife): number | undefined {
  const [next, current] = [findState(ring, use, 'next'), findState(ring, use, 'current')];
  if (next === undefined) return undefined;
  const wantedMs = next.signsFromMs ?? (current?.signsFromMs ?? 0) + life.lifeMs;
  return Math.max(wantedMs, next.announcedAtMs + life.announceMs);
}

/** When a retired key leaves the bundle. */
export function removedFrom({ retiredAtMs = 0 }: RingKey, { retireMs }: KeyLife): number {
  return retiredAtMs + retireMs;
}

/** Has time brought something? */
export function isRingDue(ring: KeyRing, life: KeyLife, nowMs: number): boolean {
  return (
    ring.keys.some((key) => key.state === 'retired' && nowMs >= removedFrom(key, life)) ||
    KEY_USES.some((use) => (signsFrom(ring, use, life) ?? 0) <= nowMs)
  );
}

/** What time has brought: the same ring when nothing is due. */
export async function advanceRing(ring: KeyRing, life: KeyLife, nowMs: number, create: CreateKey): Promise<KeyRing> {
  if (!isRingDue(ring, life, nowMs)) return ring;
  const kept = ring.keys.filter((key) => key.state !== 'retired' || nowMs < removedFrom(key, life));
  let keys = kept;
  for (const use of KEY_USES) {
    const dueMs = signsFrom(ring, use, life);
    if (dueMs !== undefined && dueMs <= nowMs) keys = promote(keys, use, nowMs);
    keys = await withNext(keys, use, nowMs, create);
  }
  return renumber(keys, ring, nowMs);
}

/**
 * The next keys sign as soon as they have been announced for long enough.
 * @param atOnce refuse when they have not been
 * @throws SkeinError SKEIN_CONFLICT
 */
export async function rotateRing(
  ring: KeyRing,
  life: KeyLife,
  nowMs: number,
  {
    create,
    atOnce,
    uses = KEY_USES,
  }: { readonly create: CreateKey; readonly atOnce: boolean; readonly uses?: readonly KeyUse[] },
): Promise<KeyRing> {
  const wanted = ring.keys.map((key) =>
    key.state === 'next' && uses.includes(key.use)
      ? { ...key, signsFromMs: Math.min(key.signsFromMs ?? nowMs, nowMs) }
      : key,
  );
  const asked = renumber(wanted, ring, nowMs);
  const early = uses.find((use) => (signsFrom(asked, use, life) ?? 0) > nowMs);
  if (atOnce && early !== undefined) throw tooEarly(early, signsFrom(asked, early, life) ?? 0);
  return advanceRing(asked, life, nowMs, create);
}

/**
 * Without the key `kid`, from now on: whatever it has signed is good no more. If it is in use, the next one takes its place.
 * @throws SkeinError SKEIN_RESOURCE_INVALID (404) when it is not there
 */
export async function removeFromRing(ring: KeyRing, kid: string, nowMs: number, create: CreateKey): Promise<KeyRing> {
  const gone = ring.keys.find(({ key }) => key.thumbprint === kid);
  if (gone === undefined) {
    throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot remove key: the issuer has none of the id "${kid}"`, {
      status: 404,
      details: { remedy: 'See `skein keys list` for those that it has.' },
    });
  }
  let keys = ring.keys.filter((key) => key !== gone);
  if (gone.state === 'current') {
    keys = promote(await withNext(keys, gone.use, nowMs, create), gone.use, nowMs);
  }
  const without = renumber(await withNext(keys, gone.use, nowMs, create), ring, nowMs);
  return { ...without, removed: [...ring.removed, kid].slice(-MAX_REMOVED) };
}

/**
 * The later of two rings, without what was removed from the other: it may have been made of one that was put back. The same object where
 * nothing was missed.
 */
export async function mergeRings(a: KeyRing, b: KeyRing, nowMs: number, create: CreateKey): Promise<KeyRing> {
  const [earlier, later] = a.sequence > b.sequence ? [b, a] : [a, b];
  const missed = earlier.removed.filter((kid) => !later.removed.includes(kid));
  const isThere = (kid: string): boolean => later.keys.some(({ key }) => key.thumbprint === kid);
  const back = missed.filter(isThere);
  const gone = missed.filter((kid) => !isThere(kid));
  // No others go for them, or two hubs would tell each other of the oldest for ever.
  const noted = later.removed.length + missed.length <= MAX_REMOVED ? gone : [];
  if (back.length + noted.length === 0) return later;
  let ring = renumber(later.keys, { ...later, removed: [...noted, ...later.removed] }, nowMs);
  for (const kid of back) ring = await removeFromRing(ring, kid, nowMs, create);
  return ring;
}

function promote(keys: readonly RingKey[], use: KeyUse, nowMs: number): RingKey[] {
  return keys.map((key): RingKey => {
    if (key.use !== use || key.state === 'retired') return key;
    return key.state === 'next'
      ? { ...key, state: 'current', signsFromMs: nowMs }
      : { ...key, state: 'retired', retiredAtMs: nowMs };
  });
}

async function withNext(keys: readonly RingKey[], use: KeyUse, nowMs: number, create: CreateKey): Promise<RingKey[]> {
  if (keys.some((key) => key.use === use && key.state === 'next')) return [...keys];
  return [...keys, { key: await create(), use, state: 'next', announcedAtMs: nowMs }];
}

function findState(ring: KeyRing, use: KeyUse, state: KeyState): RingKey | undefined {
  return ring.keys.find((key) => key.use === use && key.state === state);
}

/** By the clock, so that it goes on growing behind a store that was put back. */
function renumber(keys: readonly RingKey[], before: KeyRing, nowMs: number): KeyRing {
  return { ...before, sequence: Math.max(before.sequence + 1, Math.floor(nowMs)), keys };
}

function tooEarly(use: KeyUse, fromMs: number): SkeinError {
  const from = new Date(fromMs).toISOString();
  return new SkeinError(
    'SKEIN_CONFLICT',
    `Cannot rotate keys now: not everybody may know the next key of "${use}" before ${from}`,
    {
      details: {
        remedy:
          'Run `skein keys rotate` without --now: it signs from then on by itself. If a key has been stolen, `skein keys remove KID` takes it out at once.',
      },
    },
  );
}
