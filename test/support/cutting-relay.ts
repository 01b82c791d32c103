/**
 * A TCP relay that cuts what passes through it, in the ways in which WebSockets die: reset, ended, closed with 1001 by
 * something in between, swallowed, and ended inside a message. It can also hold everything back, delay and throttle.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { FrameScanner } from './frame-scanner.ts';

export const CUTS = ['rst', 'fin', 'close-1001', 'mid-message', 'silence'] as const;
export type Cut = (typeof CUTS)[number];

export interface RelayShape {
  /** One way. @default 0 */
  readonly delayMs?: number;
  /** Of all connections together, each direction. @default unlimited */
  readonly bytesPerSecond?: number;
}

export interface RelayCounts {
  /** Connections that pass bytes. */
  readonly connections: number;
  /** Connections that were cut, by the way it was done. */
  readonly cuts: Readonly<Record<Cut, number>>;
  /** Bytes that have passed, both directions. */
  readonly bytes: number;
}

/** Bytes of a message that still pass when it is cut inside. */
const PASSED_OF_MESSAGE = 20;
const DATA_OPCODE = 2;
const GOING_AWAY = [0x03, 0xe9];
/** RFC 6455 §5.5.1, from the server: unmasked; from the client: masked, here with zeros. */
const CLOSE_DOWN = Buffer.from([0x88, 2, ...GOING_AWAY]);
const CLOSE_UP = Buffer.from([0x88, 0x80 | 2, 0, 0, 0, 0, ...GOING_AWAY]);
/** Bytes that wait for their time, above which no more are read. */
const MAX_WAITING_BYTES = 1024 * 1024;

export class CuttingRelay {
  readonly address: string;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #lines: readonly [DelayLine, DelayLine];
  readonly #cuts: Record<Cut, number> = { rst: 0, fin: 0, 'close-1001': 0, silence: 0, 'mid-message': 0 };
  #bytes = 0;
  #isHolding = false;

  private constructor(server: Server, target: string, shape: RelayShape) {
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#lines = [new DelayLine(shape), new DelayLine(shape)];
    const { hostname, port } = new URL(`tcp://${target}`);
    server.on('connection', (client) => {
      const hub = connect({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true });
      client.setNoDelay(true);
      const connection: Connection = new Connection(client, hub, this.#lines, {
        onBytes: (bytes) => {
          this.#bytes += bytes;
        },
        onCut: (cut) => {
          this.#cuts[cut]++;
        },
        onEnd: () => this.#connections.delete(connection),
      });
      this.#connections.add(connection);
      if (this.#isHolding) connection.pause();
    });
  }

  /** @param target `host:port` to relay to */
  static async listen(target: string, shape: RelayShape = {}): Promise<CuttingRelay> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new CuttingRelay(server, target, shape);
  }

  get counts(): RelayCounts {
    return { connections: this.#connections.size, cuts: this.#cuts, bytes: this.#bytes };
  }

  /** Cuts every connection; inside a message, and with 1001, as soon as the bytes that pass allow it. */
  cut(cut: Cut): void {
    for (const connection of [...this.#connections]) connection.cut(cut);
  }

  /** From now on bytes take their time by this; none overtakes another. */
  reshape(shape: RelayShape): void {
    for (const line of this.#lines) line.reshape(shape);
  }

  /** Passes nothing any more, old connections and new ones, until `release`; nothing is lost. */
  hold(): void {
    this.#isHolding = true;
    for (const connection of this.#connections) connection.pause();
  }

  release(): void {
    this.#isHolding = false;
    for (const connection of this.#connections) connection.resume();
  }

  async close(): Promise<void> {
    for (const connection of [...this.#connections]) connection.cut('rst');
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

interface ConnectionEvents {
  readonly onBytes: (bytes: number) => void;
  readonly onCut: (cut: Cut) => void;
  readonly onEnd: () => void;
}

/** One connection: two directions that are cut together. */
class Connection {
  readonly #events: ConnectionEvents;
  readonly #client: Socket;
  readonly #hub: Socket;
  readonly #up: Direction;
  readonly #down: Direction;
  #isCut = false;
  #isPaused = false;

  constructor(client: Socket, hub: Socket, [up, down]: readonly [DelayLine, DelayLine], events: ConnectionEvents) {
    this.#events = events;
    this.#client = client;
    this.#hub = hub;
    const onMidMessage = (): void => this.#finish('mid-message');
    this.#up = new Direction(client, hub, up, CLOSE_UP, events.onBytes, onMidMessage);
    this.#down = new Direction(hub, client, down, CLOSE_DOWN, events.onBytes, onMidMessage);
    for (const [socket, other] of [
      [client, hub],
      [hub, client],
    ] as const) {
      socket.on('error', () => undefined); // 'close' follows
      socket.on('close', () => {
        events.onEnd();
        other.destroy();
      });
    }
  }

  pause(): void {
    this.#isPaused = true;
    this.#up.pause();
    this.#down.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#isCut) return;
    this.#up.resume();
    this.#down.resume();
  }

  cut(cut: Cut): void {
    // One that is silent is still there, and can end in one way only.
    if (this.#isCut && cut !== 'silence') return this.#finish('rst');
    if (cut === 'mid-message' && !this.#isPaused) {
      this.#up.armMidMessage();
      this.#down.armMidMessage();
      return;
    }
    this.#finish(cut);
  }

  #finish(cut: Cut): void {
    if (!this.#isCut) this.#events.onCut(cut);
    this.#isCut = true;
    switch (cut) {
      case 'rst':
        this.#client.resetAndDestroy();
        this.#hub.resetAndDestroy();
        return;
      case 'close-1001':
        this.#up.closeBetweenFrames();
        this.#down.closeBetweenFrames();
        return;
      case 'silence':
        this.#up.swallow();
        this.#down.swallow();
        return;
      case 'fin':
      case 'mid-message':
        this.#up.end();
        this.#down.end();
    }
  }
}

/** Bytes from one socket to the other. */
class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #line: DelayLine;
  readonly #closeFrame: Buffer;
  readonly #onBytes: (bytes: number) => void;
  readonly #onMidMessage: () => void;
  readonly #scanner = new FrameScanner();
  #state: 'passing' | 'closing' | 'over' = 'passing';
  #isArmed = false;
  #isPaused = false;
  #waitingBytes = 0;

  constructor(
    from: Socket,
    to: Socket,
    line: DelayLine,
    closeFrame: Buffer,
    onBytes: (bytes: number) => void,
    onMidMessage: () => void,
  ) {
    this.#from = from;
    this.#to = to;
    this.#line = line;
    this.#closeFrame = closeFrame;
    this.#onBytes = onBytes;
    this.#onMidMessage = onMidMessage;
    from.on('data', (chunk: Buffer) => this.#onData(chunk));
    from.on('end', () => this.#send(undefined));
    to.on('drain', () => this.#steer());
  }

  pause(): void {
    this.#isPaused = true;
    this.#steer();
  }

  resume(): void {
    this.#isPaused = false;
    this.#steer();
  }

  /** The next message ends in its midst, and all else with it. */
  armMidMessage(): void {
    this.#isArmed = true;
  }

  closeBetweenFrames(): void {
    if (this.#state !== 'passing') return;
    this.#state = 'closing';
    if (this.#scanner.isBetweenFrames) this.#close();
  }

  /** Keeps the socket, and reads nothing more of it: the other end sees its window close. */
  swallow(): void {
    this.#state = 'over';
    this.pause();
  }

  end(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#send(undefined);
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'over') return;
    const end = this.#scan(chunk);
    this.#onBytes(end);
    this.#send(chunk.subarray(0, end));
    if (end === chunk.length)
      return this.#state === 'closing' && this.#scanner.isBetweenFrames ? this.#close() : undefined;
    if (this.#state === 'closing') this.#close();
    else this.#onMidMessage();
  }

  /** How much of the chunk passes. */
  #scan(chunk: Buffer): number {
    const scanner = this.#scanner;
    for (let at = 0; at < chunk.length; ) {
      if (this.#state === 'closing' && scanner.isBetweenFrames) return at;
      const start = scanner.payloadAt;
      const next = scanner.step(chunk, at);
      const { opcode } = scanner.frame;
      const crossed = start <= PASSED_OF_MESSAGE && scanner.payloadAt > PASSED_OF_MESSAGE;
      if (this.#isArmed && opcode === DATA_OPCODE && crossed) return at + PASSED_OF_MESSAGE - start;
      at = next;
    }
    return chunk.length;
  }

  #close(): void {
    this.#state = 'over';
    this.#send(this.#closeFrame);
    this.#send(undefined);
  }

  /** undefined: the end. */
  #send(chunk: Buffer | undefined): void {
    this.#waitingBytes += chunk?.length ?? 0;
    this.#line.pass(chunk?.length ?? 0, () => {
      this.#waitingBytes -= chunk?.length ?? 0;
      if (this.#to.destroyed) return;
      if (chunk === undefined) this.#to.end();
      else this.#to.write(chunk);
      this.#steer();
    });
    this.#steer();
  }

  #steer(): void {
    const mustWait = this.#isPaused || this.#to.writableNeedDrain || this.#waitingBytes > MAX_WAITING_BYTES;
    if (mustWait) this.#from.pause();
    else this.#from.resume();
  }
}

/** What takes its time on the way: first the line is free, then the delay. */
class DelayLine {
  #delayMs = 0;
  #bytesPerMs = Number.POSITIVE_INFINITY;
  #freeAtMs = 0;
  readonly #waiting: { readonly dueMs: number; readonly deliver: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(shape: RelayShape) {
    this.reshape(shape);
  }

  reshape({ delayMs = 0, bytesPerSecond = Number.POSITIVE_INFINITY }: RelayShape): void {
    this.#delayMs = delayMs;
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  pass(bytes: number, deliver: () => void): void {
    const isAtOnce = this.#delayMs === 0 && this.#bytesPerMs === Number.POSITIVE_INFINITY;
    if (isAtOnce && this.#waiting.length === 0) return deliver();
    this.#freeAtMs = Math.max(this.#freeAtMs, performance.now()) + bytes / this.#bytesPerMs;
    this.#waiting.push({ dueMs: this.#freeAtMs + this.#delayMs, deliver });
    this.#timer ??= this.#set();
  }

  #set(): NodeJS.Timeout | undefined {
    const next = this.#waiting[0];
    return next && setTimeout(() => this.#deliverDue(), Math.max(0, next.dueMs - performance.now()));
  }

  #deliverDue(): void {
    // Timers are whole milliseconds: what is due within half of one goes now.
    const nowMs = performance.now() + 0.5;
    while ((this.#waiting[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs) this.#waiting.shift()?.deliver();
    this.#timer = this.#set();
  }
}
