/** What `programs/members.ts` is told to do, and what it answers; one line of JSON each. */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import type { TestMesh } from '../../test/support/mesh.ts';
import { Program } from '../../test/support/process.ts';
import { programPath } from './programs.ts';

export interface Spread {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Told of a change. */
export interface Told extends Spread {
  /** Members whose catalogue it has changed. */
  readonly members: number;
  /** Of these, members that watch the service. */
  readonly watchers: number;
  /** The most bytes that one of them was sent from before the change until it was told, whatever for. */
  readonly maxBytes: number;
}

/** For a process that holds so many agents. */
const HEAP_MIB = 12_000;
/** Ten thousand take a while to join. */
const PATIENCE_MS = 600_000;

/** Many members of a mesh in one process: each an agent as the library makes it, with key, identity, link and catalogue of its own. */
export class Members {
  readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  static async start(mesh: TestMesh): Promise<Members> {
    const adminToken = readFileSync(`${mesh.hubData}/admin.token`, 'utf8').trim();
    const args = [`--max-old-space-size=${HEAP_MIB}`, programPath('members'), mesh.hubUrl, adminToken];
    const program = new Program(process.execPath, args, { name: 'members', stdin: true });
    await program.ready();
    return new Members(program);
  }

  /** So many newcomers, each with a token of its own. `service`: what all of them serve. @default one each, `s-N` */
  join(count: number, service?: string): Promise<{ readonly seconds: number }> {
    return this.program.command({ do: 'join', count, service }, PATIENCE_MS);
  }

  /** The first `count` watch `service` from now on. */
  watch(count: number, service: string): Promise<object> {
    return this.program.command({ do: 'watch', count, service }, PATIENCE_MS);
  }

  /** Resolves when all have been taken by a hub after `sinceMs` (epoch). The spread is from then on. */
  returned(sinceMs: number): Promise<Spread> {
    return this.program.command({ do: 'returned', sinceMs }, PATIENCE_MS);
  }

  /** Drops every link without a word, some at a time; resolves when all are back. The spread is of how long each was away. */
  cut(): Promise<Spread> {
    return this.program.command({ do: 'cut' }, PATIENCE_MS);
  }

  /** Changes the health of what member `of` serves; resolves when `watchers` have been told, and a moment more. */
  change(of: number, watchers: number): Promise<Told> {
    return this.program.command({ do: 'change', of, watchers }, PATIENCE_MS);
  }

  /** Members from `first` on ask for `http://service.mesh/`, once each; each answer is 200. */
  call(first: number, count: number, service: string): Promise<object> {
    return this.program.command({ do: 'call', first, count, service }, PATIENCE_MS);
  }
}
