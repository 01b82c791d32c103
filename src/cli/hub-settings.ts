/** What a hub is asked to be: flags, else environment, else its file. */

import { basename, dirname, resolve } from 'node:path';
import { KEY_LIFE, type KeyLife } from '../auth/key-life.ts';
import { parseStrictJson } from '../auth/strict-json.ts';
import { decodeUtf8 } from '../core/bytes.ts';
import { tryParseDuration } from '../core/duration.ts';
import { SkeinError } from '../core/errors.ts';
import type { ListenAddress, Platform } from '../core/platform.ts';
import { Redacted } from '../core/redacted.ts';
import { isTrustDomain } from '../core/spiffe-id.ts';
import { type FederatedDomain, HUB_ROLES, type HubQuotas, type HubRole } from '../hub/options.ts';
import type { TrustedPlatform } from '../hub/platform-trust.ts';
import { parseHubUrl, parseListenAddress } from './address.ts';
import { DEFAULT_HUB_DATA } from './admin.ts';
import type { HubFile } from './config.ts';
import type { CommandContext } from './context.ts';
import type { OptionSpec } from './input.ts';
import { requireFiles } from './profile.ts';
import { readSecret } from './secret.ts';
import { readStoreSetting, type SharedStoreSetting } from './shared-store.ts';
import { parseWorkers, WORKERS_OPTION } from './workers.ts';

const DEFAULT_LISTEN = '127.0.0.1:7000';
const DEFAULT_KEY_LIFE = '30d';
/** The next key is announced for a day before it signs, and a change by hand must not wait for the one by itself. */
const LEAST_KEY_LIFE_MS = 2 * 24 * 3_600_000;
const MOST_KEY_LIFE_MS = 3_650 * 24 * 3_600_000;

export interface HubSettings {
  readonly listen: ListenAddress;
  readonly store: 'file' | 'memory' | SharedStoreSetting;
  /** Absolute path; undefined when the store is in memory and nobody named a folder. */
  readonly data: string | undefined;
  /** Undefined: the one in `data`. */
  readonly adminToken: Redacted<string> | undefined;
  readonly url: string | undefined;
  readonly region: string | undefined;
  readonly trustDomain: string | undefined;
  readonly trust: readonly TrustedPlatform[];
  readonly federation: readonly FederatedDomain[];
  readonly roles: readonly HubRole[];
  /** Hubs that issue, and the token for them; of no use to a hub that issues itself. */
  readonly hubs: readonly string[];
  readonly token: Redacted<string> | undefined;
  readonly starterPolicy: boolean;
  readonly permissive: boolean;
  readonly trustsProxy: boolean;
  readonly pageOrigins: readonly string[];
  readonly quotas: HubQuotas;
  readonly keys: KeyLife;
  readonly reseal: boolean;
  readonly workers: number;
}

export const HUB_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--listen <address>',
    description: 'address of sidecars and administrators; 0.0.0.0:7000 listens to other machines too',
    fallback: DEFAULT_LISTEN,
  },
  { flags: '--data <folder>', description: 'keeps the issuer, tokens and policies', fallback: DEFAULT_HUB_DATA },
  { flags: '--url <url>', description: 'how others reach this hub, such as wss://hub.example.com' },
  { flags: '--region <name>', description: 'where this hub runs' },
  {
    flags: '--store <where>',
    description:
      'where state is kept: file, memory, or nats://[user:password@]host:port[,…][/bucket][?replicas=3], which several hubs share; @file reads it from a file',
    fallback: 'file',
  },
  { flags: '--store-credentials <file>', description: 'a .creds file for the NATS servers of --store' },
  {
    flags: '--roles <names>',
    description: `parts that this hub plays, of ${HUB_ROLES.join(', ')}; without issuer it holds no key of the issuer, and needs --hub`,
    fallback: 'all',
    list: true,
    commas: true,
  },
  {
    flags: '--hub <urls>',
    description: 'the hubs that issue, for a hub that does not; the first that can be reached is asked',
    list: true,
    commas: true,
  },
  {
    flags: '--token <token>',
    description:
      'what "skein token create --hub-role …" printed, or @file; not needed again while --data holds the identity',
  },
  { flags: '--trust-domain <name>', description: 'SPIFFE trust domain, fixed at the first start' },
  {
    flags: '--key-life <time>',
    description: 'how long a key of the issuer signs before the next one takes its place, such as 30d or 72h',
    fallback: DEFAULT_KEY_LIFE,
  },
  {
    flags: '--trust-proxy',
    description: 'believe Forwarded or X-Forwarded-For: only where every connection comes through a proxy that sets it',
  },
  {
    flags: '--pages <origins>',
    description: 'origins whose pages may be members, such as https://shop.example.com, or * for all; none without it',
    list: true,
    commas: true,
  },
  {
    flags: '--permissive',
    description:
      'make the mesh permissive: what no policy decides is allowed and counted, until AuthorizationPolicy/permissive of the namespace mesh is deleted',
  },
  { flags: '--no-starter-policy', description: 'a new hub starts without the policy allow-same-namespace' },
  {
    flags: '--reseal',
    description:
      'what the store holds now is right, and is sealed anew: after a backup was restored or tampering was undone',
  },
  WORKERS_OPTION,
  { flags: '--config <file>', description: 'a YAML file; flags and environment go before it' },
];

/** @throws SkeinError SKEIN_CONFIG */
export async function readHubSettings(context: CommandContext): Promise<HubSettings> {
  const { input, platform, process } = context;
  const config = input.text('config');
  const path = config === undefined ? undefined : resolve(process.workFolder, config);
  const content = path === undefined ? undefined : await requireFiles(platform).read(path);
  if (path !== undefined && content === undefined) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot read --config: no file "${path}"`);
  }
  const file =
    path === undefined || content === undefined
      ? {}
      : (await import('./config.ts')).parseHubFile(basename(path), decodeUtf8(content), process.env);

  const credentials = input.text('store-credentials');
  const fileCredentials =
    file.storeCredentials === undefined || path === undefined
      ? undefined
      : resolve(dirname(path), file.storeCredentials);
  const store = await readStoreSetting(
    context,
    input.text('store') ?? file.store ?? 'file',
    credentials ?? fileCredentials,
  );
  const data = input.text('data');
  const fileData = file.data === undefined || path === undefined ? undefined : resolve(dirname(path), file.data);
  const named = data === undefined ? fileData : resolve(process.workFolder, data);
  const adminToken = process.env.SKEIN_ADMIN_TOKEN;
  const url = input.text('url') ?? file.url;
  const trustDomain = input.text('trust-domain') ?? file.trustDomain;
  if (trustDomain !== undefined && !isTrustDomain(trustDomain)) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot use trust domain "${trustDomain}": expected a-z, 0-9, ., _ and -`);
  }
  const token = input.text('token') ?? file.token;
  const workers = input.text('workers') ?? file.workers;
  const roles = input.list('roles') ?? (file.roles === undefined ? HUB_ROLES : [file.roles].flat());
  return {
    listen: parseListenAddress(input.text('listen') ?? file.listen ?? DEFAULT_LISTEN),
    store,
    data: named ?? (store === 'memory' ? undefined : resolve(process.workFolder, DEFAULT_HUB_DATA)),
    adminToken: adminToken === undefined || adminToken === '' ? undefined : new Redacted(adminToken.trim()),
    url: url === undefined ? undefined : parseHubUrl(url),
    region: input.text('region') ?? file.region,
    trustDomain,
    trust: (file.trust ?? []).map(toTrusted),
    federation: await readFederation(platform, file.federation ?? [], path === undefined ? '' : dirname(path)),
    roles: roles.map(parseRole),
    hubs: input.list('hub')?.map(parseHubUrl) ?? [file.hub ?? []].flat().map(parseHubUrl),
    token: token === undefined ? undefined : await readSecret(context, '--token', token),
    trustsProxy: input.flag('trust-proxy') || (file.trustProxy ?? false),
    pageOrigins: input.list('pages') ?? [file.pages ?? []].flat(),
    quotas: Object.fromEntries(Object.entries(file.quotas ?? {}).filter(([, value]) => value !== undefined)),
    keys: { ...KEY_LIFE, lifeMs: parseKeyLife(input.text('key-life') ?? file.keyLife ?? DEFAULT_KEY_LIFE) },
    permissive: input.flag('permissive'),
    reseal: input.flag('reseal'),
    workers: workers === undefined ? 1 : parseWorkers(String(workers), process.processors),
    starterPolicy: !input.flag('no-starter-policy') && (file.starterPolicy ?? true),
  };
}

function toTrusted({ services, algorithms, jwks, ...rest }: NonNullable<HubFile['trust']>[number]): TrustedPlatform {
  return {
    ...rest,
    ...(services === undefined ? {} : { services }),
    ...(algorithms === undefined ? {} : { algorithms }),
    ...(jwks === undefined ? {} : { jwks }),
  };
}

/** @param folder that of the file of the hub, where the names of others begin */
async function readFederation(
  platform: Platform,
  entries: NonNullable<HubFile['federation']>,
  folder: string,
): Promise<readonly FederatedDomain[]> {
  return Promise.all(
    entries.map(async ({ trustDomain, bundleEndpoint, bundle }) => {
      if (bundle === undefined) return { trustDomain, bundleEndpoint };
      const content = await requireFiles(platform).read(resolve(folder, bundle));
      const value = content === undefined ? undefined : tryParseJson(decodeUtf8(content));
      if (value !== undefined) return { trustDomain, bundleEndpoint, bundle: value };
      throw new SkeinError('SKEIN_CONFIG', `Cannot federate with "${trustDomain}": no JSON in file "${bundle}"`);
    }),
  );
}

function tryParseJson(text: string): unknown {
  try {
    return parseStrictJson(text, 16);
  } catch {
    return undefined;
  }
}

function parseKeyLife(text: string): number {
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  const ms = days === undefined ? tryParseDuration(text) : Number(days) * 24 * 3_600_000;
  if (ms !== undefined && ms >= LEAST_KEY_LIFE_MS && ms <= MOST_KEY_LIFE_MS) return ms;
  throw new SkeinError('SKEIN_CONFIG', `Cannot use --key-life "${text}": expected 2d to 3650d, or a time such as 72h`);
}

function parseRole(text: string): HubRole {
  const role = HUB_ROLES.find((known) => known === text);
  if (role === undefined) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot use role "${text}": expected one of ${HUB_ROLES.join(', ')}`);
  }
  return role;
}
