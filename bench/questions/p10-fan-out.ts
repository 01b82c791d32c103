/** P10: who is told of a change, how much, and when. */
import { Crowd, type Told } from '../kit/crowd.ts';
import { median, toFigure } from '../kit/measure.ts';
import type { Goal, Question } from '../kit/question.ts';

const WATCHERS = 100;

export const P10: Question = {
  id: 'P10',
  asks: 'One endpoint changes in a catalogue of 10,000 services: who of 10,000 sidecars is told, with how many bytes, and when?',
  load: `${WATCHERS} sidecars watch the service; its health changes, once a round`,
  needs: [],

  async run(bench) {
    const crowd = await Crowd.start(bench);
    const last = bench.members - 1;
    await crowd.watch(WATCHERS, `s-${last}.default`);
    await crowd.settle(bench);
    const rounds: Told[] = [];
    for (let i = 0; i < bench.pairs; i++) {
      bench.progress(`round ${i + 1} of ${bench.pairs}`);
      rounds.push(await crowd.change(last, WATCHERS));
    }
    const own = 'skein hub';
    const most = (read: (told: Told) => number) => Math.max(...rounds.map(read));
    const atMost = (value: number): Goal => ({ bound: 'at most', value, of: 'value' });
    return {
      figures: [
        { what: 'sidecars that are told', unit: '', own, value: most((told) => told.members), goal: atMost(WATCHERS) },
        { what: 'bytes each, at most', unit: 'B', own, value: most((told) => told.maxBytes), goal: atMost(1024) },
        {
          ...{ what: 'p99 from the change to the last who is told', unit: 'ms', own },
          ...{ value: toFigure(median(rounds.map(({ p99Ms }) => p99Ms))), goal: atMost(250) },
        },
      ],
      rounds,
    };
  },
};
