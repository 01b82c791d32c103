/** The platform of Bun: that of Node, which Bun runs as it is, but for the sockets of small requests. */

import type { Cluster } from 'node:cluster';
import process from 'node:process';
import type { Platform } from '../../core/platform.ts';
import { nodePlatform } from '../node/platform.ts';
import { createBunTcpConnector, createBunTcpListener } from './tcp.ts';

/** Of Node, Bun or Deno, whichever runs this. */
export function hostPlatform(): Platform {
  const platform = nodePlatform();
  if (!('bun' in process.versions)) return platform;
  return {
    ...platform,
    connectTcp: createBunTcpConnector(platform.clock),
    // Ports that workers share are shared by what `node:cluster` knows of them.
    listenTcp: isWorker() ? platform.listenTcp : createBunTcpListener(platform.clock),
  };
}

/** Not by import: on other runtimes nobody needs it. */
function isWorker(): boolean {
  return (process.getBuiltinModule('node:cluster') as unknown as Cluster).isWorker;
}
