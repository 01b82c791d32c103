/**
 * Key keeper: the issuer's key ring as all hubs of a store have it. It lies in the store, sealed; each change is one write, which one of
 * the hubs makes and the others are told of. A hub with a data folder has a copy there, and starts with the later of both: a store that
 * was lost or put back brings no removed key back, and takes none away.
 */

import * as v from 'valibot';
import type { Authority } from '../auth/authority.ts';
import type { KeyLife } from '../auth/key-life.ts';
import { createIdentityKey } from '../auth/key-pair.ts';
import {
  advanceRing,
  isRingDue,
  type KeyRing,
  mergeRings,
  type RingKey,
  removedFrom,
  removeFromRing,
  rotateRing,
  signsFrom,
} from '../auth/key-ring.ts';
import type { KeyUse } from '../auth/trust-bundle.ts';
import { decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import { type Clock, setPeriodic, type Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import type { Files } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import type { Store } from './store.ts';

export interface KeyKeeperOptions {
  readonly authority: Authority;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly life: KeyLife;
  readonly files: Files | undefined;
  /** Where this hub keeps its copy. */
  readonly copyFile: string | undefined;
  /** The issuer signs by other keys, or publishes others. */
  readonly onChange: () => Promise<void>;
}

/** A key as administrators see it. */
export interface KeyStatus {
  readonly kid: string;
  readonly use: KeyUse;
  readonly state: 'next' | 'current' | 'retired' | 'anchor';
  /** Signs what the issuer states, the bundle among it, as long as the mesh lasts. */
  readonly isAnchor: boolean;
  readonly announcedAtMs?: number | undefined;
  /** Since when, or from when on it signs. */
  readonly signsFromMs?: number | undefined;
  readonly retiredAtMs?: number | undefined;
  /** When it leaves the bundle. */
  readonly removedFromMs?: number | undefined;
}

const KEY = 'hub/keys';
const STORED = v.object({ sealed: v.string() });
/** Often enough for days; by the wall clock, which may jump. */
const CHECK_MS = 60_000;

export class KeyKeeper {
  readonly #options: KeyKeeperOptions;
  #timer: Timer | undefined;
  #unwatch: (() => void) | undefined;
  /** One change after the other. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: KeyKeeperOptions) {
    this.#options = options;
  }

  get ring(): KeyRing {
    return this.#options.authority.ring;
  }

  /** Finds the ring, or begins it. @throws SkeinError SKEIN_STORE */
  async open(): Promise<void> {
    const { authority, store, clock, life, files, copyFile } = this.#options;
    const copy = copyFile === undefined ? undefined : await files?.read(copyFile);
    const copied = copy === undefined ? undefined : await this.#read(decodeUtf8(copy));
    if (copied !== undefined) await authority.useRing(copied);
    else {
      const entry = await store.get(KEY);
      if (entry !== undefined) await authority.useRing(await this.#read(entry.value));
    }
    // What this hub has had is carried on behind a store that is older, and a store that is newer is followed.
    await this.#change(async (ring) => advanceRing(ring, life, clock.epochMs(), createIdentityKey));
    this.#unwatch = store.watch(KEY, ({ key, entry }) => {
      if (key === KEY && entry !== undefined) void this.#enqueue(() => this.#follow(entry.value));
    });
    this.#timer = setPeriodic(
      clock,
      Math.min(CHECK_MS, life.announceMs / 10),
      () => void this.#enqueue(() => this.#advance()),
    );
  }

  /** Every key, by use. */
  list(): readonly KeyStatus[] {
    const { authority, life } = this.#options;
    const { ring, thumbprint } = authority;
    const keys = ring.keys.map((key) => toStatus(key, ring, life, thumbprint));
    if (keys.some(({ isAnchor }) => isAnchor)) return keys;
    return [{ kid: thumbprint, use: 'wit-svid', state: 'anchor', isAnchor: true }, ...keys];
  }

  /** The next keys sign as soon as everybody knows them; `atOnce`: now, or not at all. @throws SkeinError SKEIN_CONFLICT, SKEIN_STORE */
  async rotate(atOnce: boolean): Promise<void> {
    const { life, clock, log } = this.#options;
    await this.#enqueue(() =>
      this.#change((ring) => rotateRing(ring, life, clock.epochMs(), { create: createIdentityKey, atOnce })),
    );
    log.log('warn', 'key-rotation-asked', { atOnce });
  }

  /** Out of the bundle at once: what it has signed is good no more. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT, SKEIN_STORE */
  async remove(kid: string): Promise<void> {
    const { authority, clock, log } = this.#options;
    if (kid === authority.thumbprint) throw isAnchor();
    await this.#enqueue(() => this.#change((ring) => removeFromRing(ring, kid, clock.epochMs(), createIdentityKey)));
    log.log('warn', 'key-removed', { kid });
  }

  close(): void {
    this.#timer?.cancel();
    this.#unwatch?.();
  }

  async #advance(): Promise<void> {
    const { life, clock, log } = this.#options;
    if (!isRingDue(this.ring, life, clock.epochMs())) return;
    try {
      await this.#change((ring) => advanceRing(ring, life, clock.epochMs(), createIdentityKey));
    } catch (thrown) {
      log.log('error', 'keys-not-rotated', { error: toSkeinError(thrown).message });
    }
  }

  /** Makes `change` of the newest ring that there is, here or in the store. @throws SkeinError SKEIN_STORE, and what `change` throws */
  async #change(change: (ring: KeyRing) => Promise<KeyRing>): Promise<void> {
    const { authority, store, random } = this.#options;
    for (;;) {
      const entry = await store.get(KEY);
      const stored = entry === undefined ? undefined : await this.#tryRead(entry.value);
      const after = await change(stored === undefined ? this.ring : await this.#merge(stored));
      if (after === stored) {
        if (after.sequence > this.ring.sequence) await this.#use(after);
        return;
      }
      const value = JSON.stringify({ sealed: await authority.sealRing(after, random) });
      if ((await store.compareAndSet(KEY, entry?.revision ?? 0, value)) === undefined) continue;
      await this.#use(after);
      return;
    }
  }

  async #follow(value: string): Promise<void> {
    const { log } = this.#options;
    const ring = await this.#tryRead(value);
    if (ring === undefined) return;
    if ((await this.#merge(ring)) === ring) {
      if (ring.sequence > this.ring.sequence) await this.#use(ring);
      return;
    }
    // The store was put back, or a hub has gone on from one that was.
    await this.#change(async (known) => known).catch((thrown) => {
      log.log('error', 'keys-not-put-right', { error: toSkeinError(thrown).message });
    });
  }

  /** The same object as `stored` where it is as new as what is known here. */
  #merge(stored: KeyRing): Promise<KeyRing> {
    return mergeRings(this.ring, stored, this.#options.clock.epochMs(), createIdentityKey);
  }

  async #tryRead(value: string): Promise<KeyRing | undefined> {
    try {
      return await this.#read(value);
    } catch (thrown) {
      // Somebody has written there who is no hub of this issuer: the keys that are known stay in use.
      this.#options.log.log('error', 'keys-unreadable', { error: toSkeinError(thrown).message });
      return undefined;
    }
  }

  async #use(ring: KeyRing): Promise<void> {
    const { authority, files, copyFile, log, random, onChange } = this.#options;
    await authority.useRing(ring);
    if (copyFile !== undefined) {
      const text = JSON.stringify({ sealed: await authority.sealRing(ring, random) });
      // A disk that is full must keep nobody from hearing of it; the store has it.
      await files?.replace(copyFile, encodeUtf8(`${text}\n`)).catch((thrown) => {
        log.log('error', 'keys-not-kept', { file: copyFile, error: toSkeinError(thrown).message });
      });
    }
    log.log('info', 'keys-changed', {
      sequence: ring.sequence,
      keys: ring.keys.map(({ key, use, state }) => `${use} ${state} ${key.thumbprint}`),
    });
    await onChange();
  }

  /** @throws SkeinError SKEIN_STORE */
  #read(text: string): Promise<KeyRing> {
    const stored = v.safeParse(STORED, tryParseJson(text));
    if (stored.success) return this.#options.authority.openRing(stored.output.sealed);
    throw new SkeinError('SKEIN_STORE', `Cannot read the keys of the issuer: "${KEY}" is not readable`);
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined); // whoever has asked is told
    return done;
  }
}

function isAnchor(): SkeinError {
  return new SkeinError('SKEIN_CONFLICT', 'Cannot remove key: it is the anchor, which has signed all the others', {
    details: {
      remedy:
        'If it has been stolen, the mesh has to be set up anew: a hub with a new --data folder and new join tokens. To have SVIDs signed by another key, run `skein keys rotate`.',
    },
  });
}

function toStatus(entry: RingKey, ring: KeyRing, life: KeyLife, anchor: string): KeyStatus {
  const { key, use, state, announcedAtMs, retiredAtMs } = entry;
  const isAnchor = key.thumbprint === anchor;
  return {
    ...{ kid: key.thumbprint, use, state, isAnchor, announcedAtMs, retiredAtMs },
    signsFromMs: state === 'next' ? signsFrom(ring, use, life) : entry.signsFromMs,
    removedFromMs: state === 'retired' && !isAnchor ? removedFrom(entry, life) : undefined,
  };
}
