/**
 * Tokens of a platform — Kubernetes, a CI system, a cloud — by which a workload shows once where it runs. Bearer tokens of
 * somebody else's issuer: verified with its keys and only for the audience that is meant for this mesh.
 */

import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { type IssuerToken, verifyIssuerToken } from './issuer-token.ts';
import type { SigningKeys } from './signing-keys.ts';
import { checkValidity } from './validity.ts';

const TYPES = new Set<unknown>([undefined, 'JWT', 'JOSE']);
/** One that is good for longer shows that its holder was there once, not that it is there now. */
const MAX_LIFETIME_MS = 24 * 3_600_000;

export interface PlatformTokenVerification {
  readonly clock: Clock;
  readonly issuer: string;
  readonly audience: string;
  readonly keys: SigningKeys;
}

/**
 * Every refusal has one text, but for the time of what its issuer has signed.
 * @throws SkeinError SKEIN_TOKEN_INVALID, SKEIN_TOKEN_EXPIRED
 */
export async function verifyPlatformToken(
  token: string,
  { clock, issuer, audience, keys }: PlatformTokenVerification,
): Promise<IssuerToken> {
  const found = await verifyIssuerToken(token, { issuer, audiences: [audience], keys, types: TYPES });
  if (typeof found === 'string' || found.expiresAtMs - clock.epochMs() > MAX_LIFETIME_MS)
    throw new SkeinError(
      'SKEIN_TOKEN_INVALID',
      'Cannot enrol with this token: no trusted issuer has made it for this mesh',
    );
  try {
    checkValidity(found, clock);
  } catch (cause) {
    throw new SkeinError('SKEIN_TOKEN_EXPIRED', 'Cannot enrol with this token: its time is not now', { cause });
  }
  return found;
}
