/** TCP connections on the sockets of Bun itself: what its `node:net` lays over them costs more than all else of a small read and write. */

import { type Bytes, joinBytes } from '../../core/bytes.ts';
import type { Clock } from '../../core/clock.ts';
import type { ListenAddress, Listener, TcpConnectOptions } from '../../core/platform.ts';
import {
  CONNECT_TIMEOUT_MS,
  isWorthJoining,
  KEEP_ALIVE_MS,
  NO_ANSWER,
  TcpStream,
  type Wire,
} from '../common/tcp-stream.ts';
import { formatAddress, unbracket } from '../node/address.ts';
import { cannotListen } from '../node/listen.ts';
import { explainSystemError, systemErrorCode } from '../node/system-error.ts';
import type { ConnectTcp, ListenTcp } from '../node/tcp.ts';
import { type BunListener, type BunSocket, bunSockets, type SocketHandler } from './sockets.ts';

type Socket = BunSocket<BunWire | undefined>;

/** One set for all connections: each finds its own in `data`. */
const HANDLER = {
  binaryType: 'uint8array',
  data: (socket, chunk) => socket.data?.stream?.onData(chunk),
  drain: (socket) => socket.data?.flush(),
  end: (socket) => socket.data?.peerEnded(),
  close: (socket, error) => socket.data?.closed(error),
  error: (socket, error) => socket.data?.failed(error),
  connectError: (socket, error) => socket.data?.failed(error),
} satisfies Partial<SocketHandler<BunWire | undefined>>;

export function createBunTcpListener(clock: Clock): ListenTcp {
  return async (at, onConnection) => {
    const open = (socket: Socket): void => {
      const wire = new BunWire();
      const stream = new TcpStream(wire, clock);
      wire.stream = stream;
      onConnection(stream); // who attaches at once spares it a pause
      wire.opened(socket);
    };
    const server = listen(at, open);
    const { address, port } = addressOf(server);
    return {
      address: formatAddress(address, port) ?? '',
      port,
      close: async () => server.stop(false),
    } satisfies Listener;
  };
}

function listen(at: ListenAddress, open: (socket: Socket) => void): BunListener {
  try {
    const socket = { ...HANDLER, open };
    return bunSockets().listen({
      hostname: unbracket(at.host),
      port: at.port,
      allowHalfOpen: true,
      exclusive: true,
      socket,
    });
  } catch (cause) {
    throw cannotListen(at, cause);
  }
}

function addressOf(server: BunListener): { readonly address: string; readonly port: number } {
  const { hostname: address, port } = server;
  const bound = { address, port };
  server.getsockname(bound); // where a name was given, its address
  return bound;
}

export function createBunTcpConnector(clock: Clock): ConnectTcp {
  return ({ host, port, timeoutMs = CONNECT_TIMEOUT_MS }: TcpConnectOptions, onConnect) => {
    const hostname = unbracket(host);
    const wire = new BunWire();
    const stream = new TcpStream(wire, clock, formatAddress(hostname, port));
    wire.stream = stream;
    const timer = clock.setTimer(timeoutMs, () => stream.fail(NO_ANSWER));
    wire.onSettled = () => timer.cancel();
    const open = (socket: Socket): void => {
      wire.opened(socket);
      if (!wire.isOver) onConnect?.();
    };
    const options = { hostname, port, allowHalfOpen: true, data: wire, socket: { ...HANDLER, open } };
    // What cannot be looked up is told by the promise alone.
    bunSockets()
      .connect(options)
      .catch((error: Error) => wire.failed(error));
    return stream;
  };
}

class BunWire implements Wire {
  stream: TcpStream | undefined;
  /** The connection stands, or never will. */
  onSettled: (() => void) | undefined;
  isOver = false;
  unsentBytes = 0;
  /** Undefined until the connection stands. */
  #socket: Socket | undefined;
  #unsent: Bytes[] = [];
  #isPaused = true;
  #isEnding = false;
  #hasEnded = false;
  #peerHasEnded = false;

  opened(socket: Socket): void {
    socket.data = this;
    this.#settle();
    if (this.isOver) {
      socket.terminate();
      return;
    }
    this.#socket = socket;
    this.stream?.onConnected();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    if (this.#isPaused) socket.pause();
    this.flush();
  }

  failed(error: Error): void {
    this.#settle();
    this.stream?.fail(explainSystemError(error), error, systemErrorCode(error));
  }

  peerEnded(): void {
    if (this.#peerHasEnded) return;
    this.#peerHasEnded = true;
    this.stream?.onEnd();
  }

  closed(error: Error | undefined): void {
    if (error !== undefined) this.failed(error);
    // Bun tells of an end that answers ours as of a close.
    else if (this.#hasEnded && !this.isOver) this.peerEnded();
    this.isOver = true;
    this.stream?.onClose();
  }

  write(chunks: readonly Bytes[], bytes: number): void {
    if (this.isOver) return;
    this.unsentBytes += bytes;
    if (isWorthJoining(chunks.length, bytes)) this.#unsent.push(joinBytes(chunks, bytes));
    else for (const chunk of chunks) this.#unsent.push(chunk);
    // While some waits for the kernel, more would only be refused: the drain comes.
    if (this.unsentBytes === bytes) this.flush();
  }

  get isFull(): boolean {
    return this.unsentBytes > 0;
  }

  /** Gives the kernel what it takes. */
  flush(): void {
    const socket = this.#socket;
    if (socket === undefined || this.isOver) return;
    const unsent = this.#unsent;
    let done = 0;
    for (; done < unsent.length; done++) {
      const chunk = unsent[done] as Bytes;
      const taken = Math.max(socket.write(chunk), 0);
      this.unsentBytes -= taken;
      if (taken < chunk.length) {
        unsent[done] = chunk.subarray(taken);
        break;
      }
    }
    if (done === unsent.length) unsent.length = 0;
    else if (done > 0) unsent.splice(0, done);
    if (this.unsentBytes > 0) return;
    this.stream?.onDrain();
    this.#endWhenSent();
  }

  end(): void {
    this.#isEnding = true;
    this.#endWhenSent();
  }

  destroy(): void {
    this.isOver = true;
    this.#unsent = [];
    this.unsentBytes = 0;
    this.#settle();
    this.#socket?.terminate();
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#socket?.resume();
  }

  #endWhenSent(): void {
    if (!this.#isEnding || this.#hasEnded || this.isOver || this.#socket === undefined || this.unsentBytes > 0) return;
    this.#hasEnded = true;
    this.#socket.shutdown();
  }

  #settle(): void {
    this.onSettled?.();
    this.onSettled = undefined;
  }
}
