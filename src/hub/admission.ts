/** What letting a newcomer in comes to, whatever it has shown. */

import type { HubRole } from '../auth/hub-role.ts';
import { type ErrorCode, SkeinError } from '../core/errors.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';

/** What a newcomer is, by its token. */
export interface Admission {
  readonly id: SpiffeId;
  /** `name.namespace` of each. */
  readonly services: readonly string[];
  /** Of a hub: what it may do for members. */
  readonly hubRoles?: readonly HubRole[] | undefined;
}

/**
 * A token may be presented again by the same key for this long: the first answer may have been lost with its link.
 * It is the same newcomer, because it has proven the key both times.
 */
export const RETRY_MS = 60_000;

export function refuseToken(
  code: ErrorCode,
  state: string,
  details: Readonly<Record<string, unknown>> = {},
): SkeinError {
  return new SkeinError(code, `Cannot enrol with this token: ${state}`, { details });
}
