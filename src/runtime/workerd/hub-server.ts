/** What a hub listens to in a Durable Object: the requests that a Worker hands on, and their WebSockets. */

import { classifyIp, formatIpEndpoint, parseIp } from '../../core/ip.ts';
import type { HttpServerOptions, Listener, RequestInfo } from '../../core/platform.ts';
import { SUBPROTOCOL } from '../common/websocket.ts';
import type { SleepingSocket, SocketPair } from './object-types.ts';

const UPGRADE_PATHS = new Set(['/', '/skein']);
/** Cloudflare writes it, over whatever a client may have said. */
const CLIENT_FIELD = 'cf-connecting-ip';

export class HubServer {
  #options: HttpServerOptions | undefined;

  /** `Platform.listenHttp`. */
  readonly listen = async (options: HttpServerOptions): Promise<Listener> => {
    this.#options = options;
    return {
      address: 'object',
      port: 0,
      close: async () => {
        this.#options = undefined;
      },
    };
  };

  /** @param accept takes the server's end of a WebSocket, which comes from that address */
  async answer(request: Request, accept: (socket: SleepingSocket, remoteAddress: string) => void): Promise<Response> {
    const options = this.#options;
    if (options === undefined) return refuse(503, 'not ready', { 'retry-after': '1' });
    const info = readInfo(request);
    if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') return options.fetch(request, info);
    const path = new URL(request.url).pathname;
    if (!UPGRADE_PATHS.has(path)) return refuse(404, 'no WebSocket at this path');
    const offered = (request.headers.get('sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());
    if (!offered.includes(SUBPROTOCOL)) {
      return refuse(400, `only WebSocket with subprotocol ${SUBPROTOCOL} is spoken here`);
    }
    const field = (name: string): string | undefined => request.headers.get(name) ?? undefined;
    const refusal = await options.admitWebSocket?.({ ...info, field });
    if (refusal !== undefined) {
      const { status, retryAfterSeconds } = refusal;
      return refuse(
        status,
        'not now',
        retryAfterSeconds === undefined ? {} : { 'retry-after': `${retryAfterSeconds}` },
      );
    }
    const { 0: client, 1: server } = new (
      globalThis as unknown as { WebSocketPair: new () => SocketPair }
    ).WebSocketPair();
    accept(server, info.remoteAddress);
    const answer = { status: 101, webSocket: client, headers: { 'sec-websocket-protocol': SUBPROTOCOL } };
    return new Response(null, answer as ResponseInit);
  }

  /** The hub gets the WebSocket. */
  take(pipe: Parameters<NonNullable<HttpServerOptions['onWebSocket']>>[0]): void {
    this.#options?.onWebSocket?.(pipe);
  }
}

/** The port of a client is known to nobody behind Cloudflare: nothing is said of where somebody is seen, but the address counts. */
function readInfo({ headers }: Request): RequestInfo {
  const ip = parseIp(headers.get(CLIENT_FIELD) ?? '');
  // Nobody is on the machine of an object; where no Cloudflare is in front, a client may say so.
  const isKnown = ip !== undefined && classifyIp(ip) !== 'loopback';
  return { remoteAddress: isKnown ? formatIpEndpoint({ ip, port: 0 }) : '', isProxied: true };
}

function refuse(status: number, text: string, fields: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${text}\n`, { status, headers: { 'content-type': 'text/plain', ...fields } });
}
