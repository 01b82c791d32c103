/** Which shelf a member keeps its identity on. */

import { SkeinError } from '../core/errors.ts';
import type { Platform } from '../core/platform.ts';
import { FileShelf } from './file-shelf.ts';
import type { Shelf } from './shelf.ts';
import { VaultShelf } from './vault-shelf.ts';

/**
 * @param data a folder, or where there are no files the name of a vault; undefined: nothing is kept
 * @throws SkeinError SKEIN_CONFIG where there is neither; SKEIN_STORE
 */
export async function openShelf({ files, openVault }: Platform, data: string | undefined): Promise<Shelf | undefined> {
  if (data === undefined) return undefined;
  if (files !== undefined) return new FileShelf(files, data);
  if (openVault !== undefined) return new VaultShelf(await openVault(data), data);
  throw new SkeinError('SKEIN_CONFIG', 'Cannot keep identity: this runtime has nothing to keep it in');
}
