/** P6: the same body through the blind relay, beside the direct path. */
import { megabytesPerSecond, runDownloads } from '../kit/download.ts';
import { compare, middle } from '../kit/measure.ts';
import type { Question } from '../kit/question.ts';
import { secondsPerGibibyte } from './p5-download.ts';

export const P6: Question = {
  id: 'P6',
  asks: 'How fast is a download through the blind relay, and what does it cost the hub?',
  load: 'curl, 64 MiB, one after the other',
  needs: ['nginx', 'curl'],

  async run(bench) {
    const direct = await bench.startSkein({ runtime: 'node', way: 'direct' });
    const relayed = await bench.startSkein({ runtime: 'node', way: 'relay' });
    const contenders = [direct, relayed];
    for (const each of contenders) await runDownloads(each, 0); // warm
    const rounds = await bench.rounds(contenders, (each) => runDownloads(each, bench.seconds));
    const own = relayed.name;
    const speed = compare(rounds, own, direct.name, ({ result }) => megabytesPerSecond(result));
    const hub = middle(rounds, own, (each) => secondsPerGibibyte(each, 'hub'));
    return {
      figures: [
        {
          ...{ what: 'download', unit: 'MB/s', own, peer: direct.name, ...speed },
          goal: { bound: 'at least', value: 0.7, of: 'ratio' },
        },
        {
          ...{ what: 'processor time of the hub per GiB', unit: 's', own, value: hub },
          goal: { bound: 'at most', value: 1, of: 'value' },
        },
      ],
      rounds,
    };
  },
};
