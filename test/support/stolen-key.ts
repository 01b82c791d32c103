/** A signing key of the issuer as somebody has it who has stolen it: enough to make identities, until it is removed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type IdentityKey, importIdentityKey } from '../../src/auth/key-pair.ts';
import { openRing } from '../../src/auth/ring-seal.ts';
import { mintWit } from '../../src/auth/svid.ts';
import type { KeyUse } from '../../src/auth/trust-bundle.ts';
import type { SpiffeId } from '../../src/core/spiffe-id.ts';

/** The key that signs now, out of the data folder of a hub. */
export async function stealKey(dataFolder: string, use: KeyUse = 'wit-svid'): Promise<IdentityKey> {
  const read = (name: string) => JSON.parse(readFileSync(join(dataFolder, name), 'utf8'));
  const ring = await openRing(read('keys.json').sealed, await importIdentityKey(read('issuer.json').wit));
  const current = ring.keys.find((key) => key.use === use && key.state === 'current');
  if (current === undefined) throw new TypeError('no key signs');
  return current.key;
}

/** An SVID that the issuer has never made, for `holder`. */
export function forgeWit(
  stolen: IdentityKey,
  holder: IdentityKey,
  id: SpiffeId,
  services: readonly string[],
  nowMs: number,
): Promise<string> {
  const { publicJwk } = holder;
  const times = { joinedAtMs: nowMs, issuedAtMs: nowMs, expiresAtMs: nowMs + 24 * 3_600_000 };
  return mintWit(stolen, stolen.thumbprint, { id, publicJwk, services, ...times });
}
