/** Memory that is in use, and not waiting for a collector: runtimes differ in how long they let garbage lie. */

import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = () => void;

const collect: Collect = findCollector();

export function liveMemory(): { readonly heap: number; readonly arrayBuffers: number } {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed, arrayBuffers };
}

function findCollector(): Collect {
  const { Bun: bun } = globalThis as { Bun?: { gc(force: boolean): void } };
  if (bun !== undefined) return () => bun.gc(true);
  try {
    setFlagsFromString('--expose-gc');
    return runInNewContext('gc') as Collect;
  } catch {
    // Deno offers it with a flag of its own only: what is measured then is an upper bound.
    return () => undefined;
  }
}
