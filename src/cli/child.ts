/** The command of `skein run`: its environment, its signals, its exit code. */

import { constants } from 'node:os';
import type { ChildProcess, ProcessPort } from '../core/process.ts';
import type { Environment } from './environment.ts';
import { withoutSecrets } from './secret.ts';

/** What shells answer for a command that is not there, or that may not be run. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

const LOCAL_HOSTS = 'localhost,127.0.0.1,::1';

/** The environment in which HTTP clients find the mesh, without the secrets by which this process joined it. */
export function childEnvironment(env: Environment, proxy: string): Record<string, string | undefined> {
  return {
    ...withoutSecrets(env),
    // Programs of the C world read the lower-case name only (a CGI script must not take it from a request).
    HTTP_PROXY: proxy,
    http_proxy: proxy,
    NO_PROXY: LOCAL_HOSTS,
    no_proxy: LOCAL_HOSTS,
    // Node's own fetch and http look at the variables above only when asked to.
    NODE_USE_ENV_PROXY: '1',
  };
}

export interface CommandLine {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Runs a command to its end, passing on signals. @returns its exit code, or 128 and the number of its signal */
export async function runChild(process: ProcessPort, { command, args, env }: CommandLine): Promise<number> {
  // First of all: by a signal that comes while the command starts this process would die, and leave it running.
  let child: ChildProcess | undefined;
  const giveBack = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) =>
    process.onSignal(signal, () => {
      // A terminal sends Ctrl-C to every process of the group: the child has it already.
      if (signal !== 'SIGINT' || !process.stdin.isTerminal) child?.kill(signal);
    }),
  );
  try {
    child = process.spawn(command, args, { env });
    const end = await child.ended;
    return typeof end === 'number' ? end : exitCodeOfSignal(end);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why = code === 'ENOENT' ? 'no such command' : error instanceof Error ? error.message : String(error);
    await process.stderr.write(`error: Cannot run "${command}": ${why}\n`);
    return code === 'ENOENT' ? NOT_FOUND : NOT_EXECUTABLE;
  } finally {
    for (const each of giveBack) each();
  }
}

/** As shells tell it: 128 and the number of the signal. */
export function exitCodeOfSignal(name: string): number {
  return 128 + (Object.entries(constants.signals).find(([signal]) => signal === name)?.[1] ?? 0);
}
