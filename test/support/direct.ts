/** Two sidecars in this process, `a` calling `b`, whose way to each other is looked at from inside. */
import type { TestContext } from 'node:test';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { ALL_PARTS } from '../../src/agent/all-parts.ts';
import type { DirectOptions } from '../../src/agent/direct/options.ts';
import type { DirectStatus } from '../../src/agent/direct-paths.ts';
import { createFetch } from '../../src/agent/fetch.ts';
import { createServeHandler } from '../../src/agent/serve.ts';
import type { ListenAddress, Listener, Platform } from '../../src/core/platform.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import type { Session } from '../../src/tunnel/session.ts';
import { EventLog, LocalMesh } from './local-mesh.ts';

export type End = 'a' | 'b';

export interface EndOptions extends DirectOptions {
  /** False: it cannot be dialled. @default any port of 127.0.0.1 */
  readonly listen?: ListenAddress | false;
  readonly isOff?: boolean;
  readonly platform?: Platform;
}

export class DirectPair {
  readonly mesh: LocalMesh;
  readonly logs: Readonly<Record<End, EventLog>>;
  readonly agents: Readonly<Record<End, Agent>>;

  private constructor(mesh: LocalMesh, agents: Record<End, Agent>, logs: Record<End, EventLog>) {
    this.mesh = mesh;
    this.agents = agents;
    this.logs = logs;
  }

  static async start(t: TestContext, options: Record<End, EndOptions>): Promise<DirectPair> {
    const mesh = await LocalMesh.start(t);
    const logs = { a: new EventLog(), b: new EventLog() };
    const make = async (end: End): Promise<Agent> => {
      const {
        listen = { host: '127.0.0.1', port: 0 },
        isOff = false,
        platform = nodePlatform(),
        ...direct
      } = options[end];
      const token = await mesh.token([end]);
      const agent = await createAgent(
        platform,
        {
          hub: mesh.hub.url,
          token,
          log: logs[end],
          direct: isOff ? false : direct,
        },
        ALL_PARTS,
      );
      t.after(() => agent.close());
      if (listen !== false) {
        const listener: Listener | undefined = await platform.directSockets?.listen(listen, (each) =>
          agent.direct.enter(each),
        );
        t.after(() => listener?.close());
        if (listener !== undefined) agent.direct.listensAt(listener.address.replace(/:\d+$/, ''), listener.port);
      }
      await agent.start();
      return agent;
    };
    const agents = { a: await make('a'), b: await make('b') };
    const handler = createServeHandler(
      async (request) => new Response(request.body === null ? 'hello' : await request.arrayBuffer()),
      { log: logs.b, windowBytes: 64 * 1024 },
    );
    const service = { service: 'b.default', port: 80, labels: {}, target: { protocol: 'http', handler } } as const;
    await agents.b.serve(service).registered;
    return new DirectPair(mesh, agents, logs);
  }

  /** A request of `a` to `b`; the answer holds its body, if it has one. */
  async ask(body?: Uint8Array<ArrayBuffer>): Promise<string> {
    const fetch = createFetch(this.agents.a.outbound);
    const reply = await fetch('http://b.mesh/', body === undefined ? {} : { method: 'POST', body });
    return reply.text();
  }

  /** The one session between the two. */
  sessionOf(end: End): Session {
    const [peer] = this.agents[end].peers.all();
    if (peer === undefined) throw new Error(`${end} has no session`);
    return peer.session;
  }

  status(end: End): DirectStatus | undefined {
    return this.agents[end].direct.status(this.sessionOf(end));
  }

  /** Both ends have said so `times` times. */
  async untilDirect(times = 1): Promise<void> {
    await Promise.all([this.logs.a.waitFor('direct-path', times), this.logs.b.waitFor('direct-path', times)]);
  }

  /** Asks until records of both ends take a path of that kind. */
  async askUntilOn(kind: 'direct' | 'relay'): Promise<void> {
    const isOn = (end: End): boolean =>
      this.sessionOf(end).paths.some((path) => path.kind === kind && path.state === 'active');
    while (!isOn('a') || !isOn('b')) await this.ask();
  }

  /** Bytes of records that the hub has passed on. */
  async relayedBytes(): Promise<number> {
    const text = await this.mesh.hub.metrics.render();
    return Number(/^skein_hub_relayed_bytes_total (\d+)$/m.exec(text)?.[1]);
  }
}
