/** Many connections that do little and stay: each says its first bytes, drips some more, reads or does not, and is counted when it ends. */
import { connect, type Socket } from 'node:net';

export interface SlowOptions {
  /** `host:port`. */
  readonly to: string;
  readonly count: number;
  /** What each says at once. */
  readonly first: string | Buffer;
  /** What each says every 500 ms. @default nothing */
  readonly drip?: string | Buffer;
  /** False: takes nothing of what comes. @default true */
  readonly reads?: boolean;
  /** Connections that are on their way at once: a backlog that overflows is not what is tried. @default 64 */
  readonly pace?: number;
}

const DRIP_MS = 500;

export class SlowSockets {
  /** How long each of those that the other end has ended was there, in milliseconds. */
  readonly livesMs: number[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #timer: NodeJS.Timeout;
  #onEnd: () => void = () => undefined;

  private constructor({ drip }: SlowOptions) {
    this.#timer = setInterval(() => {
      if (drip === undefined) return;
      for (const socket of this.#sockets) if (!socket.connecting) socket.write(drip);
    }, DRIP_MS);
  }

  /** Resolves when all have been connected, or were refused. */
  static async open(options: SlowOptions): Promise<SlowSockets> {
    const all = new SlowSockets(options);
    let left = options.count;
    const openNext = async (): Promise<void> => {
      while (left-- > 0) await all.#open(options);
    };
    await Promise.all(Array.from({ length: options.pace ?? 64 }, openNext));
    return all;
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** Resolves when the other end has ended them all, or the time is over. */
  ended(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#onEnd = () => {
        if (this.#sockets.size > 0) return;
        clearTimeout(timer);
        resolve();
      };
      this.#onEnd();
    });
  }

  close(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  #open({ to, first, reads = true }: SlowOptions): Promise<void> {
    return new Promise((resolve) => {
      const { hostname, port } = new URL(`tcp://${to}`);
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      let sinceMs = performance.now();
      this.#sockets.add(socket);
      socket.once('connect', () => {
        sinceMs = performance.now();
        socket.write(first);
        if (reads) socket.resume();
        resolve();
      });
      // Ended by the other end in any way: an end in order is one as well.
      const end = (): void => {
        if (!this.#sockets.delete(socket)) return;
        this.livesMs.push(performance.now() - sinceMs);
        socket.destroy();
        resolve();
        this.#onEnd();
      };
      socket.on('error', end);
      socket.on('end', end);
      socket.on('close', end);
    });
  }
}
