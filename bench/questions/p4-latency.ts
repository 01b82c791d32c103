/** P4: what one request waits where nothing else goes on. */
import { compare } from '../kit/measure.ts';
import type { Figure, Goal, Question } from '../kit/question.ts';
import { runWrk } from '../kit/wrk.ts';
import { NGINX } from '../peers/nginx.ts';
import { RAW_PIPE } from '../peers/raw-pipe.ts';

const GOAL: Goal = { bound: 'at most', value: 1.5, of: 'ratio' };

export const P4: Question = {
  id: 'P4',
  asks: 'How long does one request take where nothing else goes on?',
  load: 'wrk, 1 kept connection, answers of 100 bytes',
  needs: ['nginx', 'openssl', 'wrk', 'curl'],

  async run(bench) {
    const pipe = await bench.requirePeer(RAW_PIPE);
    const nginx = await bench.requirePeer(NGINX);
    const node = await bench.startSkein({ runtime: 'node', way: 'direct' });
    const relayed = await bench.startSkein({ runtime: 'node', way: 'relay' });
    const bun = await bench.startSkein({ runtime: 'bun', way: 'direct' });
    const contenders = [pipe, nginx, node, relayed, bun];
    for (const each of contenders) await runWrk(each, { connections: 1, seconds: 2 }); // warm
    const rounds = await bench.rounds(contenders, (each) => runWrk(each, { connections: 1, seconds: bench.seconds }));
    const figures = (own: string, peer: string, goal?: Goal): Figure[] => {
      const p50 = compare(rounds, own, peer, ({ result }) => result.p50Ms);
      const p99 = compare(rounds, own, peer, ({ result }) => result.p99Ms);
      return [
        { what: 'p50', unit: 'ms', own, peer, goal, ...p50 },
        { what: 'p99', unit: 'ms', own, peer, ...p99 },
      ];
    };
    return {
      figures: [
        ...figures(node.name, pipe.name, GOAL),
        ...figures(bun.name, pipe.name),
        ...figures(relayed.name, pipe.name),
        ...figures(node.name, nginx.name),
      ],
      rounds,
    };
  },
};
