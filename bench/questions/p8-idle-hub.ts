/** P8: what a hub pays for sidecars that have nothing to do. */
import { setTimeout as wait } from 'node:timers/promises';
import { Crowd } from '../kit/crowd.ts';
import { cpuOf, measure, median, toFigure } from '../kit/measure.ts';
import type { Question } from '../kit/question.ts';

/** Heartbeats come several times a minute, and once in half of one a part of the members is told of the audit log: a round sees all of that. */
const ROUND_SECONDS = 30;

export const P8: Question = {
  id: 'P8',
  asks: 'What does one hub pay for 10,000 sidecars that have nothing to do?',
  load: 'members of a mesh with a service and a link each, all idle',
  needs: [],

  async run(bench) {
    const crowd = await Crowd.start(bench);
    const { mesh, emptyBytes } = crowd;
    await crowd.settle(bench);
    const hub = { pids: () => ({ hub: [mesh.hub.pid] }) };
    const rounds = [];
    for (let i = 0; i < bench.pairs; i++) {
      bench.progress(`round ${i + 1} of ${bench.pairs}`);
      await crowd.count();
      rounds.push(
        await measure(hub, async () => {
          const fromMs = performance.now();
          await wait(ROUND_SECONDS * 1000);
          return { seconds: (performance.now() - fromMs) / 1000, ...(await crowd.count()) };
        }),
      );
    }
    const kilobytes = rounds.map((each) => ((each.residentBytes.hub ?? 0) - emptyBytes) / bench.members / 1024);
    const share = rounds.map((each) => (cpuOf(each, 'hub') / each.result.seconds) * 100);
    const perMinute = rounds.map(({ result: { messages, bytes, seconds } }) => {
      const memberMinutes = (bench.members * seconds) / 60;
      return { messages: messages / memberMinutes, bytes: bytes / memberMinutes };
    });
    const middle = (kind: 'messages' | 'bytes') => toFigure(median(perMinute.map((each) => each[kind])));
    const own = 'skein hub';
    return {
      figures: [
        {
          ...{ what: 'resident memory per idle sidecar', unit: 'KiB', own, value: toFigure(median(kilobytes)) },
          goal: { bound: 'at most', value: 20, of: 'value' },
        },
        {
          ...{ what: 'processor time with all of them idle', unit: '% of a core', own, value: toFigure(median(share)) },
          goal: { bound: 'at most', value: 5, of: 'value' },
        },
        { what: 'messages to each of them', unit: '/min', own, value: middle('messages') },
        { what: 'bytes to each of them', unit: 'B/min', own, value: middle('bytes') },
      ],
      rounds,
    };
  },
};
