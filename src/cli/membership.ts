/** How a command becomes a member of the mesh: which hub, which token, which folder for its identity. */

import { dirname, join } from 'node:path';
import { parseJoinToken } from '../auth/join-token.ts';
import { type KnownHub, parseWayIn } from '../auth/way-in.ts';
import { SkeinError } from '../core/errors.ts';
import { Redacted } from '../core/redacted.ts';
import { findAdminToken, findHub } from './admin.ts';
import { AdminClient, asRecord } from './admin-client.ts';
import type { CommandContext } from './context.ts';
import { createToken } from './join-token.ts';
import { openProfile, type ProfileStore, requireFiles } from './profile.ts';

export interface Membership {
  readonly hubs: readonly string[];
  readonly token: Redacted<string> | undefined;
  readonly knownHub: KnownHub;
  /** Folder of the identity; undefined: it lives in memory. */
  readonly data: string | undefined;
}

export interface Wish {
  /** As given; empty when nobody named one. */
  readonly hubs: readonly string[];
  readonly token: Redacted<string> | undefined;
  readonly knownHub: KnownHub;
  readonly data: string | undefined;
  readonly namespace: string;
  /** Services to expose, `name.namespace`; the first is the service account. */
  readonly services: readonly string[];
  /** Keep the identity in the profile when no folder is named. */
  readonly remember: boolean;
}

/** How long a token that this process makes for itself may wait. */
const OWN_TOKEN_TTL = '5m';
/** Service account of a command that exposes nothing. */
const CALLER_NAME = 'cli';
/** Written by the agent once it has an identity. */
const IDENTITY_FILE = 'identity.json';

/**
 * In this order: what was named; where the hub's admin token is at hand, the identity made with it before, or now; the
 * identity that the profile remembers.
 * @throws SkeinError SKEIN_CONFIG when none of them is there
 */
export async function findMembership(context: CommandContext, wish: Wish): Promise<Membership> {
  const { knownHub } = wish;
  const profile = openProfile(context.platform, context.process);
  const { hub, data: hubData } = await findHub(context, wish.hubs[0], undefined);
  const hubs = wish.hubs.length > 0 ? wish.hubs : [hub];
  const account = wish.services[0] ?? `${CALLER_NAME}.${wish.namespace}`;
  const folderFor = (issuer: string): string | undefined =>
    wish.data ?? (wish.remember ? profile.identityFolder(issuer, account) : undefined);

  if (wish.token !== undefined) {
    const { issuerThumbprints, id } = parseWayIn(wish.token.reveal(), knownHub, context.platform.crypto.sha256);
    // A caller is whom its token names, which only the hub knows: never an identity of before, unless by the same token.
    const own = wish.remember && wish.services.length === 0 ? `token-${id}` : account;
    const data = wish.data ?? (wish.remember ? profile.identityFolder(issuerThumbprints[0] ?? '', own) : undefined);
    return { hubs, token: wish.token, knownHub, data };
  }
  if (wish.data !== undefined && (await holdsIdentity(context, wish.data))) {
    return { hubs, token: undefined, knownHub, data: wish.data };
  }
  const adminToken = await findAdminToken(context, hubData);
  if (adminToken === undefined) {
    const data = wish.data === undefined ? await findRemembered(context, profile, hubs, wish.services[0]) : undefined;
    if (data === undefined) throw noWayIn(account, wish.hubs.length === 0);
    return { hubs, token: undefined, knownHub, data };
  }
  const admin = new AdminClient({ url: hub, token: adminToken });
  if (wish.data === undefined) {
    // By the issuer's key, not by the address: a hub that was made anew knows nobody of before.
    for (const issuer of await readIssuers(admin)) {
      const data = profile.identityFolder(issuer, account);
      if (await holdsIdentity(context, data)) return { hubs, token: undefined, knownHub, data };
    }
  }
  const services = wish.services.length > 0 ? wish.services : [account];
  const token = await createToken(admin, { services, namespace: wish.namespace, ttl: OWN_TOKEN_TTL });
  return { hubs, token: new Redacted(token), knownHub, data: folderFor(parseJoinToken(token).issuerThumbprint) };
}

/** Remembers hub and identity, after they have proven good. */
export async function rememberMembership(context: CommandContext, { hubs, data }: Membership): Promise<void> {
  const [hub] = hubs;
  try {
    const profile = openProfile(context.platform, context.process);
    const { hub: before, hubData } = await profile.read();
    await profile.update({
      ...(hub === undefined ? {} : { hub }),
      // The data folder of another hub says nothing about this one.
      hubData: hub === before ? hubData : undefined,
      ...(data === undefined ? {} : { identity: data }),
    });
  } catch (error) {
    context.logger.log('debug', 'profile-not-written', { error });
  }
}

/** The remembered identity of this hub, or the one beside it that was made for `account`. */
async function findRemembered(
  context: CommandContext,
  profile: ProfileStore,
  hubs: readonly string[],
  account: string | undefined,
): Promise<string | undefined> {
  const { hub, identity } = await profile.read();
  if (identity === undefined || hub === undefined || !hubs.includes(hub)) return undefined;
  const folder = account === undefined ? identity : join(dirname(identity), account);
  return (await holdsIdentity(context, folder)) ? folder : undefined;
}

/** Thumbprints of the keys that the hub's issuer signs with. */
async function readIssuers(admin: AdminClient): Promise<string[]> {
  const { keys } = asRecord(await admin.get('/.well-known/spiffe-bundle'));
  const kids = Array.isArray(keys) ? keys.map((key) => asRecord(key).kid) : [];
  return [...new Set(kids.filter((kid) => typeof kid === 'string'))];
}

async function holdsIdentity({ platform }: CommandContext, folder: string): Promise<boolean> {
  return (await requireFiles(platform).read(join(folder, IDENTITY_FILE))) !== undefined;
}

function noWayIn(account: string, anyHub: boolean): SkeinError {
  const name = account.slice(0, account.indexOf('.'));
  const token = `\`skein token create --service ${name}\` on the hub's machine makes a token: give it here by --token @file or SKEIN_TOKEN.`;
  return new SkeinError('SKEIN_CONFIG', 'Cannot join the mesh: no token and no identity here', {
    details: { remedy: anyHub ? `Start a hub here with \`skein hub\`, or join another: ${token}` : token },
  });
}
