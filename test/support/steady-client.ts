/** A steady load in a process of its own, and what an origin has counted of it. */
import { ask } from './load.ts';
import { type Program, startHelper } from './process.ts';
import type { SteadyOptions, SteadyResult } from './steady-load.ts';

export class SteadyClient {
  readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  static async start(options: SteadyOptions, name = 'steady client'): Promise<SteadyClient> {
    const program = startHelper('steady-client', [JSON.stringify(options)], { name, stdin: true });
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
