/** The `skein` program: reads the command line, runs one command, and turns whatever happens into an exit code. */

import { readFile } from 'node:fs/promises';
import type { Platform } from '../core/platform.ts';
import type { ProcessPort } from '../core/process.ts';
import { freeLargeBuffersEarly, hostPlatform, nodeProcess } from '../host.ts';
import { type CommandSpec, parseCommandLine } from './command.ts';
import { COMMANDS } from './commands.ts';
import { EXIT, exitCodeOf } from './exit-code.ts';
import { formatFailure, toFailureFields } from './failure.ts';
import type { Input } from './input.ts';
import { createLogger, type LogFormat } from './log.ts';
import { createPainter, wantsColour } from './output.ts';

/** Width of help where no terminal tells its own. */
const DEFAULT_COLUMNS = 100;

/**
 * @param version of skein; a program in one file, which has no package.json beside it, says it here
 * @returns the exit code
 */
export async function main(argv: readonly string[], version?: string): Promise<number> {
  const platform = hostPlatform();
  freeLargeBuffersEarly();
  return runProgram(argv, { platform, process: nodeProcess(), version: version ?? (await readVersion()) });
}

export interface Surroundings {
  readonly platform: Platform;
  readonly process: ProcessPort;
  readonly version: string;
}

/** The same with everything outside as an argument. */
export async function runProgram(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { process, version } = surroundings;
  const said: Promise<unknown>[] = [];
  const say = (text: string): void => void said.push(process.stderr.write(text));
  if (process.supervisor !== undefined) {
    const { runWorker } = await import('./worker.ts');
    await runWorker(process.supervisor, { ...surroundings, say });
    await Promise.all(said);
    // The way to its supervisor would keep it running.
    process.exit(EXIT.done);
    return EXIT.done;
  }
  const invocation = parseCommandLine(COMMANDS, argv, process.env, {
    columns: process.stdout.columns ?? DEFAULT_COLUMNS,
    version,
    out: (text) => void said.push(process.stdout.write(text)),
    err: say,
  });
  let exitCode: number;
  if ('exitCode' in invocation) {
    exitCode = invocation.exitCode;
  } else {
    const release = process.hold();
    try {
      exitCode = await run(invocation.spec, invocation.input, { ...surroundings, say });
    } finally {
      release();
    }
  }
  await Promise.all(said);
  return exitCode;
}

async function run(
  spec: CommandSpec,
  input: Input,
  { platform, process, version, say }: Surroundings & { readonly say: (text: string) => void },
): Promise<number> {
  const colour = wantsColour(process.stderr.isTerminal, process.env);
  let logFormat: LogFormat = 'text';
  try {
    logFormat = input.text('log') === 'json' ? 'json' : 'text';
    const logLevel = toLevel(input.text('log-level') ?? spec.logLevel);
    const logger = createLogger({
      format: logFormat,
      level: logLevel,
      clock: platform.clock,
      colour,
      write: say,
    });
    return await spec.run({
      platform,
      process,
      input,
      logger,
      logFormat,
      logLevel,
      version,
      paint: createPainter(wantsColour(process.stdout.isTerminal, process.env)),
      print: async (text) => void (await process.stdout.write(text)),
      say: (text) => {
        if (logFormat === 'text') say(`${text}\n`);
      },
    });
  } catch (error) {
    if (logFormat === 'json') {
      const logger = createLogger({ format: 'json', level: 'error', clock: platform.clock, colour: false, write: say });
      logger.log('error', 'failed', toFailureFields(error));
    } else {
      say(formatFailure(error, createPainter(colour)));
    }
    return exitCodeOf(error);
  }
}

function toLevel(text: string | undefined): 'debug' | 'info' | 'warn' | 'error' {
  return text === 'debug' || text === 'warn' || text === 'error' ? text : 'info';
}

/** From package.json, which lies at the same distance from the sources and from the compiled program. */
async function readVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  const version = typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : '';
  return String(version);
}
