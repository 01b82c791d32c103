/** P2: P1 on Bun. */
import type { Question } from '../kit/question.ts';
import { runThroughput, throughputFigures } from '../kit/throughput.ts';
import { NGINX } from '../peers/nginx.ts';

export const P2: Question = {
  id: 'P2',
  asks: 'How many small requests per second, and for how much processor time, on Bun?',
  load: 'wrk, 64 kept connections, answers of 100 bytes',
  needs: ['nginx', 'openssl', 'wrk', 'curl'],

  async run(bench) {
    const nginx = await bench.requirePeer(NGINX);
    const direct = await bench.startSkein({ runtime: 'bun', way: 'direct' });
    const rounds = await runThroughput(bench, [nginx, direct]);
    const requests = { bound: 'at least', value: 1.3, of: 'ratio' } as const;
    return { figures: throughputFigures(rounds, direct.name, nginx.name, { requests }), rounds };
  },
};
