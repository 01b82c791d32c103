/**
 * The identity of a hub that issues, key and SVID, beside the key of the issuer. One that showed another key after each start, or each sleep, would have
 * to sign and log another SVID, of which all members would have to be told; and they could not know it again by the tickets that it has sealed.
 */

import { areSameRoles, HUB_ROLES, type HubRole } from '../auth/hub-role.ts';
import { type IdentityKey, importIdentityKey } from '../auth/key-pair.ts';
import { verifyWit, type Wit } from '../auth/svid.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { Files } from '../core/platform.ts';
import { toHubId } from '../core/spiffe-id.ts';

/** @internal of one hub */
export interface OwnIdentity {
  readonly key: IdentityKey;
  readonly wit: string;
}

/** Undefined where there is none that can be read: another one is made. */
export async function readOwnIdentity(files: Files | undefined, path: string): Promise<OwnIdentity | undefined> {
  const content = await files?.read(path);
  if (content === undefined) return undefined;
  try {
    const { key, wit } = JSON.parse(decodeUtf8(content)) as Record<string, unknown>;
    return typeof wit === 'string' ? { key: await importIdentityKey(key), wit } : undefined;
  } catch {
    return undefined;
  }
}

export async function keepOwnIdentity(
  files: Files | undefined,
  path: string,
  { key, wit }: OwnIdentity,
): Promise<void> {
  const record = { key: (await key.exportPrivate()).reveal(), wit };
  await files?.replace(path, encodeUtf8(`${JSON.stringify(record)}\n`));
}

/** What the SVID says, if it is one of this hub as it is now, by a key that signs. */
export async function checkOwnIdentity(
  { key, wit }: OwnIdentity,
  now: {
    readonly bundle: TrustBundle;
    readonly trustDomain: string;
    readonly roles: readonly HubRole[];
    readonly clock: Clock;
  },
): Promise<Wit | undefined> {
  const said = await verifyWit(wit, now.bundle, now).catch(() => undefined);
  if (said === undefined || said.id.uri !== toHubId(now.trustDomain).uri) return undefined;
  const { x, y } = key.publicJwk;
  const isOwn = said.publicJwk.x === x && said.publicJwk.y === y;
  return isOwn && areSameRoles(said.hubRoles ?? HUB_ROLES, now.roles) ? said : undefined;
}
