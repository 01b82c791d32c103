/** Debian's nats-server as the tests need it: on loopback, with JetStream in a temporary folder, stopped by process id. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager, type StreamInfo } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { freePorts } from './port.ts';
import { Program } from './process.ts';

export class NatsServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'skein-nats-'));
  readonly #config: string;
  #program: Program | undefined;
  /** 0 until the first start; then the same at each. */
  #port = 0;

  /** Not started yet. @param config further lines of its configuration, such as `authorization { … }` */
  constructor(config: string) {
    this.#config = config;
  }

  static async start(config = ''): Promise<NatsServer> {
    const server = new NatsServer(config);
    try {
      await server.start();
    } catch (error) {
      await server.remove();
      throw error;
    }
    return server;
  }

  /** A place for a server that does not run yet, at a port that was free. */
  static async reserve(): Promise<NatsServer> {
    const server = await NatsServer.start();
    await server.forget();
    return server;
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Starts, or starts again with its data and on its former port; started means that it serves. */
  async start(): Promise<void> {
    const path = join(this.folder, 'server.conf');
    const listen = `listen: "127.0.0.1:${this.#port === 0 ? -1 : this.#port}"`;
    writeFileSync(path, `${listen}\njetstream { store_dir: "${join(this.folder, 'data')}" }\n${this.#config}\n`);
    const program = new Program('nats-server', ['-c', path], { name: 'nats-server' });
    this.#program = program;
    const { text } = await program.waitForLog((line) => /Listening for client connections on/.test(line.text));
    this.#port = Number(/:(\d+)\s*$/.exec(text)?.[1]);
    // Alone it is ready now, in a cluster when it has found the others.
    await program.waitForLog((line) => /Server is ready/.test(line.text));
  }

  /** How many messages the stream of a bucket holds. */
  messages(bucket: string): Promise<number> {
    return askStream([this.address], bucket, ({ state }) => state.messages);
  }

  async kill(): Promise<void> {
    await this.#program?.kill();
  }

  /** Ends it and deletes what it kept: the next start is one of a new server. */
  async forget(): Promise<void> {
    await this.kill();
    rmSync(join(this.folder, 'data'), { recursive: true });
  }

  /** Ends it for good. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Servers that hold the state of each other; each starts again on its former ports. */
export class NatsCluster {
  readonly servers: readonly NatsServer[];

  private constructor(servers: readonly NatsServer[]) {
    this.servers = servers;
  }

  static async start(count: number): Promise<NatsCluster> {
    // Ports that were free a moment ago: a server must know those of the others before it starts.
    const ports = await freePorts(count);
    const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
    const servers = ports.map(
      (port, i) =>
        new NatsServer(`server_name: s${i}\ncluster { name: skein, listen: "127.0.0.1:${port}", routes: [${routes}] }`),
    );
    const cluster = new NatsCluster(servers);
    try {
      await Promise.all(servers.map((server) => server.start()));
    } catch (error) {
      await cluster.remove();
      throw error;
    }
    return cluster;
  }

  /** `host:port,…`. */
  get addresses(): string {
    return this.servers.map(({ address }) => address).join(',');
  }

  /** The server through which all changes of a bucket go now. */
  async leaderOf(bucket: string): Promise<NatsServer> {
    const leader = await askStream(this.addresses.split(','), bucket, ({ cluster }) => cluster?.leader);
    return this.servers[Number(leader?.slice(1))] as NatsServer;
  }

  /** Resolves when every server has all of the bucket: another one may be killed. */
  async whole(bucket: string): Promise<void> {
    const isWhole = ({ cluster }: StreamInfo): boolean =>
      cluster?.leader !== undefined && cluster.replicas?.every(({ current, offline }) => current && !offline) === true;
    // While they elect, they do not answer.
    while (!(await askStream(this.addresses.split(','), bucket, isWhole).catch(() => false)));
  }

  async remove(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.remove()));
  }
}

async function askStream<T>(servers: string[], bucket: string, read: (info: StreamInfo) => T): Promise<T> {
  const nats = await connectNats({ servers });
  try {
    return read(await (await jetstreamManager(nats)).streams.info(`KV_${bucket}`));
  } finally {
    await nats.close();
  }
}

/** A TCP line to a server, which can be cut: then it takes no connection either. */
export class TcpLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(server: Server, target: string) {
    this.#server = server;
    const { hostname, port } = new URL(`tcp://${target}`);
    server.on('connection', (near) => {
      if (this.#isCut) {
        near.destroy();
        return;
      }
      const far = connect(Number(port), hostname);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('error', () => undefined); // 'close' follows
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
  }

  static async to(target: string): Promise<TcpLine> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new TcpLine(server, target);
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
