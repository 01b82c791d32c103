/** What this program does when another one of it has started it as a worker: no command line is read, all is told by message. */

import { Conversation } from '../core/conversation.ts';
import type { StartedWorker } from '../core/crew.ts';
import type { Logger, LogLevel } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import type { ProcessPort, Supervisor } from '../core/process.ts';
import type { HubWorkerStart } from '../hub/workers/worker.ts';
import type { WorkerStart as SidecarStart } from '../sidecar/workers/worker.ts';
import { createLogger, type LogFormat } from './log.ts';
import { wantsColour } from './output.ts';

export interface WorkerLogging {
  readonly format: LogFormat;
  readonly level: LogLevel;
}

type Start = SidecarStart | HubWorkerStart;

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
  const colour = wantsColour(process.stderr.isTerminal, process.env);
  const createWorkerLogger = ({ worker, logging }: Start): Logger => {
    const logger = createLogger({ ...(logging as WorkerLogging), clock: platform.clock, colour, write: say });
    return { log: (level, event, fields) => logger.log(level, event, { worker, ...fields }) };
  };
  await new Promise<void>((resolve) => {
    const conversation: Conversation = new Conversation((message) => supervisor.send(message), {
      start: async (query) => {
        const start = query as Start;
        const started = await startAs(platform, start, conversation, createWorkerLogger(start));
        conversation.answer(started.answers);
        return started.ready;
      },
      exit: () => resolve(),
    });
    supervisor.onMessage((message) => conversation.receive(message));
  });
  release();
}

async function startAs(
  platform: Platform,
  start: Start,
  conversation: Conversation,
  log: Logger,
): Promise<StartedWorker> {
  if (start.kind === 'hub') {
    const { startHubWorker } = await import('../hub/workers/worker.ts');
    return startHubWorker(platform, start, conversation, log);
  }
  const { startSidecarWorker } = await import('../sidecar/workers/worker.ts');
  return startSidecarWorker(platform, start, conversation, log);
}
