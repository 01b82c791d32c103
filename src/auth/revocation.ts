/**
 * Revocation: identities that are good no more, although their SVIDs have not expired. One list for the whole mesh, with a
 * number that grows; who knows two of them believes the later one.
 */

import { SkeinError } from '../core/errors.ts';
import type { PeerIdentity } from '../tunnel/handshake.ts';
import type { Grant } from './grant.ts';

export interface Revocation {
  /** SPIFFE id. */
  readonly id: string;
  /** RFC 7638 thumbprint: only who proves this key. */
  readonly key?: string | undefined;
  /** Only who had joined the mesh by then, wall time of the hub in milliseconds: who joins anew is good. */
  readonly joinedUntilMs?: number | undefined;
}

export interface RevocationList {
  /** 0: there has been none yet. */
  readonly number: number;
  readonly entries: readonly Revocation[];
}

export const NO_REVOCATIONS: RevocationList = { number: 0, entries: [] };

/** Somebody of whom the list is asked. */
export interface Holder {
  /** SPIFFE id. */
  readonly id: string;
  /** RFC 7638 thumbprint of its key; undefined: whatever shows it does not say. */
  readonly key?: string | undefined;
  readonly joinedAtMs: number;
}

/** A list to be asked. */
export class Revocations {
  readonly list: RevocationList;
  readonly #byId = new Map<string, Revocation[]>();

  constructor(list: RevocationList = NO_REVOCATIONS) {
    this.list = list;
    for (const entry of list.entries) {
      const others = this.#byId.get(entry.id);
      if (others === undefined) this.#byId.set(entry.id, [entry]);
      else others.push(entry);
    }
  }

  has(peer: PeerIdentity): boolean {
    const { thumbprint, joinedAtMs } = peer.grant as Grant;
    return this.hasHolder({ id: peer.id.uri, key: thumbprint, joinedAtMs });
  }

  hasHolder({ id, key, joinedAtMs }: Holder): boolean {
    return (this.#byId.get(id) ?? []).some(
      (entry) =>
        (entry.key === undefined || entry.key === key) &&
        (entry.joinedUntilMs === undefined || joinedAtMs <= entry.joinedUntilMs),
    );
  }

  /** @throws SkeinError SKEIN_REVOKED */
  check(peer: PeerIdentity): void {
    if (this.has(peer)) throw revoked(peer, 'Cannot trust peer');
  }
}

/** @param action what cannot be done */
export function revoked({ id }: Pick<PeerIdentity, 'id'>, action: string): SkeinError {
  return new SkeinError('SKEIN_REVOKED', `${action}: its identity "${id.uri}" has been revoked`);
}
