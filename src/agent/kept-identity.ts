/** What a member starts with: the identity that is kept, if it is good for what is wanted, else a token and a key for it. */

import { areSameRoles, type HubRole } from '../auth/hub-role.ts';
import type { IdentityKey } from '../auth/key-pair.ts';
import type { TicketBook } from '../auth/resume-tickets.ts';
import { readClaimedId, verifyWit, type Wit } from '../auth/svid.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { type KnownHub, parseWayIn, type WayIn } from '../auth/way-in.ts';
import { parseServiceName } from '../catalog/service.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import type { Redacted } from '../core/redacted.ts';
import type { IdentityStore, StoredIdentity } from './identity-store.ts';

export interface IdentityOptions {
  readonly platform: Platform;
  /** A function is asked only when there is no identity that is good. */
  readonly token: Redacted<string> | (() => Promise<string>) | undefined;
  /** Whom to trust when the token does not say it. */
  readonly knownHub: KnownHub;
  readonly data: string | undefined;
  /** Services this member wants to serve, `name[.namespace]`. */
  readonly services: readonly string[];
  /** What this hub wants to do for members, where it is none: a token goes before an SVID that says something else. */
  readonly hubRoles?: readonly HubRole[] | undefined;
  readonly renewAfterMs: number;
  readonly log: Logger;
  /** Where tickets that hubs and peers give outlive this member. @default nowhere, and none is asked for */
  readonly tickets?: TicketBook | undefined;
}

/** An identity that is good for what is wanted. */
export interface Kept {
  readonly stored: StoredIdentity;
  readonly wit: Wit;
}

export function readToken(text: Redacted<string>, { knownHub, platform }: IdentityOptions): WayIn {
  return parseWayIn(text.reveal(), knownHub, platform.crypto.sha256);
}

/** Or why there is none. @throws SkeinError SKEIN_STORE when there is one that cannot be read, and no way in without it */
export async function findKept(
  store: IdentityStore,
  given: WayIn | undefined,
  options: IdentityOptions,
): Promise<Kept | SkeinError> {
  if (options.token !== undefined) await setDamagedAside(store, options);
  const stored = await store.readIdentity();
  if (stored === undefined) return noWayIn(undefined);
  const wit = await tryVerify(stored, options.platform);
  if (wit instanceof SkeinError) return noWayIn(wit);
  const isGood = options.token === undefined || isSufficient(stored.bundle, wit, given, options);
  return isGood ? { stored, wit } : noWayIn(undefined);
}

/** A start that broke off before the answer came is finished with the same key: the hub takes it for the same newcomer. */
export async function keyFor(token: WayIn, store: IdentityStore): Promise<IdentityKey> {
  const begun = await store.readEnrolment();
  if (begun?.tokenId === token.id) return begun.key;
  const key = await store.createKey();
  await store.writeEnrolment({ key, tokenId: token.id });
  return key;
}

/** With a token there is a way in without them. */
async function setDamagedAside(store: IdentityStore, { data, log }: IdentityOptions): Promise<void> {
  for (const file of await store.setDamagedAside()) log.log('warn', 'identity-set-aside', { folder: data, file });
}

/** Or why it is no good: as if it were not there. */
async function tryVerify(stored: StoredIdentity, platform: Platform): Promise<Wit | SkeinError> {
  const trustDomain = readClaimedId(stored.wit)?.trustDomain ?? '';
  try {
    return await verifyWit(stored.wit, stored.bundle, { clock: platform.clock, trustDomain });
  } catch (thrown) {
    return toSkeinError(thrown);
  }
}

/** Is what is stored of the mesh that made the token that was given, and may it serve all that is wanted? Else a token goes first. */
function isSufficient(
  bundle: TrustBundle,
  wit: Wit,
  token: WayIn | undefined,
  { services, hubRoles }: Pick<IdentityOptions, 'services' | 'hubRoles'>,
): boolean {
  if (hubRoles !== undefined && !areSameRoles(hubRoles, wit.hubRoles ?? [])) return false;
  const isOfThatMesh =
    token === undefined ||
    (wit.id.trustDomain === token.trustDomain && bundle.keys.some(({ kid }) => token.issuerThumbprints.includes(kid)));
  if (!isOfThatMesh) return false;
  return services.every((name) => wit.services.includes(parseServiceName(name, wit.id.namespace).key));
}

function noWayIn(cause: SkeinError | undefined): SkeinError {
  if (cause === undefined)
    return new SkeinError('SKEIN_CONFIG', 'Cannot join mesh: no join token and no stored identity');
  return new SkeinError('SKEIN_IDENTITY', `Cannot use stored identity: ${cause.message}`, {
    cause,
    details: { remedy: 'Check the clock; if it is right, make a join token with `skein token create`.' },
  });
}
