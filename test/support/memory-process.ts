/** A process without an operating system: streams are texts, signals are sent by the test. */
import { concatBytes, decodeUtf8, encodeUtf8 } from '../../src/core/bytes.ts';
import type { ChildProcess, ProcessOutput, ProcessPort, ProcessSignal } from '../../src/core/process.ts';

export interface MemoryProcess extends ProcessPort {
  readonly out: () => string;
  readonly err: () => string;
  /** Resolves when stdout, or stderr, holds this. */
  waitForOut(pattern: RegExp): Promise<void>;
  waitForErr(pattern: RegExp): Promise<void>;
  readonly spawned: readonly Spawned[];
  /** A process that does not listen for a signal dies of it. */
  listensFor(signal: ProcessSignal): boolean;
  /** What `exit` was called with. */
  readonly exited: readonly number[];
  send(signal: ProcessSignal): void;
}

export interface Spawned {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signals: readonly ProcessSignal[];
}

export interface MemoryProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly stdin?: string;
  /** Plays the child; its result is the child's exit code. */
  readonly child?: (spawned: Spawned) => Promise<number | string>;
}

export function memoryProcess(options: MemoryProcessOptions): MemoryProcess {
  const out = memoryOutput();
  const err = memoryOutput();
  const spawned: Spawned[] = [];
  const exited: number[] = [];
  const handlers = new Map<string, Set<() => void>>();
  return {
    env: options.env ?? {},
    homeFolder: options.folder,
    workFolder: options.folder,
    stdin: {
      isTerminal: false,
      async *read() {
        yield encodeUtf8(options.stdin ?? '');
      },
    },
    stdout: out.output,
    stderr: err.output,
    out: out.text,
    err: err.text,
    waitForOut: out.waitFor,
    waitForErr: err.waitFor,
    spawned,
    exited,
    onSignal(signal, run) {
      const all = handlers.get(signal) ?? new Set();
      handlers.set(signal, all.add(run));
      return () => void all.delete(run);
    },
    listensFor: (signal) => (handlers.get(signal)?.size ?? 0) > 0,
    send(signal) {
      for (const run of handlers.get(signal) ?? []) run();
    },
    spawn(command, args, { env }): ChildProcess {
      const signals: ProcessSignal[] = [];
      const child = { command, args, env, signals };
      spawned.push(child);
      return {
        kill: (signal) => void signals.push(signal),
        ended: options.child?.(child) ?? Promise.resolve(0),
      };
    },
    processors: 2,
    startWorker: undefined,
    supervisor: undefined,
    hold: () => () => undefined,
    exit: (code) => void exited.push(code),
  };
}

interface MemoryOutput {
  readonly output: ProcessOutput;
  text(): string;
  waitFor(pattern: RegExp): Promise<void>;
}

function memoryOutput(): MemoryOutput {
  let bytes: Uint8Array = new Uint8Array(0);
  const watchers = new Set<() => void>();
  const text = (): string => decodeUtf8(bytes);
  return {
    output: {
      isTerminal: false,
      columns: undefined,
      write(chunk) {
        bytes = concatBytes(bytes, typeof chunk === 'string' ? encodeUtf8(chunk) : chunk);
        for (const look of watchers) look();
        return Promise.resolve(true);
      },
    },
    text,
    waitFor(pattern) {
      return new Promise((resolve) => {
        const look = (): void => {
          if (!pattern.test(text())) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      });
    },
  };
}
