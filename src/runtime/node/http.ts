/**
 * HTTP server of hub and admin port: a fetch handler and mesh WebSockets behind one port, with hard limits. The only door to
 * @hono/node-server, opened at the first request: with it Node loads all of its `fetch`, seven megabytes that a port nobody asks need not have.
 */

import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import type { HttpServerOptions, Listener, UpgradeDecision, UpgradeRefusal } from '../../core/platform.ts';
import { SUBPROTOCOL } from '../common/websocket.ts';
import { readClientAddress } from './client-address.ts';
import { listenOn } from './listen.ts';
import { type SilentLimits, SilentSockets } from './silent-sockets.ts';
import { WebSocketAcceptor } from './websocket.ts';

export interface HttpLimits extends SilentLimits {
  /** Milliseconds for a whole request head. */
  readonly headersTimeoutMs: number;
  /** Milliseconds for a whole request with its body. */
  readonly requestTimeoutMs: number;
  /** Milliseconds in which a client takes nothing of an answer that is there for it. */
  readonly unreadTimeoutMs: number;
  /** Milliseconds between two looks for connections past those deadlines. */
  readonly checkIntervalMs: number;
  /** Milliseconds without a request; above the 60 s of the usual load balancers, which must be the first to close. */
  readonly keepAliveTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly maxHeaders: number;
  /** Connections of all kinds at once, WebSockets too. */
  readonly maxConnections: number;
}

export const HTTP_LIMITS: HttpLimits = {
  // A head is one packet or two; that of a link counts as part of its handshake.
  headersTimeoutMs: 2_000,
  requestTimeoutMs: 10_000,
  unreadTimeoutMs: 10_000,
  checkIntervalMs: 250,
  keepAliveTimeoutMs: 65_000,
  maxHeaderBytes: 16 * 1024,
  maxHeaders: 100,
  maxConnections: 16_384,
  maxSilent: 4_096,
  maxSilentPerAddress: 512,
};

const UPGRADE_PATHS = new Set(['/', '/skein']);

export type ListenHttp = (options: HttpServerOptions) => Promise<Listener>;

export function createHttpListener(limits: HttpLimits = HTTP_LIMITS): ListenHttp {
  return (options) => {
    const server = createServer(
      {
        headersTimeout: limits.headersTimeoutMs,
        requestTimeout: limits.requestTimeoutMs,
        connectionsCheckingInterval: limits.checkIntervalMs,
        keepAliveTimeout: limits.keepAliveTimeoutMs,
        maxHeaderSize: limits.maxHeaderBytes,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 60_000,
      },
      openAtFirst(() => createRequestListener(options)),
    );
    server.maxHeadersCount = limits.maxHeaders;
    server.maxConnections = options.maxConnections ?? limits.maxConnections;
    endUnread(server, limits.unreadTimeoutMs);
    const silent = watchSilence(server, limits, options.trustsProxy === true);
    attachUpgrades(server, silent, options);
    return closingSilent(server, silent, listenOn(server, options));
  };
}

function watchSilence(server: Server, limits: HttpLimits, trustsProxy: boolean): SilentSockets {
  // Behind a trusted proxy all connections come from its address.
  const silent = new SilentSockets(trustsProxy ? { ...limits, maxSilentPerAddress: limits.maxSilent } : limits);
  server.on('connection', (socket: Socket) => silent.enter(socket, performance.now()));
  server.on('request', ({ socket }: IncomingMessage) => void silent.leave(socket));
  // Nobody is refused for the sake of connections that do nothing.
  server.on('drop', () => server.closeIdleConnections());
  return silent;
}

/** Node waits for ever for a client that does not read. An answer that has nothing to say for the moment is another matter. */
function endUnread(server: Server, afterMs: number): void {
  server.on('request', (_request, response: ServerResponse) => {
    response.setTimeout(afterMs, () => {
      if (response.writableLength > 0 || response.writableEnded) response.socket?.destroy();
    });
  });
}

/** Node's `close` leaves connections alone on which no request ever came, and stops the clock that would end them. */
async function closingSilent(server: Server, silent: SilentSockets, listening: Promise<Listener>): Promise<Listener> {
  const listener = await listening;
  return {
    ...listener,
    async close() {
      await listener.close();
      silent.destroyAll();
      // Requests under way are answered; their connections end right after.
      server.keepAliveTimeout = 1;
    },
  };
}

/** A request that comes while it is opened waits for it; none overtakes another. */
function openAtFirst(create: () => Promise<RequestListener>): RequestListener {
  let opening: Promise<void> | undefined;
  let listener: RequestListener | undefined;
  return (request, response) => {
    if (listener !== undefined) {
      listener(request, response);
      return;
    }
    opening ??= create().then((created) => {
      listener = created;
    });
    opening.then(
      () => listener?.(request, response),
      () => response.destroy(),
    );
  };
}

async function createRequestListener({ fetch, trustsProxy = false }: HttpServerOptions): Promise<RequestListener> {
  const { getRequestListener, RequestError } = await import('@hono/node-server');
  return getRequestListener(
    (request, { incoming }) => {
      const { remoteAddress = '', isProxied } = readClientAddress(incoming as IncomingMessage, trustsProxy);
      return fetch(request, { remoteAddress, isProxied });
    },
    {
      overrideGlobalObjects: false,
      // The default prints the failure into the answer.
      errorHandler: (error) =>
        error instanceof RequestError
          ? new Response('bad request\n', { status: 400, headers: { connection: 'close' } })
          : new Response('internal error\n', { status: 500 }),
    },
  );
}

function attachUpgrades(
  server: Server,
  silent: SilentSockets,
  { onWebSocket, admitWebSocket, trustsProxy = false }: HttpServerOptions,
): void {
  const acceptor = new WebSocketAcceptor();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const nowMs = performance.now();
    const waitedMs = nowMs - (silent.leave(request.socket) ?? nowMs);
    socket.on('error', destroyThis);
    const path = (request.url ?? '').split('?', 1)[0] as string;
    if (onWebSocket === undefined || !UPGRADE_PATHS.has(path)) {
      refuse(socket, 404, 'no WebSocket at this path');
    } else if (request.headers.upgrade?.toLowerCase() !== 'websocket' || !WebSocketAcceptor.isOffered(request)) {
      refuse(socket, 400, `only WebSocket with subprotocol ${SUBPROTOCOL} is spoken here`);
    } else {
      const { remoteAddress = '', isProxied } = readClientAddress(request, trustsProxy);
      const decide = (refusal: UpgradeDecision): void => {
        if (socket.destroyed) return;
        if (refusal === undefined) acceptor.accept(request, socket, head, onWebSocket, { trustsProxy, waitedMs });
        else refuse(socket, refusal.status, 'not now', toRetryAfter(refusal));
      };
      const decision = admitWebSocket?.({ remoteAddress, isProxied, field: (name) => fieldOf(request, name) });
      if (decision instanceof Promise) void decision.then(decide);
      else decide(decision);
    }
  });
}

/** A function of its own: one that is made for a socket would keep the request for as long as the WebSocket lives. */
function destroyThis(this: Duplex): void {
  this.destroy();
}

function fieldOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}

function toRetryAfter({ retryAfterSeconds }: UpgradeRefusal): Record<string, string> {
  return retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
}

function refuse(socket: Duplex, status: number, text: string, fields: Readonly<Record<string, string>> = {}): void {
  const body = `${text}\n`;
  const all = {
    connection: 'close',
    'content-type': 'text/plain',
    'content-length': String(Buffer.byteLength(body)),
    ...fields,
  };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n${head.join('')}\r\n${body}`);
}
