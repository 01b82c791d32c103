/** One session of psql that lasts: it counts in a temporary table, which is gone with the session. */
import { Program } from './process.ts';

export interface PsqlResult {
  readonly statements: number;
  /** What the table holds in the end, as PostgreSQL counts it. */
  readonly rows: number;
  /** Server processes that have answered: one, if it is one session. */
  readonly backends: number;
  readonly errors: readonly string[];
}

export class PsqlSession {
  readonly #psql: Program;
  readonly #timer: NodeJS.Timeout;
  #statements = 0;

  private constructor(psql: Program, periodMs: number) {
    this.#psql = psql;
    this.#timer = setInterval(() => this.#insert(), periodMs);
  }

  /** @param to `host:port` of a TCP listener; @param program path of psql */
  static async start(program: string, to: string, periodMs: number): Promise<PsqlSession> {
    const { hostname, port } = new URL(`tcp://${to}`);
    const connection = ['-h', hostname, '-p', port, '-U', 'postgres', '-d', 'postgres'];
    const psql = new Program(program, ['-XAtq', ...connection, '-v', 'ON_ERROR_STOP=1'], { name: 'psql', stdin: true });
    psql.write('create temporary table seen (number integer primary key);\nselect pg_backend_pid();\n');
    await psql.waitForOutput(/^\d+$/m);
    return new PsqlSession(psql, periodMs);
  }

  async finish(): Promise<PsqlResult> {
    clearInterval(this.#timer);
    this.#psql.write(`select 'rows', count(*) from seen;\n\\q\n`);
    await this.#psql.waitForExit();
    const lines = this.#psql.stdout.trim().split('\n');
    return {
      statements: this.#statements,
      rows: Number(lines.find((line) => line.startsWith('rows|'))?.slice('rows|'.length)),
      backends: new Set(lines.filter((line) => /^\d+$/.test(line))).size,
      errors: this.#psql.log.map(({ text }) => text),
    };
  }

  /** The number is new: a statement that was executed twice breaks the primary key. */
  #insert(): void {
    this.#psql.write(`insert into seen values (${this.#statements++});\nselect pg_backend_pid();\n`);
  }
}
