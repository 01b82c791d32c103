/** A lock file that names the process which holds it, so that one left behind by a crash is recognised and taken over. */

import { link, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SkeinError } from '../../core/errors.ts';
import type { FileLock } from '../../core/platform.ts';
import { systemErrorCode } from './system-error.ts';

/** Locks this process holds: its own number in a file means nothing else, because containers reuse small numbers. */
const held = new Set<string>();
const MAX_ATTEMPTS = 5;

let temporaryFiles = 0;

/** @throws SkeinError SKEIN_STORE while another process that lives holds it */
export async function lockFile(path: string): Promise<FileLock> {
  // Whatever it is called, it is the same file.
  return lock(join(await realpath(dirname(path)), basename(path)));
}

async function lock(path: string): Promise<FileLock> {
  const owner = await describeProcess(process.pid);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (await create(path, owner)) {
      held.add(path);
      let released = false;
      return {
        release: async () => {
          if (released) return;
          released = true;
          // In this order: whoever asks meanwhile is refused, and loses nothing that it has just got.
          await rm(path, { force: true }).finally(() => held.delete(path));
        },
      };
    }
    const found = await readFile(path, 'utf8').catch(() => undefined);
    if (found === undefined) continue; // released just now
    if (await isHeld(path, found)) throw isUsed(path, Number.parseInt(found, 10));
    await takeAway(path, found);
  }
  throw isUsed(path);
}

/** @param holder number of the process; undefined: it changes too fast to be told */
function isUsed(path: string, holder?: number): SkeinError {
  return new SkeinError('SKEIN_STORE', `Cannot lock '${path}': another process uses it`, {
    details: { path, holder, remedy: 'stop the other process, or choose another data folder' },
  });
}

/** Linking makes the file appear with its content at once: nobody reads it half written. */
async function create(path: string, owner: string): Promise<boolean> {
  const temporary = `${path}.${process.pid}.${temporaryFiles++}.tmp`;
  try {
    await writeFile(temporary, owner, { mode: 0o600, flag: 'wx' });
    await link(temporary, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function isHeld(path: string, found: string): Promise<boolean> {
  const pid = Number.parseInt(found, 10);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  if (pid === process.pid) return held.has(path);
  return isAlive(pid) && (await describeProcess(pid)) === found;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}

/** Number of the process, and where the kernel tells it the moment of its start: numbers are used again, moments are not. */
async function describeProcess(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // Field 22 of proc(5); the second one, a name in parentheses, may hold anything.
  const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return startTime === undefined ? String(pid) : `${pid} ${startTime}`;
}

/** Removes a lock left behind, unless somebody else has just replaced it by a living one. */
async function takeAway(path: string, found: string): Promise<void> {
  const aside = `${path}.${process.pid}.${temporaryFiles++}.stale`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  const taken = await readFile(aside, 'utf8').catch(() => found);
  if (taken !== found) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
