/** What processes have used, from /proc: time in nanoseconds where the kernel tells it so, memory in bytes. */
import { readdirSync, readFileSync } from 'node:fs';
import { cpuSecondsOf } from '../../test/support/process.ts';

/** User and system time of all threads so far, in seconds. Threads that ended do not count; proxies keep theirs. */
export function processorSeconds(pid: number): number {
  try {
    let nanoseconds = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [running = ''] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ', 1);
      nanoseconds += Number(running);
    }
    return nanoseconds / 1e9;
  } catch {
    return cpuSecondsOf(pid); // a kernel without schedstat, or a thread that ended just now: in steps of 10 ms
  }
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(kibibytes ?? 0) * 1024;
}
