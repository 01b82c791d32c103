/** `nodePlatform`: what Node, Bun and Deno lend the neutral world, through the node: APIs that all three run alike. */

import type { Platform } from '../../core/platform.ts';
import { getDocument } from '../common/document.ts';
import { createNodeClock } from '../node-compat/clock.ts';
import { nodeCrypto } from '../node-compat/crypto.ts';
import { nodeRandom } from '../node-compat/random.ts';
import { nodeDecodeLatin1 } from '../node-compat/text.ts';
import { nodeDirectSockets } from './direct-sockets.ts';
import { nodeFiles } from './files.ts';
import { createHttpListener } from './http.ts';
import { createTcpConnector, createTcpListener } from './tcp.ts';
import { bindUdp } from './udp.ts';
import { createWebSocketDialler } from './websocket.ts';

/** The platform of Node, Bun and Deno, told apart by `name` alone. Each call gives one of its own; they hold nothing open. */
export function nodePlatform(): Platform {
  const clock = createNodeClock();
  return {
    name: runtimeName(),
    clock,
    random: nodeRandom,
    crypto: nodeCrypto,
    decodeLatin1: nodeDecodeLatin1,
    dialWebSocket: createWebSocketDialler(),
    getDocument,
    files: nodeFiles,
    listenHttp: createHttpListener(),
    listenTcp: createTcpListener(clock),
    bindUdp,
    connectTcp: createTcpConnector(clock),
    directSockets: nodeDirectSockets,
  };
}

/** Bun and Deno name themselves in `process.versions`, beside the Node release they imitate. */
function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return `bun ${bun}`;
  if (deno !== undefined) return `deno ${deno}`;
  return `node ${node}`;
}
