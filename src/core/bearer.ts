/** Bearer tokens of admin ports (RFC 6750 §2.1), compared so that neither contents nor length show in the time it takes. */

import { encodeUtf8, equalBytes } from './bytes.ts';
import type { Crypto } from './platform.ts';
import type { Redacted } from './redacted.ts';

/** @param authorization the field of that name */
export function isBearer(
  authorization: string | null | undefined,
  wanted: Redacted<string>,
  { sha256 }: Pick<Crypto, 'sha256'>,
): boolean {
  const [scheme = '', token = ''] = (authorization ?? '').split(' ');
  const isEqual = equalBytes(sha256(encodeUtf8(token)), sha256(encodeUtf8(wanted.reveal())));
  return isEqual && scheme.toLowerCase() === 'bearer';
}
