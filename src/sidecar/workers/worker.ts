/** A worker: a whole sidecar, with an instance of its own, that does what its supervisor says. */

import type { Answers, Conversation } from '../../core/conversation.ts';
import type { StartedWorker } from '../../core/crew.ts';
import type { Logger } from '../../core/log.ts';
import type { Platform } from '../../core/platform.ts';
import type { AdminSources } from '../admin-sources.ts';
import type { SidecarOptions } from '../options.ts';
import { createKnownSidecar } from '../sidecar.ts';
import { askedFiles } from './shared-files.ts';

/** The options of a sidecar as they can be told to another process. */
export type WorkerOptions = Omit<SidecarOptions, 'token' | 'adminToken' | 'log' | 'signal' | 'accessLog'> & {
  readonly token: string | undefined;
};

/** All that a worker is told at its start. */
export interface WorkerStart {
  readonly kind: 'sidecar';
  /** The first is 0. */
  readonly worker: number;
  readonly options: WorkerOptions;
  /** How it logs, for whoever makes the logger. */
  readonly logging: unknown;
}

/** What a worker tells when it is ready. */
export interface WorkerReady {
  readonly id: string;
  readonly instance: string;
  readonly addresses: Readonly<Record<string, string>>;
}

/** Starts the sidecar that this process is. @throws SkeinError what `createSidecar` says */
export async function startSidecarWorker(
  platform: Platform,
  { options }: WorkerStart,
  conversation: Conversation,
  log: Logger,
): Promise<StartedWorker> {
  const { files } = platform;
  const sidecar = await createKnownSidecar(
    { ...platform, files: files && askedFiles(files, conversation) },
    { ...options, sharesData: true, log },
  );
  const { id, instance, addresses } = sidecar;
  return {
    ready: { id, instance, addresses } satisfies WorkerReady,
    answers: {
      ...toAnswers(sidecar.know()),
      drain: () => sidecar.drain(),
      close: () => {
        sidecar.close();
        return sidecar.closed.then(() => undefined);
      },
      // Answered when it is so.
      closed: async () => {
        const error = await sidecar.closed;
        if (error !== undefined) throw error;
      },
    },
  };
}

function toAnswers(sources: AdminSources): Answers {
  const { metrics, policies, ...rest } = sources;
  return {
    ...rest,
    metrics: () => metrics.render(),
    policies: (window) => policies(window as string | undefined),
  };
}
