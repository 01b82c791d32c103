/** A PostgreSQL of its own in a temporary folder: made with initdb, run as the user postgres, gone afterwards. */

import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { runProgram } from './process.ts';

const DEBIAN = '/usr/lib/postgresql';

/** Folder of Debian's newest PostgreSQL programs; they are not on the PATH. */
export function postgresFolder(): string | undefined {
  if (!existsSync(DEBIAN)) return undefined;
  const versions = readdirSync(DEBIAN)
    .map(Number)
    .filter((version) => existsSync(join(DEBIAN, String(version), 'bin/initdb')));
  return versions.length === 0 ? undefined : join(DEBIAN, String(Math.max(...versions)), 'bin');
}

export class Postgres {
  /** `host:port`. */
  readonly address: string;
  readonly #folder: string;
  readonly #programs: string;
  #running = true;
  readonly #stopAtExit = () => this.#stopNow();

  private constructor(folder: string, programs: string, port: number) {
    this.#folder = folder;
    this.#programs = programs;
    this.address = `127.0.0.1:${port}`;
    process.on('exit', this.#stopAtExit);
  }

  static async start(options: { readonly port: number; readonly within?: readonly string[] }): Promise<Postgres> {
    const programs = postgresFolder();
    if (programs === undefined) throw new Error('Cannot start PostgreSQL: it is not installed');
    const folder = mkdtempSync(join(tmpdir(), 'skein-postgres-'));
    chmodSync(folder, 0o700);
    const user = unprivileged();
    if (user.length > 0) chownSync(folder, idOf('postgres', '-u'), idOf('postgres', '-g'));
    const data = join(folder, 'data');
    const run = (program: string, ...args: string[]) => {
      const [command = '', ...rest] = [...user, join(programs, program), ...args];
      return runProgram(command, rest, { within: options.within, cwd: folder });
    };
    await run('initdb', '--no-sync', '--auth=trust', '--username=postgres', '--encoding=UTF8', '--locale=C', data);
    // fsync would measure the disk; the test is about the connection.
    const settings = `-h 127.0.0.1 -p ${options.port} -k ${folder} -c fsync=off -c max_connections=50`;
    await run('pg_ctl', '-w', '-D', data, '-l', join(folder, 'log'), '-o', settings, 'start');
    return new Postgres(folder, programs, options.port);
  }

  /** One of PostgreSQL's own client programs. */
  program(name: string): string {
    return join(this.#programs, name);
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    const pid = this.#stopNow();
    if (pid !== undefined) await waitForEnd(pid);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** SIGINT is PostgreSQL's fast shutdown. */
  #stopNow(): number | undefined {
    this.#running = false;
    process.off('exit', this.#stopAtExit);
    const path = join(this.#folder, 'data/postmaster.pid');
    if (!existsSync(path)) return undefined;
    const pid = Number.parseInt(readFileSync(path, 'latin1'), 10);
    process.kill(pid, 'SIGINT');
    return pid;
  }
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): readonly string[] {
  return process.getuid?.() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', '--'] : [];
}

function idOf(user: string, which: '-u' | '-g'): number {
  return Number(execFileSync('id', [which, user], { encoding: 'utf8' }));
}

/** `tail --pid` ends when the process does; a process that is not our child gives no event. */
async function waitForEnd(pid: number): Promise<void> {
  await runProgram('tail', ['--pid', String(pid), '-s', '0.1', '-f', '/dev/null'], { withinMs: 20_000 });
}
