/** `ProcessPort` on node:process and node:child_process. */

import { spawn } from 'node:child_process';
import { availableParallelism, homedir } from 'node:os';
import process from 'node:process';
import type { ChildProcess, ProcessOutput, ProcessPort } from '../../core/process.ts';
import { systemErrorCode } from './system-error.ts';
import { findSupervisor, startWorker } from './workers.ts';

/** The longest delay a timer takes, 24.8 days. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

export function nodeProcess(): ProcessPort {
  return {
    env: process.env,
    // Asked late: Deno wants leave for each, which who names a folder need not give.
    get homeFolder() {
      return process.env.HOME || homedir();
    },
    get workFolder() {
      return process.cwd();
    },
    stdin: {
      // Asked late: the mere mention of process.stdin opens it.
      get isTerminal() {
        return process.stdin.isTTY === true;
      },
      read: () => process.stdin,
    },
    stdout: createOutput(process.stdout),
    stderr: createOutput(process.stderr),

    onSignal(signal, run) {
      process.on(signal, run);
      return () => void process.off(signal, run);
    },

    spawn(command, args, options): ChildProcess {
      const child = spawn(command, args, { env: { ...options.env }, stdio: 'inherit' });
      const ended = new Promise<number | string>((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code, signal) => resolve(code ?? signal ?? 1));
      });
      return { kill: (signal) => void child.kill(signal), ended };
    },

    get processors() {
      return availableParallelism();
    },
    // Deno 2.9 loses what its processes tell each other while connections are handed over: a worker hears nothing more.
    startWorker: process.versions.deno === undefined ? startWorker : undefined,
    supervisor: findSupervisor(),

    hold() {
      const timer = setInterval(() => undefined, LONGEST_DELAY_MS);
      return () => clearInterval(timer);
    },

    exit(code) {
      process.exit(code);
    },
  };
}

function createOutput(stream: NodeJS.WriteStream): ProcessOutput {
  let open = true;
  let watching = false;
  return {
    get isTerminal() {
      return stream.isTTY === true;
    },
    get columns() {
      return stream.columns;
    },
    write(chunk) {
      if (!watching) {
        watching = true;
        // Without a listener a reader that has gone away (`skein … | head`) would end the process with a stack trace.
        stream.on('error', (error) => {
          if (systemErrorCode(error) === 'EPIPE') open = false;
        });
      }
      if (!open) return Promise.resolve(false);
      return new Promise((resolve) => {
        stream.write(chunk, (error) => resolve(!error));
      });
    },
  };
}
