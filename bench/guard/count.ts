/** Counted work: what a request takes of memory, records and system calls; the same on a fast machine and on a slow one. */
import process from 'node:process';
import { runProgram } from '../../test/support/process.ts';
import { programPath } from '../kit/programs.ts';

/** Of both sidecars, and of the client and the application, which take the same each time. */
export interface Work {
  /** Allocated on the heap, whatever becomes of it; by code that is hardly compiled, which takes more than what users run. */
  readonly heapBytesPerRequest: number;
  /** System calls that write to a socket: client, caller, callee, application. */
  readonly writesPerThousand: number;
  /** Records that the calling sidecar seals. */
  readonly callerRecordsPerThousand: number;
}

/** `one`: one request at a time. `crowd`: 64 at once, the next ones when all are answered. */
export type Counted = Readonly<Record<'one' | 'crowd', Work>>;

const FLAGS = [
  '--expose-gc',
  // When code is compiled better, and drops objects then, depends on the machine.
  '--no-opt',
  '--no-maglev',
  // Nothing is collected before it is counted.
  '--min-semi-space-size=256',
  '--max-semi-space-size=256',
];

export async function countWork(): Promise<Counted> {
  const text = await runProgram(process.execPath, [...FLAGS, programPath('count-work')], { name: 'count-work' });
  return JSON.parse(text.trim().split('\n').at(-1) ?? '') as Counted;
}
