/** A PostgreSQL of its own in a temporary folder: made with initdb, run as the user postgres, gone afterwards. */

import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Program } from './process.ts';

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
  readonly #folder: string;
  readonly #programs: string;
  readonly #server: Program;

  private constructor(folder: string, programs: string, server: Program) {
    this.#folder = folder;
    this.#programs = programs;
    this.#server = server;
  }

  /** Listens on 127.0.0.1 only; everybody there may do everything. */
  static async start(options: { readonly port: number; readonly within?: readonly string[] }): Promise<Postgres> {
    const programs = postgresFolder();
    if (programs === undefined) throw new Error('Cannot start PostgreSQL: it is not installed');
    const folder = mkdtempSync(join(tmpdir(), 'skein-postgres-'));
    const data = join(folder, 'data');
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(folder, idOf('postgres', '-u'), idOf('postgres', '-g'));
    // PostgreSQL refuses to run as root.
    const user = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', '--'] : [];
    const start = (program: string, args: readonly string[]) =>
      new Program(join(programs, program), args, { within: [...(options.within ?? []), ...user], cwd: folder });
    const made = start('initdb', ['--no-sync', '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C', data]);
    const { code } = await made.waitForExit();
    if (code !== 0) throw new Error(`initdb ended with ${code}\n${made.stdout}\n${made.tail()}`);
    // fsync would measure the disk; the tests are about connections.
    const settings = ['-h', '127.0.0.1', '-p', String(options.port), '-k', folder, '-c', 'fsync=off'];
    const server = start('postgres', ['-D', data, ...settings]);
    await server.waitForLog(({ text }) => text.includes('ready to accept connections'));
    return new Postgres(folder, programs, server);
  }

  /** Path of one of PostgreSQL's own client programs. */
  program(name: string): string {
    return join(this.#programs, name);
  }

  async stop(): Promise<void> {
    // SIGINT is its fast shutdown: connections are ended, the data are written.
    this.#server.signal('SIGINT');
    await this.#server.waitForExit();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function idOf(user: string, which: '-u' | '-g'): number {
  return Number(execFileSync('id', [which, user], { encoding: 'utf8' }));
}
