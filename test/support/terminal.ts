/** A terminal as a person has it: a shell runs a few lines, Ctrl-C reaches every process in it. */
import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';

export interface TerminalOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const open = new Set<Terminal>();
// A test that dies leaves nothing behind.
process.on('exit', () => {
  for (const terminal of open) terminal.signal('SIGKILL');
});

export class Terminal {
  readonly text: string;
  /** What was printed, stdout and stderr together. */
  output = '';
  /** Exit code, or the signal that ended the shell. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  #end: number | string | undefined;

  constructor(text: string, { cwd, env }: TerminalOptions) {
    this.text = text;
    // A process group of its own, as a terminal gives to what runs in front.
    this.#child = spawn('sh', ['-ec', text], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    open.add(this);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (part: string) => {
        this.output += part;
        this.#tell();
      });
    }
    this.ended = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        open.delete(this);
        this.#end = code ?? signal ?? 'nothing';
        this.#tell();
        resolve(this.#end);
      });
    });
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined || this.#end !== undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // The group has ended in this moment.
    }
  }

  /** Resolves when the output matches. Rejects, with the output, when the shell ends before or it takes too long. */
  async waitForOutput(pattern: RegExp, withinMs: number): Promise<void> {
    await this.#waitUntil(() => pattern.test(this.output), withinMs, `output like ${pattern}`);
  }

  /** The end, by itself or after a signal. */
  async waitForEnd(withinMs: number): Promise<number | string> {
    await this.#waitUntil(() => this.#end !== undefined, withinMs, 'its end');
    return this.ended;
  }

  #waitUntil(holds: () => boolean, withinMs: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (problem?: string): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (problem === undefined) resolve();
        else reject(new Error(`${problem}\n$ ${this.text}\n${this.output}`));
      };
      const look = (): void => {
        if (holds()) finish();
        else if (this.#end !== undefined) finish(`Ended with ${this.#end} before ${what}`);
      };
      const timer = setTimeout(() => finish(`No ${what} in ${withinMs} ms`), withinMs);
      this.#watchers.add(look);
      look();
    });
  }

  #tell(): void {
    for (const look of this.#watchers) look();
  }
}
