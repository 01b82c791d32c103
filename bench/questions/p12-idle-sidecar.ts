/** P12: what a sidecar with nothing to do takes. */
import { setTimeout as wait } from 'node:timers/promises';
import { TestMesh } from '../../test/support/mesh.ts';
import type { Bench } from '../kit/bench.ts';
import { measure, middle, type Round } from '../kit/measure.ts';
import type { Figure, Question } from '../kit/question.ts';

/** Megabytes that an idle sidecar may have. */
const GOALS = { node: 70, bun: 45 } as const;
const IDLE_SECONDS = 10;

type Runtime = keyof typeof GOALS;

const nameOf = (runtime: Runtime): string => `skein sidecar on ${runtime === 'node' ? 'Node' : 'Bun'}`;

export const P12: Question = {
  id: 'P12',
  asks: 'How much memory, and how much of a core, does a sidecar take that has nothing to do?',
  load: `none, for ${IDLE_SECONDS} s after its start; it exposes a service, listens for HTTP, and has joined a hub`,
  needs: ['nginx'],

  async run(bench) {
    const rounds: Round<number>[] = [];
    for (let i = 0; i < bench.pairs; i++) {
      bench.progress(`round ${i + 1} of ${bench.pairs}`);
      rounds.push(await measureRound(bench));
    }
    return { figures: (['node', 'bun'] as const).flatMap((runtime) => figuresOf(runtime, rounds)), rounds };
  },
};

/** Both runtimes at once: who is idle disturbs nobody. */
async function measureRound(bench: Bench): Promise<Round<number>> {
  const mesh = await TestMesh.start();
  try {
    const expose = [`app=http://${(await bench.origin()).address}`];
    const round: Record<string, Awaited<ReturnType<typeof measure<Idle, number>>>> = {};
    const measureIdle = async (runtime: Runtime) => {
      const { program } = await mesh.startSidecar({ name: runtime, services: ['app'], expose, runtime, direct: true });
      const idle = { pids: () => ({ sidecar: [program.pid] }) };
      round[nameOf(runtime)] = await measure(idle, () => wait(IDLE_SECONDS * 1000, IDLE_SECONDS));
    };
    await Promise.all([measureIdle('node'), measureIdle('bun')]);
    return round;
  } finally {
    await mesh.close();
  }
}

interface Idle {
  pids(): Readonly<Record<string, readonly number[]>>;
}

function figuresOf(runtime: Runtime, rounds: readonly Round<number>[]): Figure[] {
  const own = nameOf(runtime);
  const megabytes = middle(rounds, own, ({ residentBytes }) => (residentBytes.sidecar ?? 0) / 1e6);
  const share = middle(rounds, own, ({ cpuSeconds, result }) => ((cpuSeconds.sidecar ?? 0) / result) * 100);
  return [
    {
      ...{ what: 'resident memory', unit: 'MB', own, value: megabytes },
      goal: { bound: 'at most', value: GOALS[runtime], of: 'value' },
    },
    { what: 'processor time while idle', unit: '% of a core', own, value: share },
  ];
}
