/** P14: what `--workers 2` gains where there are processors for it, and what it costs where the load has them all. */
import type { Question } from '../kit/question.ts';
import { runThroughput, throughputFigures } from '../kit/throughput.ts';
import { NGINX, nginxPair } from '../peers/nginx.ts';

const WORKERS = 2;

export const P14: Question = {
  id: 'P14',
  asks: 'What do two workers at each end gain and cost, on Node?',
  load: 'wrk, 64 kept connections, answers of 100 bytes',
  needs: ['nginx', 'openssl', 'wrk', 'curl'],

  async run(bench) {
    const nginx = await bench.requirePeer(NGINX);
    const wideNginx = await bench.requirePeer(nginxPair(WORKERS));
    const one = await bench.startSkein({ runtime: 'node', way: 'direct' });
    const wide = await bench.startSkein({ runtime: 'node', way: 'direct', workers: WORKERS });
    const rounds = await runThroughput(bench, [nginx, wideNginx, one, wide]);
    return {
      figures: [
        ...throughputFigures(rounds, wide.name, one.name),
        ...throughputFigures(rounds, wideNginx.name, nginx.name),
        ...throughputFigures(rounds, wide.name, wideNginx.name),
      ],
      rounds,
    };
  },
};
