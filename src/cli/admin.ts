/** Which hub an administrator means, and with which right: flags, environment, the hub's data folder, the profile. */

import { join, resolve } from 'node:path';
import { decodeUtf8 } from '../core/bytes.ts';
import { Redacted } from '../core/redacted.ts';
import { formatAddress, parseHubUrl, parseListenAddress } from './address.ts';
import { AdminClient } from './admin-client.ts';
import type { CommandContext } from './context.ts';
import type { OptionSpec } from './input.ts';
import { toPrintable } from './output.ts';
import { openProfile, requireFiles } from './profile.ts';
import { findSidecarToken } from './sidecar-token.ts';

export const DEFAULT_HUB = 'ws://127.0.0.1:7000';
export const DEFAULT_HUB_DATA = './hub';

/** Files that a hub's data folder holds for commands on the same machine. */
export const ADMIN_TOKEN_FILE = 'admin.token';
export const HUB_URL_FILE = 'hub.url';

export const ADMIN_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--hub <url>',
    description: 'the hub',
    fallback: `the one in --data, the last one used, or ${DEFAULT_HUB}`,
  },
  {
    flags: '--data <folder>',
    description: "the hub's data folder, which holds the admin token; elsewhere set SKEIN_ADMIN_TOKEN",
    fallback: 'that of the hub last started here, or ./hub',
  },
];

export const SIDECAR_OPTION: OptionSpec = {
  flags: '--sidecar <address>',
  description: 'admin address of the sidecar, which its ready line tells',
};

export async function openAdmin(context: CommandContext): Promise<AdminClient> {
  const { hub, data } = await findHub(context, context.input.text('hub'), context.input.text('data'));
  return new AdminClient({ url: hub, token: await findAdminToken(context, data), onPermissive: toBanner(context) });
}

/** The sidecar whose admin address is `text`: `host:port` or `http://host:port`. @throws SkeinError SKEIN_CONFIG */
export async function openSidecar(context: CommandContext, text: string): Promise<AdminClient> {
  const address = formatAddress(parseListenAddress(text.replace(/^http:\/\//, '').replace(/\/$/, '')));
  const token = await findSidecarToken(context, address);
  return new AdminClient({ role: 'sidecar', url: `http://${address}`, token, onPermissive: toBanner(context) });
}

/** Nobody shall forget it: each command that asks says it, once. */
function toBanner({ say, paint }: CommandContext): (rule: string) => void {
  let isSaid = false;
  return (rule) => {
    if (isSaid) return;
    isSaid = true;
    const [policy = ''] = rule.split(' ');
    say(paint('red', `THIS MESH IS PERMISSIVE: what no policy decides is allowed (${toPrintable(policy)})`));
  };
}

export interface FoundHub {
  readonly hub: string;
  /** Data folder of the hub, if it may be on this machine. */
  readonly data: string | undefined;
}

export async function findHub(
  { platform, process }: CommandContext,
  hub: string | undefined,
  data: string | undefined,
): Promise<FoundHub> {
  const files = requireFiles(platform);
  const readUrl = async (folder: string): Promise<string | undefined> => {
    const content = await files.read(join(folder, HUB_URL_FILE));
    return content === undefined ? undefined : parseHubUrl(decodeUtf8(content).trim());
  };
  // A folder that nobody named may be anybody's: what cannot be read there is not ours.
  const guessUrl = (folder: string): Promise<string | undefined> => readUrl(folder).catch(() => undefined);
  const profile = await openProfile(platform, process).read();
  const here = resolve(process.workFolder, DEFAULT_HUB_DATA);
  if (data !== undefined) {
    const folder = resolve(process.workFolder, data);
    const url = hub === undefined ? await readUrl(folder) : parseHubUrl(hub);
    return { hub: url ?? profile.hub ?? DEFAULT_HUB, data: folder };
  }
  if (hub !== undefined) {
    const url = parseHubUrl(hub);
    // An admin token goes to the hub it belongs to and to no other.
    for (const folder of [profile.hubData, here]) {
      if (folder !== undefined && (await guessUrl(folder)) === url) return { hub: url, data: folder };
    }
    return { hub: url, data: undefined };
  }
  if (profile.hub !== undefined) return { hub: profile.hub, data: profile.hubData };
  return { hub: (await guessUrl(here)) ?? DEFAULT_HUB, data: here };
}

export async function findAdminToken(
  { platform, process }: CommandContext,
  data: string | undefined,
): Promise<Redacted<string> | undefined> {
  const named = process.env.SKEIN_ADMIN_TOKEN;
  if (named !== undefined && named !== '') return new Redacted(named.trim());
  if (data === undefined) return undefined;
  const content = await requireFiles(platform).read(join(data, ADMIN_TOKEN_FILE));
  return content === undefined ? undefined : new Redacted(decodeUtf8(content).trim());
}
