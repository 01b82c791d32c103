/** P9: everybody comes back at once. */
import { Crowd } from '../kit/crowd.ts';
import { toFigure } from '../kit/measure.ts';
import { processorSeconds } from '../kit/processes.ts';
import type { Question } from '../kit/question.ts';

export const P9: Question = {
  id: 'P9',
  asks: 'How long until 10,000 sidecars are back when their hub was killed and started again?',
  load: 'SIGKILL, start on the same data and port; time from the ready line of the new hub',
  needs: [],

  async run(bench) {
    const crowd = await Crowd.start(bench);
    const { mesh } = crowd;
    bench.progress('the hub is killed, and started again');
    const spentBefore = processorSeconds(crowd.program.pid);
    const killedAtMs = Date.now();
    await mesh.hub.kill();
    await mesh.startHub();
    const readyAtMs = Date.now();
    bench.progress(`it is ready after ${readyAtMs - killedAtMs} ms; its members come back`);
    const { p50Ms, p99Ms, maxMs } = await crowd.returned(readyAtMs);
    const spent = { hub: processorSeconds(mesh.hub.pid), members: processorSeconds(crowd.program.pid) - spentBefore };
    const own = 'skein hub';
    const seconds = (ms: number) => toFigure(ms / 1000);
    const figure = (what: string, ms: number) => ({ what, unit: 's', own, value: seconds(ms) });
    return {
      figures: [
        { ...figure('99 % are back', p99Ms), goal: { bound: 'at most', value: 10, of: 'value' } },
        figure('half are back', p50Ms),
        figure('all are back', maxMs),
        figure('the hub is ready again', readyAtMs - killedAtMs),
        figure('processor time of the hub meanwhile', spent.hub * 1000),
        figure('processor time of the members, on the same machine', spent.members * 1000),
      ],
      rounds: [{ p50Ms, p99Ms, maxMs, spent, readyAfterMs: readyAtMs - killedAtMs }],
    };
  },
};
