/** Outbound WebSockets of an isolate: `fetch` with `Upgrade`, which unlike `new WebSocket` tells why there is none. */

import type { Clock } from '../../core/clock.ts';
import { explainHttpStatus } from '../common/http-status.ts';
import { WebSocketPipe } from '../common/web-socket-pipe.ts';
import {
  type DialWebSocket,
  HANDSHAKE_TIMEOUT_MS,
  hubUnreachable,
  NO_ANSWER_IN_TIME,
  NO_HUB_THERE,
  parseHubUrl,
  SUBPROTOCOL,
} from '../common/websocket.ts';
import type { UpgradedResponse } from './types.ts';

export function createWebSocketDialler(clock: Clock): DialWebSocket {
  return async (address, { signal } = {}) => {
    const url = parseHubUrl(address);
    signal?.throwIfAborted();
    const response = await upgrade(url, clock, signal);
    const socket = response.webSocket;
    if (socket === null || socket === undefined) {
      const { status, headers } = response;
      await response.body?.cancel();
      throw hubUnreachable(url, explainHttpStatus(status), {
        httpStatus: status,
        retryAfter: headers.get('retry-after'),
      });
    }
    // Since compatibility date 2026-03-17 messages are Blobs, which can only be read later and out of order.
    socket.binaryType = 'arraybuffer';
    const pipe = new WebSocketPipe(socket, clock);
    socket.accept();
    if (response.headers.get('sec-websocket-protocol') !== SUBPROTOCOL) {
      pipe.terminate();
      throw hubUnreachable(url, NO_HUB_THERE);
    }
    return pipe;
  };
}

async function upgrade(url: URL, clock: Clock, signal: AbortSignal | undefined): Promise<UpgradedResponse> {
  const target = new URL(url);
  target.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  const abandon = new AbortController();
  const deadline = clock.setTimer(HANDSHAKE_TIMEOUT_MS, () => abandon.abort(hubUnreachable(url, NO_ANSWER_IN_TIME)));
  const abort = (): void => abandon.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return (await fetch(target, {
      redirect: 'manual',
      headers: { upgrade: 'websocket', 'sec-websocket-protocol': SUBPROTOCOL, 'user-agent': 'skein' },
      signal: abandon.signal,
    })) as UpgradedResponse;
  } catch (cause) {
    if (abandon.signal.aborted) throw abandon.signal.reason;
    const state = cause instanceof Error ? cause.message : String(cause);
    throw hubUnreachable(url, { state, remedy: 'Check that the URL leads to a skein hub.' }, { cause });
  } finally {
    deadline.cancel();
    signal?.removeEventListener('abort', abort);
  }
}
