/** P11: what it costs to become somebody's peer. */
import { TestMesh } from '../../test/support/mesh.ts';
import type { Bench } from '../kit/bench.ts';
import { cpuOf, type Measured, measure, median, toFigure } from '../kit/measure.ts';
import { Agents } from '../kit/membership.ts';
import type { Figure, Question } from '../kit/question.ts';

/** Per round; a sidecar takes sessions of 1,000 in all. Tokens are made beforehand. */
const COUNT = 150;

export const P11: Question = {
  id: 'P11',
  asks: 'How many handshakes, from the join to the first byte, does one core take?',
  load: `${COUNT} agents a round, 64 at a time: they join, lose their links and come back, and call a sidecar for the first time`,
  needs: ['nginx'],

  async run(bench) {
    const mesh = await TestMesh.start();
    bench.keep(() => mesh.close());
    const expose = [`app=http://${(await bench.origin()).address}`];
    const sidecar = await mesh.startSidecar({ name: 'b', services: ['app'], expose, http: false, direct: true });
    const agents = await Agents.start(mesh);
    bench.keep(async () => void (await agents.program.kill()));
    const pids = () => ({ hub: [mesh.hub.pid], sidecar: [sidecar.program.pid], agents: [agents.program.pid] });
    bench.contenders.push({
      ...{ name: 'skein hub and sidecar', description: 'one process each', address: mesh.hubAddress, pids },
      configuration: [
        'skein hub --listen 127.0.0.1:0 --data DIR',
        'skein sidecar --hub URL --token T --expose app=URL',
      ],
    });
    await agents.join(COUNT); // warm
    await agents.cut();
    const rounds: Round[] = [];
    for (let i = 0; i < bench.pairs; i++) rounds.push(await runRound(bench, i, agents, pids));
    return {
      figures: [
        {
          ...perSecond('members that come back, per second and core of the hub', rounds, ({ back }) => back, 'hub'),
          goal: { bound: 'at least', value: 1_500, of: 'value' },
        },
        perSecond('newcomers that join, per second and core of the hub', rounds, ({ joined }) => joined, 'hub'),
        perSecond('newcomers that join, per second and core of all agents', rounds, ({ joined }) => joined, 'agents'),
        perSecond('members that come back, per second and core of all agents', rounds, ({ back }) => back, 'agents'),
        perSecond('first calls, per second and core of the sidecar', rounds, ({ called }) => called, 'sidecar'),
        perSecond(
          'first calls through the relay, per second and core of the hub',
          rounds,
          ({ called }) => called,
          'hub',
        ),
      ],
      rounds,
    };
  },
};

interface Round {
  readonly joined: Measured<number>;
  readonly back: Measured<number>;
  readonly called: Measured<number>;
}

/** @returns what was measured; the results are how many have done it */
async function runRound(
  bench: Bench,
  index: number,
  agents: Agents,
  pids: () => Readonly<Record<string, readonly number[]>>,
): Promise<Round> {
  bench.progress(`round ${index + 1} of ${bench.pairs}`);
  const all = (index + 2) * COUNT;
  await agents.prepare(COUNT);
  const run = (act: () => Promise<object>, count: number) => measure({ pids }, () => act().then(() => count));
  return {
    joined: await run(() => agents.join(COUNT), COUNT),
    back: await run(() => agents.cut(), all),
    called: await run(() => agents.call(all - COUNT, COUNT, 'app'), COUNT),
  };
}

function perSecond(
  what: string,
  rounds: readonly Round[],
  read: (round: Round) => Measured<number>,
  group: 'hub' | 'sidecar' | 'agents',
): Figure {
  const values = rounds.map(read).map((measured) => measured.result / cpuOf(measured, group));
  const own = group === 'agents' ? 'skein agents in one process' : `skein ${group}`;
  return { what, unit: '/s', own, value: toFigure(median(values)) };
}
