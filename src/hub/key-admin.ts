/** What administrators may ask of the issuer's keys. */

import * as v from 'valibot';
import { readRequest } from './admin-request.ts';
import type { HubIssuer } from './issuer.ts';
import type { KeyStatus } from './key-keeper.ts';
import type { RevocationBoard } from './revocations.ts';
import { noIssuer } from './standing.ts';

const rotateRequest = v.strictObject({
  /** Refuse where the next keys have not been announced for long enough. */
  now: v.boolean(),
});

const removeRequest = v.strictObject({ kid: v.pipe(v.string(), v.minLength(1), v.maxLength(128)) });

export interface KeyAdminOptions {
  /** Undefined in a hub that is none. */
  readonly issuer: Pick<HubIssuer, 'keys' | 'holders'> | undefined;
  readonly revocations: RevocationBoard;
}

export interface KeyList {
  /** Of the bundle. */
  readonly sequence: number;
  readonly keys: readonly object[];
}

export class KeyAdmin {
  readonly #options: KeyAdminOptions;

  constructor(options: KeyAdminOptions) {
    this.#options = options;
  }

  get #issuing(): Pick<HubIssuer, 'keys' | 'holders'> {
    const { issuer } = this.#options;
    if (issuer === undefined) throw noIssuer('Cannot tell of keys');
    return issuer;
  }

  /** @throws SkeinError SKEIN_REFUSED where another hub issues */
  list(): KeyList {
    const { keys } = this.#issuing;
    return { sequence: keys.ring.sequence, keys: keys.list().map(toJson) };
  }

  /** @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT, SKEIN_STORE */
  async rotate(request: unknown): Promise<KeyList> {
    const { now } = readRequest(rotateRequest, request, 'Cannot rotate keys');
    await this.#issuing.keys.rotate(now);
    return this.list();
  }

  /** @returns also whom it was the only word for: they are revoked by their keys. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT, SKEIN_STORE */
  async remove(request: unknown): Promise<KeyList & { readonly removed: string; readonly revoked: number }> {
    const { kid } = readRequest(removeRequest, request, 'Cannot remove key');
    const { keys, holders } = this.#issuing;
    const { revocations } = this.#options;
    // One that has gone may have let in somebody whom nobody has noted, or revoked, by then.
    const isGone = !keys.list().some((key) => key.kid === kid) && (await holders.seenBy(kid)).length > 0;
    if (!isGone) await keys.remove(kid);
    const unknown = await holders.seenBy(kid);
    for (const { id, key } of unknown) await revocations.revoke({ id, key, reason: `let in by key ${kid}` });
    return { removed: kid, revoked: unknown.length, ...this.list() };
  }
}

function toJson({
  kid,
  use,
  state,
  isAnchor,
  announcedAtMs,
  signsFromMs,
  retiredAtMs,
  removedFromMs,
}: KeyStatus): object {
  return {
    ...{ kid, use, state, anchor: isAnchor, announcedAt: toTime(announcedAtMs), signsFrom: toTime(signsFromMs) },
    ...{ retiredAt: toTime(retiredAtMs), removedFrom: toTime(removedFromMs) },
  };
}

function toTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
