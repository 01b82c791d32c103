/** A steady load in a process of its own, and what an origin has counted of it. */
import process from 'node:process';
import { ask } from './load.ts';
import { type Program, runProgram, startHelper } from './process.ts';
import type { SteadyOptions, SteadyResult } from './steady-load.ts';

export class SteadyClient {
  readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  /** @param within the command that starts a program in a namespace */
  static async start(
    options: SteadyOptions,
    name = 'steady client',
    within?: readonly string[],
  ): Promise<SteadyClient> {
    const program = startHelper('steady-client', [JSON.stringify(options)], { name, within, stdin: true });
    await program.ready();
    return new SteadyClient(program);
  }

  /** No more is asked; what was asked is awaited. */
  async finish(): Promise<SteadyResult> {
    this.program.endInput();
    const { code } = await this.program.waitForExit(90_000);
    if (code !== 0) throw new Error(`The client ended with ${code}\n${this.program.tail()}`);
    return JSON.parse(this.program.stdout.trim().split('\n').at(-1) ?? '') as SteadyResult;
  }
}

/** How often each id has come to one of these origins (`http://host:port`). */
export async function countIds(...origins: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const origin of origins) {
    const answer = await ask({ through: new URL(origin).host, host: 'origin', form: 'host', path: '/once' });
    for (const [id, count] of JSON.parse(answer.body.toString()) as [string, number][]) {
      counts.set(id, (counts.get(id) ?? 0) + count);
    }
  }
  return counts;
}

/** The same of an origin in a namespace. @param within the command that starts a program there */
export async function countIdsWithin(within: readonly string[], origin: string): Promise<ReadonlyMap<string, number>> {
  const script = `fetch('${origin}/once').then(async (reply) => process.stdout.write(await reply.text()))`;
  return new Map(JSON.parse(await runProgram(process.execPath, ['-e', script], { within })) as [string, number][]);
}

/** What the ids show: how many were executed twice, how many that were answered never came, how many that failed had come. */
export function judgePosts(
  { answered, failed }: Pick<SteadyResult, 'answered' | 'failed'>,
  counts: ReadonlyMap<string, number>,
) {
  const failedIds = Object.values(failed).flat();
  return {
    twice: [...counts].filter(([, count]) => count > 1).length,
    answeredButUnseen: answered.filter((id) => !counts.has(id)).length,
    failedButSeen: failedIds.filter((id) => counts.has(id)).length,
  };
}
