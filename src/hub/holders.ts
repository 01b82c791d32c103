/**
 * Holders: to which keys the issuer has given SVIDs, and how their holders had shown who they are. When a signing key has to be removed,
 * what it has signed proves nothing any more; who is here was let in by a token, and goes on by the same key.
 */

import * as v from 'valibot';
import type { Recalled } from '../auth/authenticator.ts';
import type { Grant } from '../auth/grant.ts';
import { GRANTED_ROLES } from '../auth/hub-role.ts';
import { findKey, type TrustBundle } from '../auth/trust-bundle.ts';
import { TOLERATED_SKEW_MS } from '../auth/validity.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import { tryParseSpiffeId } from '../core/spiffe-id.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import type { Store } from './store.ts';

export interface HoldersOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Key ids that an operator has removed: they may have been used by somebody else. */
  readonly removed: () => readonly string[];
}

const PREFIX = 'holder/';
const STORED = v.object({
  id: v.string(),
  services: v.array(v.string()),
  /** Of a hub. */
  hubRoles: v.optional(v.array(v.picklist(GRANTED_ROLES))),
  joinedAtMs: v.number(),
  /** End of the newest SVID. */
  expiresAtMs: v.number(),
  /** Key id of the SVID by which it was seen first; none: it was let in by a token. */
  by: v.optional(v.string()),
});
export type Holder = v.InferOutput<typeof STORED>;

export class Holders {
  readonly #options: HoldersOptions;
  /** By key, the end of what is being noted. */
  readonly #noting = new Map<string, Promise<void>>();

  constructor(options: HoldersOptions) {
    this.#options = options;
  }

  /**
   * An SVID is being issued to `peer`. A store that is away keeps nobody from it: it is noted with the next one. Of one key one at a time:
   * each that is overtaken begins again, and a member may ask a thousand times at once.
   */
  note(peer: PeerIdentity, expiresAtMs: number): Promise<void> {
    const { thumbprint } = peer.grant as Grant;
    const before = this.#noting.get(thumbprint) ?? Promise.resolve();
    const noted = before.then(() => this.#note(peer, expiresAtMs));
    this.#noting.set(thumbprint, noted);
    return noted.finally(() => {
      if (this.#noting.get(thumbprint) === noted) this.#noting.delete(thumbprint);
    });
  }

  async #note(peer: PeerIdentity, expiresAtMs: number): Promise<void> {
    const { store, log } = this.#options;
    const { kind, thumbprint, services, joinedAtMs, hubRoles, keyId } = peer.grant as Grant;
    const id = peer.id.uri;
    try {
      for (;;) {
        const entry = await store.get(PREFIX + thumbprint);
        const known = entry === undefined ? undefined : read(entry.value);
        // An SVID that says more of its holder than the one before is of another origin.
        const by = kind !== 'newcomer' && known !== undefined && isOf(known, peer) ? known.by : keyId;
        const holder: Holder = {
          ...{ id, services: [...services], joinedAtMs, expiresAtMs },
          ...(hubRoles === undefined ? {} : { hubRoles: [...hubRoles] }),
          ...(by === undefined || by === '' ? {} : { by }),
        };
        const written = await store.compareAndSet(PREFIX + thumbprint, entry?.revision ?? 0, JSON.stringify(holder));
        if (written !== undefined) return;
      }
    } catch (thrown) {
      log.log('debug', 'holder-not-noted', { id, error: toSkeinError(thrown).message });
    }
  }

  /** Who holds the key `thumbprint`, if that was shown otherwise than by a key that has been removed. @throws SkeinError SKEIN_STORE */
  async find(thumbprint: string): Promise<Holder | undefined> {
    const { store, clock, removed } = this.#options;
    const entry = await store.get(PREFIX + thumbprint);
    const holder = entry === undefined ? undefined : read(entry.value);
    if (holder === undefined || clock.epochMs() >= holder.expiresAtMs) return undefined;
    return holder.by !== undefined && removed().includes(holder.by) ? undefined : holder;
  }

  /** The same as an identity; undefined also while the store is away. */
  async recall(thumbprint: string): Promise<Recalled | undefined> {
    const holder = await this.find(thumbprint).catch(() => undefined); // it is judged by its SVID then
    const id = holder && tryParseSpiffeId(holder.id);
    return holder === undefined || id === undefined ? undefined : { ...holder, id, hubRoles: holder.hubRoles };
  }

  /** Is `peer` whom its SVID names, although the key that has signed that is removed? */
  async vouches(peer: PeerIdentity): Promise<boolean> {
    const holder = await this.find((peer.grant as Grant).thumbprint).catch(() => undefined);
    return holder !== undefined && isOf(holder, peer);
  }

  /** Was `peer` let in by nothing but a key that has been removed since? False also while the store is away. */
  async isOfRemoved({ id, grant }: PeerIdentity): Promise<boolean> {
    const { kind, thumbprint } = grant as Grant;
    if (kind === 'newcomer') return false;
    const entry = await this.#options.store.get(PREFIX + thumbprint).catch(() => undefined);
    const { by, id: known } = (entry && read(entry.value)) ?? {};
    return known === id.uri && by !== undefined && this.#options.removed().includes(by);
  }

  /** Keys that were seen first with an SVID of the key `kid`, by whom. */
  async seenBy(kid: string): Promise<readonly { readonly id: string; readonly key: string }[]> {
    const entries = await this.#options.store.list(PREFIX);
    return entries.flatMap(({ key, value }) => {
      const holder = read(value);
      return holder?.by === kid ? [{ id: holder.id, key: key.slice(PREFIX.length) }] : [];
    });
  }

  /** Forgets those whose SVIDs have ended. @throws SkeinError SKEIN_STORE */
  async sweep(): Promise<void> {
    const { store, clock } = this.#options;
    for (const { key, value, revision } of await store.list(PREFIX)) {
      const holder = read(value);
      if (holder === undefined || clock.epochMs() >= holder.expiresAtMs) await store.delete(key, revision);
    }
  }
}

/** Does the SVID of `peer` say what is known of its holder? */
function isOf(holder: Holder, { id, grant }: PeerIdentity): boolean {
  const { services, hubRoles, joinedAtMs } = grant as Grant;
  const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  // Two hubs may have let it in at once; but who says to have joined later escapes what was revoked before.
  const isLater = joinedAtMs > holder.joinedAtMs + TOLERATED_SKEW_MS;
  return holder.id === id.uri && !isLater && isSame(holder.services, services) && isSame(holder.hubRoles, hubRoles);
}

/** Is the key that has signed the SVID of `peer` still one of the issuer's? */
export function isVouchedFor(bundle: TrustBundle, { grant }: PeerIdentity): boolean {
  const { keyId } = grant as Grant;
  return keyId === '' || findKey(bundle, keyId, 'wit-svid') !== undefined;
}

export function keyRemoved(action: string): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `${action}: the key that has signed its SVID has been removed`);
}

function read(value: string): Holder | undefined {
  const stored = v.safeParse(STORED, tryParseJson(value));
  return stored.success ? stored.output : undefined;
}
