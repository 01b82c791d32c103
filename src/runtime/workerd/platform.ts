/** `workerdPlatform`: what an isolate lends the neutral world. It dials WebSockets and listens to nothing. */

import type { Files, Platform } from '../../core/platform.ts';
import { getDocument } from '../common/document.ts';
import { createNodeClock } from '../node-compat/clock.ts';
import { nodeCrypto } from '../node-compat/crypto.ts';
import { nodeRandom } from '../node-compat/random.ts';
import { nodeDecodeLatin1 } from '../node-compat/text.ts';
import { createWebSocketDialler } from './websocket.ts';

/**
 * To be called while a request is handled, once for each Durable Object, or for each request where there is no object: timers and
 * sockets belong to the request, or to the object, that has made them.
 * @param files where an identity is kept; an isolate has none of its own
 */
export function workerdPlatform(files?: Files): Platform {
  const clock = createNodeClock();
  return {
    name: 'workerd',
    clock,
    random: nodeRandom,
    crypto: nodeCrypto,
    decodeLatin1: nodeDecodeLatin1,
    dialWebSocket: createWebSocketDialler(clock),
    getDocument,
    files,
    listenHttp: undefined,
    listenTcp: undefined,
    bindUdp: undefined,
    connectTcp: undefined,
    directSockets: undefined,
  };
}
