/** P5: one large body as one stream. */
import { type Downloads, megabytesPerSecond, runDownloads } from '../kit/download.ts';
import { compare, cpuOf, type Measured } from '../kit/measure.ts';
import type { Figure, Goal, Question } from '../kit/question.ts';
import { NGINX } from '../peers/nginx.ts';

const GOAL: Goal = { bound: 'at least', value: 1, of: 'ratio' };

/** Of all processes that the bytes pass. */
export const secondsPerGibibyte = (measured: Measured<Downloads>, ...groups: readonly string[]): number =>
  (cpuOf(measured, ...groups) / measured.result.bytes) * 2 ** 30;

export const P5: Question = {
  id: 'P5',
  asks: 'How fast is a download of one stream, and what does it cost?',
  load: 'curl, 64 MiB, one after the other',
  needs: ['nginx', 'openssl', 'curl'],

  async run(bench) {
    const nginx = await bench.requirePeer(NGINX);
    const node = await bench.startSkein({ runtime: 'node', way: 'direct' });
    const bun = await bench.startSkein({ runtime: 'bun', way: 'direct' });
    const contenders = [nginx, node, bun];
    for (const each of contenders) await runDownloads(each, 0); // warm
    const rounds = await bench.rounds(contenders, (each) => runDownloads(each, bench.seconds));
    const figures = (own: string, goal?: Goal): Figure[] => {
      const against = { own, peer: nginx.name };
      const speed = compare(rounds, own, nginx.name, ({ result }) => megabytesPerSecond(result));
      const cpu = compare(rounds, own, nginx.name, (each) => secondsPerGibibyte(each, 'proxies'));
      return [
        { what: 'download', unit: 'MB/s', ...against, goal, ...speed },
        { what: 'processor time per GiB', unit: 's', ...against, ...cpu },
      ];
    };
    return { figures: [...figures(node.name, GOAL), ...figures(bun.name)], rounds };
  },
};
