/** One sidecar at a time for an identity folder: two would replace each other's key and credentials there. */

import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { FileLock, Files } from '../core/platform.ts';

const LOCK = 'sidecar.lock';
const REMEDY =
  'Stop that one, or give this one a folder and a token of its own (`skein token create`): instances of a service need no common one.';

/**
 * Claims a folder until it is released, or until this process is gone.
 * @returns undefined where nothing can be written, so that nobody can be harmed
 * @throws SkeinError SKEIN_STORE while another sidecar has it
 */
export async function claimFolder(files: Files, folder: string, log: Logger): Promise<FileLock | undefined> {
  try {
    return await files.lock(`${folder}/${LOCK}`);
  } catch (thrown) {
    const cause = toSkeinError(thrown);
    if ('holder' in cause.details) {
      throw new SkeinError('SKEIN_STORE', `Cannot use identity folder "${folder}": another sidecar uses it`, {
        cause,
        details: { ...cause.details, remedy: REMEDY },
      });
    }
    log.log('warn', 'identity-folder-not-locked', { folder, error: cause.message, remedy: cause.details.remedy });
    return undefined;
  }
}
