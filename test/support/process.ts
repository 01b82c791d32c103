/** Starts real programs, `skein` among them: waits for their ready line, keeps their log, stops them by process id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { root } from './repository.ts';

/** The one line a ready program prints on stdout. */
export interface ReadyLine {
  readonly event: string;
  readonly role: string;
  readonly addresses: Readonly<Record<string, string>>;
}

/** One line of stderr: its JSON fields, and the text as it came. */
export interface LogLine {
  readonly text: string;
  readonly level?: string;
  readonly event?: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ProgramOptions {
  /** For messages: "hub", "sidecar a". */
  readonly name?: string;
  /** Command that starts the program, as of a network namespace. It must become the program (exec), not its parent. */
  readonly within?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Keeps its stdin open, for `write`. @default false */
  readonly stdin?: boolean;
  /** Milliseconds until a missing ready line is a failure. @default 60_000 */
  readonly readyWithinMs?: number;
}

export type Runtime = 'node' | 'bun' | 'deno';

export interface SkeinOptions extends ProgramOptions {
  /** What runs it: the compiled program on this Node, or the sources (a helper: as it is) on Bun or Deno. @default "node" */
  readonly runtime?: Runtime;
  /** What Deno allows it. @default everything */
  readonly denoFlags?: readonly string[];
  /** The launcher, of `startSkein`. @default bin/skein of this clone */
  readonly launcher?: string;
}

/** Clock ticks per second of /proc (`getconf CLK_TCK`): 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Whoever has said nothing by then never will, on a busy machine too; more than a drain takes at most. */
const PATIENCE_MS = 60_000;

const running = new Set<Program>();
// A test that dies leaves nothing behind.
process.on('exit', () => {
  for (const program of running) program.signal('SIGKILL');
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1));

export class Program {
  readonly name: string;
  readonly log: LogLine[] = [];
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #readyWithinMs: number;
  #stdout = '';
  #stderrRest = '';
  #exit: Exit | undefined;
  #commands = 0;
  readonly #watchers = new Set<() => void>();

  constructor(command: string, args: readonly string[], options: ProgramOptions = {}) {
    this.name = options.name ?? command;
    this.#readyWithinMs = options.readyWithinMs ?? PATIENCE_MS;
    const [first, ...rest] = [...(options.within ?? []), command, ...args];
    this.#child = spawn(first as string, rest, {
      cwd: options.cwd ?? root,
      env: { ...process.env, NO_COLOR: '1', ...options.env },
      stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
    running.add(this);
    this.#child.stdin?.on('error', () => undefined); // its end is told by `exited`
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#tell();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#readLog(text));
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        running.delete(this);
        this.#exit = exit;
        this.#tell();
        resolve(exit);
      };
      this.#child.on('error', (error) => {
        this.log.push({ text: String(error) });
        end({ code: null, signal: null });
      });
      this.#child.on('close', (code, signal) => end({ code, signal }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get hasExited(): boolean {
    return this.#exit !== undefined;
  }

  /** The ready line. Rejects when the program ends or stays silent; the message holds its last log lines. */
  async ready(): Promise<ReadyLine> {
    await this.#waitUntil(() => this.#stdout.includes('\n'), this.#readyWithinMs, 'its ready line');
    const line = JSON.parse(this.#stdout.slice(0, this.#stdout.indexOf('\n'))) as ReadyLine;
    if (line.event !== 'ready') throw new Error(`${this.name} printed "${this.#stdout}" instead of a ready line`);
    return line;
  }

  /** How often it has told of that so far. */
  count(event: string): number {
    return this.log.filter((line) => line.event === event).length;
  }

  /** The first log line, past or future, that matches. */
  async waitForLog(matches: (line: LogLine) => boolean, withinMs = PATIENCE_MS): Promise<LogLine> {
    await this.#waitUntil(() => this.log.some(matches), withinMs, 'a log line');
    return this.log.find(matches) as LogLine;
  }

  /** All that was printed on stdout, once it matches. */
  async waitForOutput(pattern: RegExp, withinMs = PATIENCE_MS): Promise<string> {
    await this.#waitUntil(() => pattern.test(this.#stdout), withinMs, `output like ${pattern}`);
    return this.#stdout;
  }

  /** Writes to its stdin. */
  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Tells a helper what to do, as a line of JSON on its stdin, and gives its answer: the line of stdout with the same id. */
  async command<T>(command: object, withinMs?: number): Promise<T> {
    const id = ++this.#commands;
    this.write(`${JSON.stringify({ id, ...command })}\n`);
    const answer = new RegExp(`^\\{"id":${id},.*\\}$`, 'm');
    const printed = await this.waitForOutput(answer, withinMs);
    return JSON.parse(answer.exec(printed)?.[0] ?? '{}') as T;
  }

  /** Ends its stdin. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#exit === undefined && this.#child.pid !== undefined) this.#child.kill(signal);
  }

  /** SIGTERM, then the exit; a program that does not end in time is killed and that is an error. */
  async stop(): Promise<Exit> {
    this.signal('SIGTERM');
    return this.waitForExit();
  }

  async kill(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }

  async waitForExit(withinMs = PATIENCE_MS): Promise<Exit> {
    try {
      await this.#waitUntil(() => this.#exit !== undefined, withinMs, 'its end');
    } catch (error) {
      this.signal('SIGKILL'); // its end is not waited for: a child of it may hold its streams open
      throw error;
    }
    return this.exited;
  }

  /** Resident memory in KiB, from /proc. */
  rssKib(): number {
    return statusKib(this.pid, 'VmRSS');
  }

  /** The highest resident memory so far (or since `resetPeak`), in KiB. */
  peakRssKib(): number {
    return statusKib(this.pid, 'VmHWM');
  }

  /** From now on `peakRssKib` tells of what comes (proc(5), clear_refs). */
  resetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
  }

  /** User and system time so far, in seconds. */
  cpuSeconds(): number {
    return cpuSecondsOf(this.pid);
  }

  /** The last lines of the log, for messages. */
  tail(lines = 15): string {
    return this.log
      .slice(-lines)
      .map(({ text }) => `  ${this.name}: ${text}`)
      .join('\n');
  }

  #readLog(text: string): void {
    const lines = (this.#stderrRest + text).split('\n');
    this.#stderrRest = lines.pop() ?? '';
    for (const line of lines) this.log.push(toLogLine(line));
    this.#tell();
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #waitUntil(holds: () => boolean, withinMs: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: Error) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = () => {
        if (holds()) return end();
        if (this.#exit !== undefined) {
          const { code, signal } = this.#exit;
          end(new Error(`${this.name} ended with ${code ?? signal} before ${what}\n${this.tail()}`));
        }
      };
      const late = () => end(new Error(`${this.name}: no ${what} in ${withinMs} ms\n${this.tail()}`));
      const timer = setTimeout(late, withinMs);
      this.#watchers.add(look);
      look();
    });
  }
}

/** `bin/skein` with JSON log. */
export function startSkein(args: readonly string[], options: SkeinOptions = {}): Program {
  const [command, ...before] = runtimeCommand(options);
  const launcher = options.launcher ?? join(root, 'bin/skein');
  return new Program(command, [...before, launcher, ...args, '--log', 'json'], {
    name: `skein ${args[0]}`,
    ...options,
  });
}

const installed = (path: string): string => join(root, 'test/runtimes/node_modules', path);

/** The command that a runtime is started with, before the program's own path. */
export function runtimeCommand({ runtime = 'node', denoFlags = ['-A'] }: SkeinOptions): readonly [string, ...string[]] {
  if (runtime === 'node') return [process.execPath];
  if (runtime === 'bun') return [installed('@oven/bun-linux-x64/bin/bun')];
  return [installed('@deno/linux-x64-glibc/deno'), 'run', '--no-prompt', ...denoFlags];
}

/** Runs `bin/skein` to its end. */
export async function runSkein(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Exit & { program: Program }> {
  const program = new Program(process.execPath, [join(root, 'bin/skein'), ...args], {
    name: `skein ${args[0]}`,
    ...options,
  });
  return { ...(await program.waitForExit(options.readyWithinMs)), program };
}

/** One of the programs beside this file, compiled or not, as this file is. */
export function startHelper(name: string, args: readonly string[] = [], options: SkeinOptions = {}): Program {
  const [command, ...before] = runtimeCommand(options);
  return new Program(command, [...before, helperPath(name), ...args], { name, ...options });
}

/** Runs a program to its end and gives what it printed; an exit code other than 0 is an error. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions & { readonly withinMs?: number } = {},
): Promise<string> {
  const program = new Program(command, args, options);
  const { code, signal } = await program.waitForExit(options.withinMs ?? 120_000);
  if (code !== 0) throw new Error(`${command} ended with ${code ?? signal}\n${program.stdout}\n${program.tail(40)}`);
  return program.stdout;
}

export function helperPath(name: string): string {
  const self = fileURLToPath(import.meta.url);
  return join(self, '..', 'programs', `${name}${extname(self)}`);
}

export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field, the command, may hold spaces; after it come state (3) to utime (14) and stime (15).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function statusKib(pid: number, field: string): number {
  const path = `/proc/${pid}/status`;
  if (!existsSync(path)) throw new Error(`Cannot read memory: no process ${pid}`);
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(path, 'latin1'));
  return Number(match?.[1]);
}

function toLogLine(text: string): LogLine {
  if (!text.startsWith('{')) return { text };
  try {
    return { ...JSON.parse(text), text };
  } catch {
    return { text };
  }
}
