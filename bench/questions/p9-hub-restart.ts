/** P9: everybody comes back at once. */
import { startCrowd } from '../kit/crowd.ts';
import { toFigure } from '../kit/measure.ts';
import type { Question } from '../kit/question.ts';

export const P9: Question = {
  id: 'P9',
  asks: 'How long until 10,000 sidecars are back when their hub was killed and started again?',
  load: 'SIGKILL, start on the same data and port; time from the ready line of the new hub',
  needs: [],

  async run(bench) {
    const { mesh, members } = await startCrowd(bench);
    bench.progress('the hub is killed, and started again');
    const killedAtMs = Date.now();
    await mesh.hub.kill();
    await mesh.startHub();
    const readyAtMs = Date.now();
    bench.progress(`it is ready after ${readyAtMs - killedAtMs} ms; its members come back`);
    const { p50Ms, p99Ms, maxMs } = await members.returned(readyAtMs);
    const own = 'skein hub';
    const seconds = (ms: number) => toFigure(ms / 1000);
    const figure = (what: string, ms: number) => ({ what, unit: 's', own, value: seconds(ms) });
    return {
      figures: [
        { ...figure('99 % are back', p99Ms), goal: { bound: 'at most', value: 10, of: 'value' } },
        figure('half are back', p50Ms),
        figure('all are back', maxMs),
        figure('the hub is ready again', readyAtMs - killedAtMs),
      ],
      rounds: [{ p50Ms, p99Ms, maxMs, readyAfterMs: readyAtMs - killedAtMs }],
    };
  },
};
