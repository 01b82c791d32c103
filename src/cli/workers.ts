/** `--workers`: how many processes share the work of one command. */

import { SkeinError } from '../core/errors.ts';
import type { Redacted } from '../core/redacted.ts';
import type { SidecarOptions } from '../sidecar/options.ts';
import type { Sidecar } from '../sidecar/sidecar.ts';
import type { CommandContext } from './context.ts';
import type { OptionSpec } from './input.ts';
import type { WorkerLogging } from './worker.ts';

/** As many links as a hub lets one key have (its quota `maxLinksPerKey`). */
const MAX_WORKERS = 64;

export const WORKERS_OPTION: OptionSpec = {
  flags: '--workers <count>',
  description: `processes that take connections at the same ports, 1 to ${MAX_WORKERS}, or auto: one for each processor`,
  fallback: '1',
};

/** @throws SkeinError SKEIN_CONFIG */
export function parseWorkers(text: string, processors: number): number {
  if (text === 'auto') return Math.max(1, Math.min(processors, MAX_WORKERS));
  const workers = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (workers >= 1 && workers <= MAX_WORKERS) return workers;
  throw new SkeinError('SKEIN_CONFIG', `Cannot use "${text}" workers: expected 1 to ${MAX_WORKERS}, or auto`);
}

/** Starts a sidecar of several processes. @throws SkeinError what `createSidecar` says */
export async function startWorkers(
  { platform, process, logFormat, logLevel }: CommandContext,
  workers: number,
  sidecar: SidecarOptions & { readonly token: Redacted<string> | undefined },
): Promise<Sidecar> {
  const { createPool } = await import('../sidecar/workers/pool.ts');
  const logging: WorkerLogging = { format: logFormat, level: logLevel };
  return createPool(platform, { sidecar, workers, logging, startWorker: process.startWorker });
}
