/** WebSockets of a browser, which tells nobody why there is none, and lets a page close with codes of its own only. */

import type { Clock } from '../../core/clock.ts';
import type { Explanation } from '../common/explanation.ts';
import { type OpenWebSocket, WebSocketPipe } from '../common/web-socket-pipe.ts';
import {
  type DialWebSocket,
  HANDSHAKE_TIMEOUT_MS,
  hubUnreachable,
  NO_ANSWER_IN_TIME,
  NO_HUB_THERE,
  parseHubUrl,
  SUBPROTOCOL,
} from '../common/websocket.ts';

const UNEXPLAINED: Explanation = {
  state: 'the browser opened no WebSocket there',
  remedy:
    'Check the URL, that the hub runs, and that it lets in pages of this origin (--pages); the console of the browser may say more. A page of https: reaches wss: only, and its Content-Security-Policy must allow it (connect-src).',
};

const NORMAL = 1000;
/** The codes that are for applications (RFC 6455 §7.4.2), where those of the protocol find a place: 1003 goes as 4003. */
const FOR_APPLICATIONS = 3000;

/** @param Socket where it is not the global one */
export function createWebSocketDialler(clock: Clock, Socket: typeof WebSocket = WebSocket): DialWebSocket {
  return async (address, { signal } = {}) => {
    const url = parseHubUrl(address);
    signal?.throwIfAborted();
    let socket: WebSocket;
    try {
      socket = new Socket(url, SUBPROTOCOL);
    } catch (cause) {
      // A page of https: may not even try ws:.
      throw hubUnreachable(url, UNEXPLAINED, { cause });
    }
    // Blobs, which are the default, can only be read later and out of order.
    socket.binaryType = 'arraybuffer';
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        deadline.cancel();
        signal?.removeEventListener('abort', abort);
        socket.onopen = socket.onerror = null;
      };
      const fail = (error: unknown): void => {
        settle();
        socket.close();
        reject(error);
      };
      const abort = (): void => fail(signal?.reason);
      const deadline = clock.setTimer(HANDSHAKE_TIMEOUT_MS, () => fail(hubUnreachable(url, NO_ANSWER_IN_TIME)));
      signal?.addEventListener('abort', abort, { once: true });
      socket.onerror = () => fail(hubUnreachable(url, UNEXPLAINED));
      socket.onopen = () => {
        if (socket.protocol !== SUBPROTOCOL) return fail(hubUnreachable(url, NO_HUB_THERE));
        settle();
        resolve(new WebSocketPipe(withPrivateCodes(socket), clock));
      };
    });
  };
}

function withPrivateCodes(socket: WebSocket): OpenWebSocket {
  return {
    send: (message) => socket.send(message as ArrayBufferView<ArrayBuffer>),
    close: (code = NORMAL, reason) => socket.close(toPrivateCode(code), reason),
    get bufferedAmount(): number {
      return socket.bufferedAmount;
    },
    addEventListener: socket.addEventListener.bind(socket) as OpenWebSocket['addEventListener'],
  };
}

function toPrivateCode(code: number): number {
  return code === NORMAL || code >= FOR_APPLICATIONS ? code : code + FOR_APPLICATIONS;
}
