/** A lock file that names the process which holds it, so that one left behind by a crash is recognised and taken over. */

import { link, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SkeinError } from '../../core/errors.ts';
import type { FileLock } from '../../core/platform.ts';
import { isDenied, systemErrorCode } from './system-error.ts';

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
    const holder = toOwner(found);
    const state = await stateOf(path, holder);
    if (state !== 'free') throw isUsed(path, holder.pid, state);
    await takeAway(path, found);
  }
  throw isUsed(path);
}

/** *unknown*: the process that is named may not be looked at. */
type LockState = 'free' | 'held' | 'unknown';

/** @param holder number of the process; undefined: it changes too fast to be told */
function isUsed(path: string, holder?: number, state: LockState = 'held'): SkeinError {
  const [what, remedy] =
    state === 'unknown'
      ? [
          `process ${holder} uses it, or did: without --allow-run Deno does not say whether it lives`,
          'stop the other process, or choose another data folder; if it has ended already, remove the file',
        ]
      : ['another process uses it', 'stop the other process, or choose another data folder'];
  return new SkeinError('SKEIN_STORE', `Cannot lock '${path}': ${what}`, { details: { path, holder, remedy } });
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

async function stateOf(path: string, { pid, startTime }: Owner): Promise<LockState> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return 'free';
  if (pid === process.pid) return held.has(path) ? 'held' : 'free';
  const life = lifeOf(pid);
  if (life !== 'held') return life;
  const now = await startTimeOf(pid);
  return startTime === undefined || now === undefined || startTime === now ? 'held' : 'free';
}

function lifeOf(pid: number): LockState {
  try {
    process.kill(pid, 0);
    return 'held';
  } catch (error) {
    if (isDenied(error)) return 'unknown';
    return systemErrorCode(error) === 'EPERM' ? 'held' : 'free';
  }
}

/** What a lock says of who holds it. */
interface Owner {
  readonly pid: number;
  /** Where the kernel tells the moment of its start: numbers are used again, moments are not. */
  readonly startTime: string | undefined;
}

function toOwner(text: string): Owner {
  const [pid = '', startTime] = text.split(' ');
  return { pid: Number.parseInt(pid, 10), startTime };
}

async function describeProcess(pid: number): Promise<string> {
  const startTime = await startTimeOf(pid);
  return startTime === undefined ? String(pid) : `${pid} ${startTime}`;
}

async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // Field 22 of proc(5); the second one, a name in parentheses, may hold anything.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
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
