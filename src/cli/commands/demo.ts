/** `skein demo`: the whole thing on one machine, in one process, with a call across it to look at. */

import type { CommandSpec } from '../command.ts';
import { makeCall, tell } from '../demo-story.ts';
import { EXIT } from '../exit-code.ts';
import { formatReady } from '../ready.ts';
import { Stopping } from '../stopping.ts';

export const demo: CommandSpec = {
  name: 'demo',
  summary: 'a hub, two sites behind it and a call between them, on this machine',
  description: 'It needs no network, uses free ports of 127.0.0.1 and keeps nothing on disk. Ctrl-C ends it.',
  logLevel: 'warn',
  options: [],
  examples: [
    ['skein demo', 'shows the call, and what to try'],
    ['skein demo --log json', 'one ready line with the addresses, for a program'],
  ],
  async run(context) {
    const { platform, logger } = context;
    const stopping = new Stopping(context);
    try {
      const { startDemoMesh } = await import('../demo-mesh.ts');
      const mesh = await startDemoMesh(platform, logger, stopping.signal);
      try {
        const facts = await makeCall(mesh, () => platform.clock.monotonicMs());
        logger.log('info', 'demo-call', { ...facts });
        const { hub, a } = mesh;
        await context.print(formatReady(context, 'demo', { hub: hub.url, http: a.addresses.http ?? '' }));
        if (context.logFormat === 'text') await context.print(tell(mesh, facts));
        await stopping.asked;
      } finally {
        await mesh.drain();
      }
      return EXIT.done;
    } catch (thrown) {
      // A start that was given up because somebody asked for it is no failure.
      if (stopping.signal.aborted) return EXIT.done;
      throw thrown;
    } finally {
      stopping.release();
    }
  },
};
