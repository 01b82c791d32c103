/** Sidecars in this process: a hub, applications on real sockets, and clients that speak by hand. */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { SidecarOptions } from '../../src/sidecar/options.ts';
import { createSidecar, type Sidecar } from '../../src/sidecar/sidecar.ts';
import { EventLog, Line, type LocalMesh } from './local-mesh.ts';

type Cleanup = Pick<TestContext, 'after'>;

export const ANY_PORT = '127.0.0.1:0';

export interface LocalSidecar {
  readonly sidecar: Sidecar;
  readonly log: EventLog;
  readonly line: Line;
  /** `host:port` of the HTTP proxy. */
  readonly proxy: string;
}

export interface JoinOptions extends Partial<SidecarOptions> {
  /** Services of the join token, unless `token` or `data` is given. */
  readonly services?: readonly string[];
}

/** Starts a sidecar of `mesh`, which looks for no direct paths unless told to. Ends with the test. */
export async function startSidecar(
  t: Cleanup,
  mesh: LocalMesh,
  { services = [], ...options }: JoinOptions,
): Promise<LocalSidecar> {
  const token = options.token ?? (services.length === 0 ? undefined : await mesh.token(services, options.namespace));
  const line = new Line(mesh.platform, () => mesh.hub.url);
  const log = new EventLog();
  const sidecar = await createSidecar(line.platform, { hub: mesh.hub.url, log, direct: false, ...options, token });
  t.after(() => sidecar.close());
  return { sidecar, log, line, proxy: new URL(sidecar.addresses.http ?? 'http://none').host };
}

/** A `node:http` application. Ends with the test. @returns its address, `host:port` */
export async function startHttpApp(
  t: Cleanup,
  listener: RequestListener,
): Promise<{ address: string; server: Server }> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** A TCP application that may keep its direction open behind its client's end. Ends with the test. */
export async function startTcpApp(t: Cleanup, onSocket: (socket: Socket) => void): Promise<{ address: string }> {
  const sockets = new Set<Socket>();
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // Probes connect and reset.
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** A client that writes what it likes and reads until it has seen enough. */
export class Conversation {
  readonly socket: Socket;
  text = '';
  /** The other end has ended its direction. */
  hasEnded = false;
  /** How the connection ended, if it did: well, or broken off. */
  closed: 'ended' | 'reset' | undefined;
  #wake: () => void = () => undefined;

  constructor(t: Cleanup, address: string) {
    const { hostname, port } = new URL(`tcp://${address}`);
    this.socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk) => {
      this.text += String(chunk);
      this.#wake();
    });
    this.socket.on('end', () => {
      this.hasEnded = true;
      this.#wake();
    });
    this.socket.on('error', () => {
      this.closed = 'reset';
      this.#wake();
    });
    this.socket.on('close', () => {
      this.closed ??= 'ended';
      this.#wake();
    });
    t.after(() => this.socket.destroy());
  }

  say(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  end(): this {
    this.socket.end();
    return this;
  }

  /** Resolves when `check` holds. Rejects when the connection is over before. */
  async until(check: (conversation: this) => boolean): Promise<this> {
    while (!check(this)) {
      if (this.closed !== undefined) throw new Error(`The connection was ${this.closed} after: ${this.text}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this;
  }

  /** All that was said until the other end closed. */
  async untilEnd(): Promise<string> {
    await this.until((it) => it.hasEnded || it.closed !== undefined);
    return this.text;
  }
}
