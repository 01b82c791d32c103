/** What a hub finds in its data folder when it starts, and makes there at the first start. */

import { decodeUtf8, encodeUtf8, toBase64Url } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Files, Platform } from '../core/platform.ts';
import { Redacted } from '../core/redacted.ts';
import type { HubOptions } from './options.ts';
import { FileStore } from './store/file.ts';
import { MemoryStore } from './store/memory.ts';
import type { Store } from './store.ts';

export interface HubState {
  readonly store: Store;
  /** How many times a hub has started on this store, this time included. */
  readonly epoch: number;
  readonly isFirstStart: boolean;
  readonly adminToken: Redacted<string>;
  /** File of the issuer's key, when there is a folder for it. */
  readonly issuerFile: string | undefined;
  /** Size of the store on disk; 0 in memory. */
  readonly storeBytes: () => number;
}

const ADMIN_TOKEN_BYTES = 32;
const EPOCH_KEY = 'hub/epoch';

/** @throws SkeinError SKEIN_STORE, SKEIN_CONFIG */
export async function openState(platform: Platform, options: HubOptions, log: Logger): Promise<HubState> {
  const { dataFolder } = options;
  const files = dataFolder === undefined ? undefined : requireFiles(platform);
  if (files !== undefined && dataFolder !== undefined) await files.makeFolder(dataFolder);
  const store = await openStore(files, options, log);
  try {
    const epoch = await nextEpoch(store);
    const adminToken = await openAdminToken(platform, options, files);
    return {
      store,
      epoch,
      isFirstStart: epoch === 1,
      adminToken,
      issuerFile: dataFolder === undefined ? undefined : `${dataFolder}/issuer.json`,
      storeBytes: () => (store instanceof FileStore ? store.sizeBytes : 0),
    };
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
}

async function openStore(files: Files | undefined, { store, dataFolder }: HubOptions, log: Logger): Promise<Store> {
  if (typeof store === 'object') return store;
  const kind = store ?? (dataFolder === undefined ? 'memory' : 'file');
  if (kind === 'memory') return new MemoryStore();
  if (files === undefined) throw new SkeinError('SKEIN_CONFIG', 'Cannot open file store: no data folder is given');
  return FileStore.open(`${dataFolder}/store.log`, { files, log });
}

async function nextEpoch(store: Store): Promise<number> {
  for (;;) {
    const before = await store.get(EPOCH_KEY);
    const epoch = (before === undefined ? 0 : Number(before.value) || 0) + 1;
    if ((await store.compareAndSet(EPOCH_KEY, before?.revision ?? 0, String(epoch))) !== undefined) return epoch;
  }
}

async function openAdminToken(
  platform: Platform,
  { adminToken, dataFolder }: HubOptions,
  files: Files | undefined,
): Promise<Redacted<string>> {
  if (adminToken !== undefined) return new Redacted(adminToken);
  const fresh = toBase64Url(platform.random.bytes(ADMIN_TOKEN_BYTES));
  if (files === undefined) return new Redacted(fresh);
  const path = `${dataFolder}/admin.token`;
  const stored = await files.read(path);
  const kept = stored === undefined ? '' : decodeUtf8(stored).trim();
  if (kept !== '') return new Redacted(kept);
  await files.replace(path, encodeUtf8(`${fresh}\n`));
  return new Redacted(fresh);
}

function requireFiles(platform: Platform): Files {
  if (platform.files === undefined) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot use data folder: ${platform.name} has no file system`);
  }
  return platform.files;
}
