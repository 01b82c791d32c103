/** What this program does when another one of it has started it as a worker: no command line is read, all is told by message. */

import type { LogLevel } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import type { ProcessPort, Supervisor } from '../core/process.ts';
import { serveWorker } from '../sidecar/workers/worker.ts';
import { createLogger, type LogFormat } from './log.ts';
import { wantsColour } from './output.ts';

export interface WorkerLogging {
  readonly format: LogFormat;
  readonly level: LogLevel;
}

interface Surroundings {
  readonly platform: Platform;
  readonly process: ProcessPort;
  /** Writes on stderr. */
  readonly say: (text: string) => void;
}

/** Resolves when the supervisor has no more work for it. */
export async function runWorker(supervisor: Supervisor, { platform, process, say }: Surroundings): Promise<void> {
  const release = process.hold();
  // A terminal sends Ctrl-C to every process of the group: what is to be done then, the supervisor says.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.onSignal(signal, () => undefined);
  await serveWorker(platform, supervisor, ({ worker, logging }) => {
    const { format, level } = logging as WorkerLogging;
    const colour = wantsColour(process.stderr.isTerminal, process.env);
    const logger = createLogger({ format, level, clock: platform.clock, colour, write: say });
    return { log: (severity, event, fields) => logger.log(severity, event, { worker, ...fields }) };
  });
  release();
}
