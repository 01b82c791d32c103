/** Workers on node:cluster of Node and Bun (that of Deno loses messages, and is not used): one process listens for all, and hands connections out in turn. */

import cluster from 'node:cluster';
import process from 'node:process';
import type { Supervisor, WorkerProcess } from '../../core/process.ts';

/** Tells a worker of ours from one of another program that runs us in its cluster. */
const MARK = 'SKEIN_IS_WORKER';

export function startWorker(onMessage: (message: unknown) => void): WorkerProcess {
  // What it does comes by message: its arguments are for those who list processes.
  cluster.setupPrimary({ args: ['worker'] });
  const worker = cluster.fork({ [MARK]: '1' });
  // Before it listens it would lose them: its first message says that it does.
  let early: unknown[] | undefined = [];
  const send = (message: unknown): void => {
    // Told by `ended`: whoever asks it hears that it is gone.
    if (worker.isConnected()) worker.process.send(message as object, () => undefined);
  };
  worker.once('message', () => {
    worker.on('message', onMessage);
    for (const message of early ?? []) send(message);
    early = undefined;
  });
  const ended = new Promise<number | string>((resolve) => {
    worker.once('exit', (code: number | null, signal: string | null) => resolve(signal ?? code ?? 1));
    // The process could not be started.
    worker.once('error', () => resolve(1));
  });
  return {
    pid: worker.process.pid ?? 0,
    send: (message) => {
      if (early === undefined) send(message);
      else early.push(message);
    },
    kill: (signal) => void worker.process.kill(signal),
    ended,
  };
}

/** As the process begins: the mark is nothing for its children. */
export function findSupervisor(): Supervisor | undefined {
  if (process.env[MARK] === undefined) return undefined;
  delete process.env[MARK];
  if (!cluster.isWorker) return undefined;
  return {
    send: (message) => void process.send?.(message),
    onMessage: (run) => {
      process.on('message', run);
      process.send?.('listening');
    },
  };
}
