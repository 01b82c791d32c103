/** WebSockets as `MessagePipe`s, dialled and accepted; the only door to ws. */

import type { IncomingMessage } from 'node:http';
import type { createConnection } from 'node:net';
import type { Duplex } from 'node:stream';
import { clearTimeout, setTimeout } from 'node:timers';
import { type ClientOptions, type RawData, WebSocket, WebSocketServer } from 'ws';
import type { Bytes } from '../../core/bytes.ts';
import { SkeinError } from '../../core/errors.ts';
import type { MessagePipe, MessagePipeEvents } from '../../core/platform.ts';
import type { Explanation } from '../common/explanation.ts';
import { explainHttpStatus } from '../common/http-status.ts';
import {
  CLOSED_IN_HANDSHAKE,
  cutReason,
  type DialFailure,
  type DialWebSocket,
  failureOptions,
  HANDSHAKE_TIMEOUT_MS,
  hubUnreachable,
  IDLE_PING,
  IDLE_PONG,
  MAX_MESSAGE_BYTES,
  NO_ANSWER_IN_TIME,
  NO_HUB_THERE,
  parseHubUrl,
  REFUSED,
  SUBPROTOCOL,
  toSendableCode,
} from '../common/websocket.ts';
import { formatAddress, isLoopback } from './address.ts';
import { type ClientAddress, readClientAddress } from './client-address.ts';
import { readSlabs } from './read-slabs.ts';
import { type Masking, toSmallFrame } from './small-frames.ts';
import { SocketMessages } from './socket-messages.ts';
import { Stranger } from './stranger.ts';
import { explainSystemError, systemErrorCode } from './system-error.ts';

/** A subprotocol that starts so is a ticket: browsers let nothing else be said with an upgrade. */
const TICKET_PREFIX = 'skein.ticket.';
/** The name in the request of an upgrade between peers, who have none (RFC 2606 §2). */
const PEER_URL = new URL('ws://peer.invalid/');

/**
 * The defaults of ws allow 100 MiB messages and let 112 KB of one-byte fragments pin 2 MiB a connection. Our messages
 * are at most 128 KiB; a proxy may cut them into some fragments, not into thousands.
 */
const LIMITS = {
  maxPayload: MAX_MESSAGE_BYTES,
  maxFragments: 64,
  maxBufferedChunks: 256,
  maxPendingAutoPongs: 2,
  perMessageDeflate: false,
  /** How long a peer may leave our close message unanswered. */
  closeTimeout: 5_000,
};

const SEND_OPTIONS = { binary: true, compress: false, fin: true };

/**
 * Opens the connection that carries a dialled WebSocket (for wss: with its TLS), such as one through an HTTP CONNECT
 * proxy. Undefined: dial directly.
 */
export type Egress = (url: URL, signal: AbortSignal | undefined) => Promise<Duplex | undefined>;

export function createWebSocketDialler(egress?: Egress): DialWebSocket {
  return async (address, { signal } = {}) => {
    const url = parseHubUrl(address);
    signal?.throwIfAborted();
    const carrier = await egress?.(url, signal);
    return dial(url, { carrier, signal, protocols: [SUBPROTOCOL] });
  };
}

/**
 * The client's side of a WebSocket over a connection that stands; `ticket` goes as a second subprotocol, which no server
 * chooses. @throws SkeinError SKEIN_PEER_UNREACHABLE
 */
export function upgradeSocket(carrier: Duplex, ticket: string): Promise<MessagePipe> {
  return dial(PEER_URL, { carrier, signal: undefined, protocols: [SUBPROTOCOL, TICKET_PREFIX + ticket] });
}

/** The ticket that a client shows, or undefined. */
export function readTicket(request: IncomingMessage): string | undefined {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  return offered.find((name) => name.startsWith(TICKET_PREFIX))?.slice(TICKET_PREFIX.length);
}

interface Dial {
  /** Undefined: one is made. */
  readonly carrier: Duplex | undefined;
  readonly signal: AbortSignal | undefined;
  readonly protocols: string[];
}

function dial(url: URL, { carrier, signal, protocols }: Dial): Promise<MessagePipe> {
  return new Promise((resolve, reject) => {
    let remoteAddress: string | undefined;
    let dialled: Duplex | undefined;
    const socket = new WebSocket(url, protocols, clientOptions(url, carrier));
    const settle = (): void => {
      clearTimeout(deadline);
      signal?.removeEventListener('abort', abort);
    };
    const fail = (error: unknown): void => {
      settle();
      reject(error);
      socket.terminate();
    };
    const abort = (): void => fail(signal?.reason);
    // The option `handshakeTimeout` of ws only watches for silence: a server that trickles would hold us for ever.
    const deadline = setTimeout(() => fail(unreachable(url, NO_ANSWER_IN_TIME)), HANDSHAKE_TIMEOUT_MS);
    signal?.addEventListener('abort', abort, { once: true });
    socket.on('upgrade', (response) => {
      dialled = response.socket ?? undefined; // null on Bun
      remoteAddress = formatAddress(response.socket?.remoteAddress, response.socket?.remotePort);
    });
    socket.on('unexpected-response', (_request, response) => {
      const status = response.statusCode ?? 0;
      fail(
        unreachable(url, explainHttpStatus(status), {
          httpStatus: status,
          retryAfter: response.headers['retry-after'],
        }),
      );
    });
    socket.on('error', (cause) =>
      fail(unreachable(url, explainSystemError(cause), { cause, systemCode: systemErrorCode(cause) })),
    );
    // Bun's ws may close without an error event.
    socket.on('close', () => fail(unreachable(url, CLOSED_IN_HANDSHAKE)));
    socket.on('open', () => {
      if (socket.protocol !== SUBPROTOCOL) {
        fail(unreachable(url, NO_HUB_THERE));
        return;
      }
      settle();
      socket.removeAllListeners();
      resolve(
        new WebSocketPipe(socket, dialled, masksZeros(url) ? 'zeros' : 'other', { remoteAddress, isProxied: false }),
      );
    });
  });
}

function clientOptions(url: URL, carrier: Duplex | undefined): ClientOptions {
  const options: ClientOptions = {
    ...LIMITS,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    headers: { 'user-agent': 'skein' },
  };
  if (carrier !== undefined) options.createConnection = (() => carrier) as unknown as typeof createConnection;
  if (masksZeros(url)) options.generateMask = (mask) => mask.fill(0);
  return options;
}

/**
 * Masks keep an attacker's chosen bytes from fooling a plain-text proxy (RFC 6455 §10.3). Inside TLS and on this host
 * there is no such proxy, and masking in JavaScript costs four fifths of the throughput. Between peers every byte that an
 * attacker could choose is sealed.
 */
function masksZeros(url: URL): boolean {
  return url.protocol === 'wss:' || isLoopback(url.hostname) || url === PEER_URL;
}

function unreachable(url: URL, explanation: Explanation, failure: DialFailure = {}): SkeinError {
  if (url !== PEER_URL) return hubUnreachable(url, explanation, failure);
  return new SkeinError(
    'SKEIN_PEER_UNREACHABLE',
    `Cannot open link to peer: ${explanation.state}`,
    failureOptions(url, explanation, failure),
  );
}

/** Turns HTTP upgrades into pipes. The caller has decided that the request may be upgraded. */
export class WebSocketAcceptor {
  readonly #server = new WebSocketServer({
    ...LIMITS,
    noServer: true,
    clientTracking: false,
    handleProtocols: () => SUBPROTOCOL,
  });

  /** False when the client did not offer our subprotocol; the caller then answers it. */
  static isOffered(request: IncomingMessage): boolean {
    const offered = request.headers['sec-websocket-protocol'] ?? '';
    return offered.split(',').some((name) => name.trim() === SUBPROTOCOL);
  }

  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    onPipe: (pipe: MessagePipe) => void,
    { trustsProxy = false, waitedMs = 0 }: { readonly trustsProxy?: boolean; readonly waitedMs?: number } = {},
  ): void {
    const client = readClientAddress(request, trustsProxy);
    this.#server.handleUpgrade(request, socket, head, (accepted) =>
      onPipe(new WebSocketPipe(accepted, socket, 'none', client, waitedMs)),
    );
  }
}

class WebSocketPipe implements MessagePipe {
  readonly remoteAddress: string | undefined;
  readonly isProxied: boolean;
  readonly waitedMs: number;
  readonly #socket: WebSocket;
  /** What it came on; undefined where that cannot be had. */
  readonly #carrier: Duplex | undefined;
  readonly #messages: SocketMessages | undefined;
  readonly #masking: Masking;
  #stranger: Stranger | undefined;
  #events: MessagePipeEvents | undefined;
  /** Came before `attach`; the socket is paused meanwhile, so these are what one read had already brought. */
  #early: Bytes[] = [];
  #outstandingBytes = 0;
  /** Lengths of the messages whose callbacks are due, from `#firstSize` on; callbacks come in order of sending. */
  #sizes: number[] = [];
  #firstSize = 0;
  #sending = false;
  /** How many messages were handed to the socket, and of how many it has told that they are sent. */
  #sentCount = 0;
  #doneCount = 0;
  /** Messages that lie in memory which is read into, by their number. */
  #pinned: { readonly count: number; readonly unpin: () => void }[] = [];
  /** Texts `ping` that were not answered yet. */
  #idlePings = 0;
  /** A text message came: nothing that follows it counts. */
  #refusing = false;
  #failure: Error | undefined;
  #closed: { readonly code: number; readonly reason: string } | undefined;

  constructor(
    socket: WebSocket,
    carrier: Duplex | undefined,
    masking: Masking,
    { remoteAddress, isProxied }: ClientAddress,
    waitedMs = 0,
  ) {
    this.#socket = socket;
    this.#carrier = carrier;
    this.waitedMs = waitedMs;
    this.remoteAddress = remoteAddress;
    this.isProxied = isProxied;
    socket.pause();
    this.#masking = masking;
    this.#messages = carrier && SocketMessages.of(carrier, masking === 'none', (message) => this.#onBinary(message));
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    // A close event follows, with what the peer has said or 1006.
    socket.on('error', (error) => {
      this.#failure = error;
    });
    socket.on('close', (code, reason) => this.#onClose(code, reason.toString() || (this.#failure?.message ?? '')));
  }

  attach(events: MessagePipeEvents): void {
    // The owner is still being made.
    queueMicrotask(() => {
      this.#events = events;
      for (const message of this.#early) events.onMessage(message);
      this.#early = [];
      if (this.#closed !== undefined) events.onClose(this.#closed.code, this.#closed.reason);
      else {
        // A stranger's bytes are counted and kept as ws does it, until it is none.
        if (this.#stranger === undefined) this.#messages?.open();
        this.#socket.resume();
      }
    });
  }

  distrust(maxBytes: number): () => void {
    const stranger = new Stranger(this.#carrier, maxBytes, () => this.#socket.terminate());
    this.#stranger = stranger;
    return () => {
      stranger.trust();
      this.#stranger = undefined;
      if (this.#events !== undefined) this.#messages?.open();
    };
  }

  send(message: Bytes): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#outstandingBytes += message.length;
    this.#sizes.push(message.length);
    this.#sentCount++;
    const frame = this.#messages && toSmallFrame(message, this.#masking);
    const sendable = frame ?? readSlabs.toSendable(message);
    this.#sending = true;
    if (frame === undefined) this.#socket.send(sendable, SEND_OPTIONS, this.#onSent);
    else this.#carrier?.write(frame, this.#onSent);
    this.#sending = false;
    if (this.#messages !== undefined && this.#carrier?.writableLength === 0) {
      // The kernel has all of it; the callbacks that tell so come a little later, one for each message.
      this.#outstandingBytes = 0;
      this.#sizes.fill(0, this.#firstSize);
      return;
    }
    const unpin = readSlabs.pin(sendable);
    if (unpin !== undefined) this.#pinned.push({ count: this.#sentCount, unpin });
  }

  get outstandingBytes(): number {
    return this.#outstandingBytes;
  }

  close(code: number, reason: string): void {
    this.#socket.close(toSendableCode(code), cutReason(reason));
    this.#stranger?.dismiss();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  sendIdlePing(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#idlePings++;
    this.#socket.send(IDLE_PING);
  }

  readonly #onSent = (): void => {
    this.#doneCount++;
    while (this.#pinned[0] !== undefined && this.#pinned[0].count <= this.#doneCount) this.#pinned.shift()?.unpin();
    const size = this.#sizes[this.#firstSize];
    if (size === undefined) return;
    this.#outstandingBytes -= size;
    if (++this.#firstSize === this.#sizes.length) {
      this.#sizes.length = 0;
      this.#firstSize = 0;
    } else if (this.#firstSize >= 1024) {
      this.#sizes.splice(0, this.#firstSize);
      this.#firstSize = 0;
    }
    // Bun calls back inside `send`; the caller sees the count fall and must not be re-entered.
    if (!this.#sending && this.#closed === undefined) this.#events?.onProgress();
  };

  #onMessage(data: RawData, isBinary: boolean): void {
    if (this.#refusing) return;
    if (!isBinary && this.#idlePings > 0 && String(data) === IDLE_PONG) {
      this.#idlePings--;
      this.#events?.onIdlePong?.();
      return;
    }
    if (!isBinary || !(data instanceof Uint8Array)) {
      this.#refusing = true;
      this.close(REFUSED.text, 'binary messages only');
      return;
    }
    // No copy: ws hands out disjoint views of what one read brought, and reads none of them again, so the receiver may
    // patch its own.
    this.#onBinary(new Uint8Array(data.buffer, data.byteOffset, data.length));
  }

  #onBinary(message: Bytes): void {
    if (this.#refusing) return;
    if (this.#stranger?.onMessage(message) === false) return;
    if (this.#events === undefined) this.#early.push(message);
    else this.#events.onMessage(message);
  }

  #onClose(code: number, reason: string): void {
    this.#stranger?.trust();
    this.#closed = { code, reason };
    this.#outstandingBytes = 0;
    this.#sizes.length = 0;
    this.#firstSize = 0;
    for (const { unpin } of this.#pinned.splice(0)) unpin();
    this.#events?.onClose(code, reason);
  }
}
