/** What administrators may ask of the issuer's keys. */

import * as v from 'valibot';
import { readRequest } from './admin-request.ts';
import type { KeyKeeper, KeyStatus } from './key-keeper.ts';
import { noIssuer } from './standing.ts';

const rotateRequest = v.strictObject({
  /** Refuse where the next keys have not been announced for long enough. */
  now: v.boolean(),
});

export interface KeyList {
  /** Of the bundle. */
  readonly sequence: number;
  readonly keys: readonly object[];
}

export class KeyAdmin {
  readonly #keeper: KeyKeeper | undefined;

  /** @param keeper undefined in a hub that is no issuer */
  constructor(keeper: KeyKeeper | undefined) {
    this.#keeper = keeper;
  }

  get #keys(): KeyKeeper {
    if (this.#keeper === undefined) throw noIssuer('Cannot tell of keys');
    return this.#keeper;
  }

  /** @throws SkeinError SKEIN_REFUSED where another hub issues */
  list(): KeyList {
    return { sequence: this.#keys.ring.sequence, keys: this.#keys.list().map(toJson) };
  }

  /** @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT, SKEIN_STORE */
  async rotate(request: unknown): Promise<KeyList> {
    const { now } = readRequest(rotateRequest, request, 'Cannot rotate keys');
    await this.#keys.rotate(now);
    return this.list();
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
