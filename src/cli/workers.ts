/** `--workers`: how many processes share the work of one command. */

import { HUB_ROLES } from '../auth/hub-role.ts';
import { SkeinError } from '../core/errors.ts';
import type { Platform } from '../core/platform.ts';
import type { ProcessPort, StartWorker } from '../core/process.ts';
import type { Redacted } from '../core/redacted.ts';
import type { HubOptions } from '../hub/options.ts';
import type { HubPool } from '../hub/workers/pool.ts';
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
  { platform, process, logFormat, logLevel }: Pick<CommandContext, 'platform' | 'process' | 'logFormat' | 'logLevel'>,
  workers: number,
  sidecar: SidecarOptions & { readonly token: Redacted<string> | undefined },
): Promise<Sidecar> {
  const startWorker = requireWorkers(platform, process);
  const { createPool } = await import('../sidecar/workers/pool.ts');
  const logging: WorkerLogging = { format: logFormat, level: logLevel };
  return createPool(platform, { sidecar, workers, logging, startWorker });
}

/** Starts a hub of several processes. @throws SkeinError SKEIN_CONFIG, what `createHub` says; the reason of the signal */
export async function startHubWorkers(
  { platform, process, logFormat, logLevel }: Pick<CommandContext, 'platform' | 'process' | 'logFormat' | 'logLevel'>,
  workers: number,
  hub: HubOptions,
  signal: AbortSignal,
): Promise<HubPool> {
  const { store, dataFolder, roles = HUB_ROLES, ...rest } = hub;
  // What one of them makes the others must find.
  const cannot = (why: string): SkeinError => new SkeinError('SKEIN_CONFIG', `Cannot start hub with --workers: ${why}`);
  if (dataFolder === undefined || store === 'memory') throw cannot('it needs --data, and a store that is not memory');
  if (roles.length < HUB_ROLES.length) throw cannot('it plays every role; --roles is for one process');
  const startWorker = requireWorkers(platform, process);
  const { createHubPool } = await import('../hub/workers/pool.ts');
  const logging: WorkerLogging = { format: logFormat, level: logLevel };
  return createHubPool(platform, {
    ...{ workers, logging, startWorker, signal },
    hub: { ...rest, dataFolder },
    store: typeof store === 'object' ? store : undefined,
  });
}

function requireWorkers({ name }: Platform, { startWorker }: ProcessPort): StartWorker {
  if (startWorker !== undefined) return startWorker;
  throw new SkeinError('SKEIN_CONFIG', `Cannot use --workers: ${name} does not share ports between processes`, {
    details: { remedy: 'Run skein on Node or Bun, or without --workers.' },
  });
}
