/** Processes that are many members of a mesh at once, and do what they are told (kit/members-process.ts). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { TestMesh } from '../../test/support/mesh.ts';
import { Program } from '../../test/support/process.ts';
import type { Spread } from './members-process.ts';
import { programPath } from './programs.ts';

/** For a process that holds so many. */
const HEAP_MIB = 8_000;
/** Ten thousand take a while to join. */
export const PATIENCE_MS = 600_000;

/** @param program one of bench/programs */
export async function startMembers(mesh: TestMesh, program: 'agents' | 'crowd'): Promise<Program> {
  const adminToken = readFileSync(join(mesh.hubData, 'admin.token'), 'utf8').trim();
  const args = [`--max-old-space-size=${HEAP_MIB}`, programPath(program), mesh.hubUrl, adminToken];
  const members = new Program(process.execPath, args, { name: program, stdin: true });
  await members.ready();
  return members;
}

/** Agents as the library makes them: each with key, identity, link, catalogue and services of its own. */
export class Agents {
  readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  static async start(mesh: TestMesh): Promise<Agents> {
    return new Agents(await startMembers(mesh, 'agents'));
  }

  /** Makes the tokens of so many that join next, each for its own service: what that costs the hub is not part of their joining. */
  prepare(count: number): Promise<object> {
    return this.program.command({ do: 'prepare', count }, PATIENCE_MS);
  }

  /** So many newcomers, each with a token of its own. `service`: what all of them serve. @default one each, `s-N` */
  join(count: number, service?: string): Promise<object> {
    return this.program.command({ do: 'join', count, service }, PATIENCE_MS);
  }

  /** Drops every link without a word, some at a time; resolves when all are back. The spread is of how long each was away. */
  cut(): Promise<Spread> {
    return this.program.command({ do: 'cut' }, PATIENCE_MS);
  }

  /** Agents from `first` on ask for `http://service.mesh/`, once each; each answer is 200. */
  call(first: number, count: number, service: string): Promise<object> {
    return this.program.command({ do: 'call', first, count, service }, PATIENCE_MS);
  }
}
