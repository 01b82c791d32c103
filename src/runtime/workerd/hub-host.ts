/**
 * `HubHost`: the life of a hub inside a Durable Object. While nothing happens it rests: what the hub must know of each WebSocket
 * is left with it, and no timer is set, so that the runtime may end the object's memory and keep its WebSockets
 * (docs/decisions/0021).
 */

import type { Bytes } from '../../core/bytes.ts';
import { setPeriodic, type Timer } from '../../core/clock.ts';
import { type SkeinError, toSkeinError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { MessagePipe, Platform } from '../../core/platform.ts';
import { IDLE_PING, IDLE_PONG } from '../common/websocket.ts';
import { HubServer } from './hub-server.ts';
import { HubSocket } from './hub-socket.ts';
import { ObjectFiles } from './object-files.ts';
import type { ObjectContext, SleepingSocket } from './object-types.ts';
import { workerdPlatform } from './platform.ts';
import { RestingClock } from './resting-clock.ts';

/** What the hub leaves with a WebSocket. */
export interface RestingPipe {
  readonly pipe: MessagePipe;
  readonly state: Bytes;
}

/** The part of a hub that its host needs. */
export interface SleepingHub {
  /** undefined while something is under way that would be lost. */
  rest(): readonly RestingPipe[] | undefined;
}

export interface HubHostOptions {
  readonly context: ObjectContext;
  readonly log: Logger;
  /** Starts the hub, with what it had left. */
  readonly start: (platform: Platform, resting: readonly RestingPipe[]) => Promise<SleepingHub>;
  /** Is this message no more than a sign of life? */
  readonly isHeartbeat: (message: Bytes) => boolean;
  readonly limits: SleepLimits;
}

export interface SleepLimits {
  /** The hub rests when nothing but signs of life has come for so long, in milliseconds; the runtime ends its memory 10 s later. */
  readonly restAfterMs: number;
  /** How often a hub with links is woken to look after itself, in milliseconds. */
  readonly alarmMs: number;
  /** Silence behind which a WebSocket is not believed to lead to anybody after a sleep, in milliseconds. */
  readonly deadAfterMs: number;
}

/** What the runtime keeps for a WebSocket, less what frames it. */
export const MAX_STATE_BYTES = 16 * 1024 - 256;

interface Attachment {
  readonly address: string;
  /** undefined: what was left is not true any more. */
  readonly state?: Bytes;
  readonly restedAtMs?: number;
}

const LOOK_MS = 1_000;
/** Close code of RFC 6455's registry: the server restarts, come back. */
const SERVICE_RESTART = 1012;

export class HubHost {
  readonly #options: HubHostOptions;
  readonly #base: Platform;
  readonly #clock: RestingClock;
  readonly #server = new HubServer();
  readonly #sockets = new Map<SleepingSocket, HubSocket>();
  #hub: SleepingHub | undefined;
  #failure: SkeinError | undefined;
  #requests = 0;
  #activeMs = 0;
  /** Looks whether there is something to do; undefined while resting. */
  #look: Timer | undefined;

  constructor(options: HubHostOptions) {
    const { context, log, start } = options;
    this.#options = options;
    this.#base = workerdPlatform();
    this.#clock = new RestingClock(this.#base.clock);
    const { WebSocketRequestResponsePair } = globalThis as unknown as ResponsePair;
    context.setWebSocketAutoResponse(new WebSocketRequestResponsePair(IDLE_PING, IDLE_PONG));
    void context.blockConcurrencyWhile(async () => {
      try {
        const resting = this.#restore();
        this.#hub = await start(this.#platform(), resting);
        this.#wake();
        if (resting.length > 0) log.log('info', 'hub-wakes', { links: resting.length });
      } catch (thrown) {
        this.#failure = toSkeinError(thrown);
        this.#giveUp();
        log.log('error', 'hub-not-started', { code: this.#failure.code, error: this.#failure.message });
      }
    });
  }

  async fetch(request: Request): Promise<Response> {
    if (this.#failure !== undefined) return explain(this.#failure);
    this.#wake();
    this.#requests++;
    try {
      return await this.#server.answer(request, (socket, address) => this.#accept(socket, address));
    } finally {
      this.#requests--;
    }
  }

  onMessage(socket: SleepingSocket, message: ArrayBuffer | string): void {
    const isHeartbeat = typeof message !== 'string' && this.#options.isHeartbeat(new Uint8Array(message));
    if (!isHeartbeat) this.#wake();
    this.#sockets.get(socket)?.onMessage(message);
  }

  onClose(socket: SleepingSocket, code: number, reason: string): void {
    this.#wake();
    this.#sockets.get(socket)?.onClose(code, reason);
    this.#sockets.delete(socket);
  }

  onAlarm(): void {
    this.#wake();
  }

  #platform(): Platform {
    const files = new ObjectFiles(this.#options.context.storage.kv);
    return { ...this.#base, clock: this.#clock, files, listenHttp: this.#server.listen };
  }

  #accept(socket: SleepingSocket, address: string): void {
    this.#options.context.acceptWebSocket(socket);
    leave(socket, { address });
    this.#server.take(this.#toPipe(socket, address));
  }

  #toPipe(socket: SleepingSocket, remoteAddress: string): HubSocket {
    const pipe = new HubSocket({ socket, clock: this.#clock, remoteAddress, onSend: () => this.#stay() });
    this.#sockets.set(socket, pipe);
    return pipe;
  }

  /** WebSockets that have outlived the memory of the object. */
  #restore(): RestingPipe[] {
    const { context, limits } = this.#options;
    const resting: RestingPipe[] = [];
    for (const socket of context.getWebSockets()) {
      const { address = '', state, restedAtMs = 0 } = (socket.deserializeAttachment() ?? {}) as Partial<Attachment>;
      const heardMs = Math.max(restedAtMs, context.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0);
      const isDead = this.#clock.epochMs() - heardMs > limits.deadAfterMs;
      if (state !== undefined && !isDead) {
        resting.push({ pipe: this.#toPipe(socket, address), state });
        continue;
      }
      // The runtime may hold it on until the other end answers; circuits of that rest lead elsewhere behind the next one.
      leave(socket, { address });
      socket.close(SERVICE_RESTART, isDead ? 'not heard for too long' : 'the hub has restarted');
    }
    return resting;
  }

  /** There is no hub: nobody waits for it, and nothing keeps the object in memory. */
  #giveUp(): void {
    for (const socket of this.#options.context.getWebSockets()) socket.close(SERVICE_RESTART, 'the hub does not start');
    this.#sockets.clear();
    this.#clock.rest();
    this.#look?.cancel();
  }

  /** Something happens. */
  #wake(): void {
    if (this.#hub === undefined) return;
    this.#activeMs = this.#clock.monotonicMs();
    this.#stay();
  }

  /** What was left with WebSockets, if it was, is not true any more. */
  #stay(): void {
    if (this.#look !== undefined) return;
    for (const [socket, { remoteAddress = '' }] of this.#sockets) leave(socket, { address: remoteAddress });
    this.#look = setPeriodic(this.#base.clock, LOOK_MS, () => this.#restIfIdle());
    this.#clock.resume();
  }

  #restIfIdle(): void {
    const { context, limits, log } = this.#options;
    if (this.#requests > 0 || this.#clock.monotonicMs() - this.#activeMs < limits.restAfterMs) return;
    const resting = this.#hub?.rest();
    if (resting === undefined) return;
    const restedAtMs = this.#clock.epochMs();
    for (const { pipe, state } of resting) {
      const { socket, remoteAddress = '' } = pipe as HubSocket;
      leave(socket, { address: remoteAddress, state, restedAtMs });
    }
    this.#clock.rest();
    this.#look?.cancel();
    this.#look = undefined;
    log.log('info', 'hub-rests', { links: resting.length });
    if (resting.length > 0) void context.storage.setAlarm(restedAtMs + limits.alarmMs);
  }
}

interface ResponsePair {
  readonly WebSocketRequestResponsePair: new (request: string, response: string) => object;
}

function leave(socket: SleepingSocket, attachment: Attachment): void {
  try {
    socket.serializeAttachment(attachment);
  } catch {
    // It is closed.
  }
}

function explain({ code, message, details }: SkeinError): Response {
  return Response.json({ code, message, details }, { status: 503, headers: { 'cache-control': 'no-store' } });
}
