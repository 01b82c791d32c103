/** TCP connections on which nothing was said yet, dialled from a chosen port or accepted; each becomes a WebSocket, or asks one question. */

import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { SkeinError } from '../../core/errors.ts';
import type { Doorkeeper, MessagePipe, RawConnection, RawConnectOptions } from '../../core/platform.ts';
import { formatAddress } from './address.ts';
import { explainSystemError, systemErrorCode } from './system-error.ts';
import { readTicket, upgradeSocket, WebSocketAcceptor } from './websocket.ts';

/** Requests of peers have a handful of short fields. */
const MAX_HEADER_BYTES = 4 * 1024;
const MAX_HEADERS = 32;
/** What an answer to `get` may have, head and body. */
const MAX_HEAD_BYTES = 4 * 1024;
const MAX_BODY_BYTES = 1024;
/** A NAT keeps the way open only while something uses it; whoever asked closes the connection. */
const KEEP_ALIVE_MS = 15_000;

/** Keeps writes from waiting for ACKs, and half-open connections from staying. */
const SOCKET_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 } as const;

export function connectRaw({ host, port, localPort, serverName, signal }: RawConnectOptions): Promise<RawConnection> {
  const address = formatAddress(host, port) ?? '';
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const bound = localPort === undefined ? {} : { localPort };
    const socket = connect({ ...SOCKET_OPTIONS, host, port, ...bound });
    const carrier = serverName === undefined ? socket : connectTls({ socket, servername: serverName });
    const settle = (): void => {
      signal?.removeEventListener('abort', abort);
      carrier.off('error', fail);
      // From here on an error is the end of the connection, which is told by its close.
      carrier.on('error', () => undefined);
    };
    const fail = (cause: unknown): void => {
      settle();
      socket.destroy();
      reject(unreachable(address, cause));
    };
    const abort = (): void => {
      settle();
      socket.destroy();
      reject(signal?.reason);
    };
    socket.on('error', fail);
    if (carrier !== socket) carrier.on('error', fail);
    signal?.addEventListener('abort', abort, { once: true });
    carrier.once(carrier === socket ? 'connect' : 'secureConnect', () => {
      settle();
      resolve(new NodeRawConnection(socket, carrier, address));
    });
  });
}

/** A connection that somebody has opened to here; undefined when it is gone already. */
export function toRawConnection(socket: Socket): RawConnection | undefined {
  socket.on('error', () => undefined);
  const address = formatAddress(socket.remoteAddress, socket.remotePort);
  return address === undefined ? undefined : new NodeRawConnection(socket, socket, address);
}

class NodeRawConnection implements RawConnection {
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly #socket: Socket;
  /** The socket, or the TLS on it. */
  readonly #carrier: Socket;

  constructor(socket: Socket, carrier: Socket, remoteAddress: string) {
    this.localPort = socket.localPort ?? 0;
    this.remoteAddress = remoteAddress;
    this.#socket = socket;
    this.#carrier = carrier;
  }

  get(authority: string, path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = '';
      this.#carrier.setEncoding('latin1');
      this.#carrier.on('data', (chunk: string) => {
        text += chunk;
        const body = readAnswer(text);
        if (typeof body === 'string') resolve(body);
        else if (body.isOver || text.length > MAX_HEAD_BYTES + MAX_BODY_BYTES) {
          reject(unusable(this.remoteAddress, 'it gave no answer that can be used'));
        }
      });
      this.#socket.once('close', () => reject(unusable(this.remoteAddress, 'it closed the connection')));
      this.#carrier.write(`GET ${path} HTTP/1.1\r\nhost: ${authority}\r\nuser-agent: skein\r\n\r\n`, 'latin1');
    });
  }

  async upgrade(ticket: string): Promise<MessagePipe> {
    return upgradeSocket(this.#carrier, ticket);
  }

  accept(door: Doorkeeper): Promise<MessagePipe> {
    return new Promise((resolve, reject) => {
      guests.set(this.#carrier, { door, resolve });
      this.#socket.once('close', () =>
        reject(unusable(this.remoteAddress, 'it closed the connection, or was refused')),
      );
      server().emit('connection', this.#carrier);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

interface Guest {
  readonly door: Doorkeeper;
  readonly resolve: (pipe: MessagePipe) => void;
}

const guests = new WeakMap<Duplex, Guest>();
const acceptor = new WebSocketAcceptor();
let shared: ReturnType<typeof createHttpServer> | undefined;

/** Listens nowhere: connections are handed to it, accepted ones and those that were dialled from both ends at once. */
function server(): ReturnType<typeof createHttpServer> {
  if (shared !== undefined) return shared;
  const made = createHttpServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: KEEP_ALIVE_MS }, answer);
  made.maxHeadersCount = MAX_HEADERS;
  made.on('clientError', (_, socket) => socket.destroy());
  made.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const guest = guests.get(request.socket);
    const ticket = readTicket(request);
    if (
      guest === undefined ||
      ticket === undefined ||
      !WebSocketAcceptor.isOffered(request) ||
      !guest.door.admit(ticket)
    ) {
      socket.destroy();
    } else acceptor.accept(request, socket, head, guest.resolve);
  });
  shared = made;
  return made;
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const body = request.method === 'GET' ? guests.get(request.socket)?.door.answer(request.url ?? '') : undefined;
  if (body === undefined) {
    request.socket.destroy();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/** The body, once it is whole; else whether there is no use in waiting. */
function readAnswer(text: string): string | { readonly isOver: boolean } {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return { isOver: text.length > MAX_HEAD_BYTES };
  const head = text.slice(0, end);
  const length = Number(/^content-length:[ \t]*(\d{1,4})[ \t]*$/im.exec(head)?.[1] ?? '-1');
  if (!/^HTTP\/1\.1 200 /.test(head) || length < 0 || length > MAX_BODY_BYTES) return { isOver: true };
  const body = text.slice(end + 4);
  return body.length < length ? { isOver: false } : body.slice(0, length);
}

function unreachable(address: string, cause: unknown): SkeinError {
  const { state, remedy } = explainSystemError(cause);
  return new SkeinError('SKEIN_PEER_UNREACHABLE', `Cannot connect to ${address}: ${state}`, {
    cause,
    details: { address, systemCode: systemErrorCode(cause), remedy },
  });
}

function unusable(address: string, state: string): SkeinError {
  return new SkeinError('SKEIN_PEER_UNREACHABLE', `Cannot use connection to ${address}: ${state}`, {
    details: { address },
  });
}
