/** P3: P1 beside the other proxies and tunnels that people know. */
import type { Question } from '../kit/question.ts';
import { runThroughput, throughputFigures } from '../kit/throughput.ts';
import { CHISEL } from '../peers/chisel.ts';
import { ENVOY } from '../peers/envoy.ts';
import { FRP } from '../peers/frp.ts';
import { HAPROXY } from '../peers/haproxy.ts';
import { WSTUNNEL } from '../peers/wstunnel.ts';

export const P3: Question = {
  id: 'P3',
  asks: 'The same beside Envoy and HAProxy with mutual TLS, and beside tunnels that carry the same HTTP?',
  load: 'wrk, 64 kept connections, answers of 100 bytes',
  needs: ['nginx', 'openssl', 'wrk', 'curl'],

  async run(bench) {
    const found = [];
    for (const peer of [ENVOY, HAPROXY, CHISEL, FRP, WSTUNNEL]) found.push(await bench.startPeer(peer));
    const peers = found.filter((each) => each !== undefined);
    const direct = await bench.startSkein({ runtime: 'node', way: 'direct' });
    const rounds = await runThroughput(bench, [...peers, direct]);
    const requests = { bound: 'at least', value: 1, of: 'ratio' } as const;
    return { figures: peers.flatMap(({ name }) => throughputFigures(rounds, direct.name, name, { requests })), rounds };
  },
};
