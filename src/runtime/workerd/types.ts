/**
 * The parts of workerd's API that skein uses, as they are documented at developers.cloudflare.com/workers/runtime-apis and
 * /durable-objects/api: written down here, so that neither users nor we need 400 KB of types whose globals fight with the Web's.
 */

import type { OpenWebSocket } from '../common/web-socket-pipe.ts';

/** A `WebSocket` of workerd, which says nothing and hears nothing before `accept`. */
export interface WorkerdWebSocket extends OpenWebSocket {
  binaryType: 'blob' | 'arraybuffer';
  accept(): void;
}

/** What `fetch` gives for an upgrade. */
export interface UpgradedResponse extends Response {
  readonly webSocket?: WorkerdWebSocket | null;
}
