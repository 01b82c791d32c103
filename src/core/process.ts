/** `ProcessPort`: the process as the command line sees it — its streams, environment, signals and children. */

import type { Bytes } from './bytes.ts';

export type ProcessSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGKILL';

export interface ProcessOutput {
  /** Does a person watch? */
  readonly isTerminal: boolean;
  /** Width of the terminal, or undefined. */
  readonly columns: number | undefined;
  /** Resolves when the reader took it; false when nobody reads any more (a closed pipe). */
  write(chunk: string | Bytes): Promise<boolean>;
}

export interface ProcessInput {
  readonly isTerminal: boolean;
  /** The bytes until the end; to be called once. */
  read(): AsyncIterable<Bytes>;
}

export interface SpawnOptions {
  /** The whole environment of the child. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A child that shares the terminal: its streams are those of this process. */
export interface ChildProcess {
  kill(signal: ProcessSignal): void;
  /** Exit code, or the name of the signal that ended it. @throws the system's error when it could not be started */
  readonly ended: Promise<number | string>;
}

/** This program once more, as a process of its own. Its streams are those of this process; what one worker listens on, all of them do. */
export interface WorkerProcess {
  readonly pid: number;
  /** Tells it something that JSON can say; nothing happens when it has ended. */
  send(message: unknown): void;
  kill(signal: ProcessSignal): void;
  /** Exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

export type StartWorker = (onMessage: (message: unknown) => void) => WorkerProcess;

/** The process that has started this one as a worker. When it ends, this one ends. */
export interface Supervisor {
  /** Tells it something that JSON can say. */
  send(message: unknown): void;
  /** To be called once. */
  onMessage(run: (message: unknown) => void): void;
}

export interface ProcessPort {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeFolder: string;
  readonly workFolder: string;
  readonly stdin: ProcessInput;
  readonly stdout: ProcessOutput;
  readonly stderr: ProcessOutput;
  /** Takes over a signal; the returned function gives it back. */
  onSignal(signal: Exclude<ProcessSignal, 'SIGKILL'>, run: () => void): () => void;
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess;
  /** Processors that this process may use. */
  readonly processors: number;
  /** Undefined where the runtime cannot share ports between processes. */
  readonly startWorker: StartWorker | undefined;
  /** Undefined when this process is no worker. */
  readonly supervisor: Supervisor | undefined;
  /** Keeps the process running although nothing waits for the network: timers never do. */
  hold(): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}
