/** P1: small requests at 64 connections, on Node, beside nginx with TLS. */
import type { Question } from '../kit/question.ts';
import { relayFigure, runThroughput, throughputFigures } from '../kit/throughput.ts';
import { NGINX } from '../peers/nginx.ts';

export const P1: Question = {
  id: 'P1',
  asks: 'How many small requests per second, and for how much processor time, on Node?',
  load: 'wrk, 64 kept connections, answers of 100 bytes',
  needs: ['nginx', 'openssl', 'wrk', 'curl'],

  async run(bench) {
    const nginx = await bench.requirePeer(NGINX);
    const direct = await bench.startSkein({ runtime: 'node', way: 'direct' });
    const relayed = await bench.startSkein({ runtime: 'node', way: 'relay' });
    const rounds = await runThroughput(bench, [nginx, direct, relayed]);
    return {
      figures: [
        ...throughputFigures(rounds, direct.name, nginx.name, {
          requests: { bound: 'at least', value: 1, of: 'ratio' },
          cpu: { bound: 'at most', value: 1, of: 'ratio' },
        }),
        ...throughputFigures(rounds, relayed.name, nginx.name),
        relayFigure(rounds, relayed.name),
      ],
      rounds,
    };
  },
};
