/** A TCP pipe on Node, twice: nothing parsed, nothing encrypted. The floor of what a hop costs in this runtime, and no proxy. */
import process from 'node:process';
import { Program } from '../../test/support/process.ts';
import { programPath } from '../kit/programs.ts';
import type { Peer } from './peer.ts';

export const RAW_PIPE: Peer = {
  name: 'raw pipe on Node, twice',

  find: () => ({ command: process.execPath, version: process.version }),

  async start(command, origin) {
    const start = (to: string) => new Program(command, [programPath('raw-pipe'), to], { name: 'pipe' });
    const inner = start(origin.address);
    const outer = start((await inner.ready()).addresses.tcp as string);
    return {
      name: this.name,
      description: 'TCP pipe to TCP pipe on Node, nothing parsed, nothing encrypted',
      configuration: ['socket.pipe(upstream).pipe(socket), without delay'],
      address: (await outer.ready()).addresses.tcp as string,
      pids: () => ({ proxies: [outer.pid, inner.pid] }),
      close: async () => {
        await outer.kill();
        await inner.kill();
      },
    };
  },
};
