/** A member of a test mesh: the library's `Mesh` on a host behind a NAT. */

import { type Agent, createAgent } from '../agent/agent.ts';
import { ALL_PARTS } from '../agent/all-parts.ts';
import { type Mesh, toMesh } from '../agent/mesh.ts';
import type { AgentOptions } from '../agent/options.ts';
import type { Platform } from '../core/platform.ts';
import { toPacedMesh } from './paced-mesh.ts';
import { createHostPlatform, type World } from './test-world.ts';
import type { NatOptions } from './virtual-internet.ts';

/**
 * What is between a host and the others. `cone` keeps the port for all destinations and drops what strangers send; `resetting` answers
 * strangers with RST; `symmetric` takes another port for each destination; `public`: none, and the member listens; `blocked` lets
 * nothing pass but what goes to a hub.
 */
export type TestNat = 'blocked' | 'cone' | 'public' | 'resetting' | 'symmetric';

/** What a member of a test mesh is. */
export interface TestMemberOptions
  extends Pick<AgentOptions, 'limits' | 'middleware' | 'region' | 'router' | 'services' | 'zone'> {
  /** What it may serve, `name`; the first is its service account. */
  readonly services: readonly string[];
  /** Of its services. @default "default" */
  readonly namespace?: string;
  /** What is between it and the others. @default "cone" */
  readonly nat?: TestNat;
  /** From the host to the middle of the network, one way, in milliseconds. @default 10 */
  readonly latencyMs?: number;
  /** The part of its packets that is lost, from 0 to 1. @default 0 */
  readonly loss?: number;
}

/** A member of a test mesh. */
export interface TestMember extends Mesh {
  /** Its first service and the number in which it came: `api-1`. */
  readonly name: string;
  /** As others see it. */
  readonly ip: string;
  /** The way that records take to `other` now; undefined without a session. */
  pathTo(other: TestMember): 'direct' | 'relayed' | undefined;
}

const LATENCY_MS = 10;
/** Outer port of its links to hubs. */
const LINK_PORT = 5_000;
const LISTEN_PORT = 7_443;

const NATS: Readonly<Record<TestNat, Omit<NatOptions, 'ip'>>> = {
  blocked: {},
  cone: { mapping: 'preserving', strangers: 'dropped' },
  public: { mapping: 'preserving', strangers: 'reset' },
  resetting: { mapping: 'preserving', strangers: 'reset' },
  symmetric: { mapping: 'symmetric', strangers: 'dropped' },
};

export class MemberHost {
  /** Told when the member has left or was killed. */
  onClosed: () => void = () => undefined;
  readonly #world: World;
  readonly #name: string;
  readonly #ip: string;
  readonly #options: TestMemberOptions;
  #agent: Agent | undefined;
  #member: TestMember | undefined;

  constructor(world: World, number: number, options: TestMemberOptions) {
    const { services, latencyMs = LATENCY_MS, loss = 0 } = options;
    this.#world = world;
    this.#name = `${services[0]}-${number}`;
    this.#ip = `11.0.${number >> 8}.${number & 255}`;
    this.#options = options;
    world.conditions.setLatency(this.#ip, latencyMs);
    world.conditions.setLoss(this.#ip, loss);
  }

  /** @throws TypeError before `start` */
  get member(): TestMember {
    if (this.#member === undefined) throw new TypeError('Cannot use member: it has not joined');
    return this.#member;
  }

  async start(hub: readonly string[], token: string): Promise<void> {
    const { services, namespace: _1, nat = 'cone', latencyMs: _2, loss: _3, ...rest } = this.#options;
    const { internet, logOf, network, pace } = this.#world;
    const from = `${this.#ip}:${LINK_PORT}`;
    const local = nat === 'public' ? { localIp: this.#ip } : {};
    const sockets = internet.host({ ...NATS[nat], ...local, ip: this.#ip, oneWayMs: 0 });
    const platform: Platform = {
      ...createHostPlatform(this.#world),
      directSockets: nat === 'blocked' ? undefined : sockets,
      dialWebSocket: (url, options) => network.dialFrom(from, url, options),
    };
    const options: AgentOptions = { ...rest, hub, token, log: logOf(this.#name) };
    const agent = await createAgent(platform, options, ALL_PARTS);
    if (nat === 'public') {
      await sockets.listen({ host: '0.0.0.0', port: LISTEN_PORT }, (connection) => agent.direct.enter(connection));
      agent.direct.listensAt('0.0.0.0', LISTEN_PORT);
    }
    try {
      await agent.start();
    } catch (thrown) {
      agent.close();
      throw thrown;
    }
    this.#agent = agent;
    const mesh = toPacedMesh(toMesh(agent, options), pace);
    const close: Mesh['close'] = (closing) => mesh.close(closing).finally(() => this.onClosed());
    this.#member = {
      ...mesh,
      close,
      [Symbol.asyncDispose]: () => close(),
      name: this.#name,
      ip: this.#ip,
      pathTo: ({ instance }) => this.#pathTo(instance),
    };
  }

  kill(): void {
    this.#world.conditions.cut(this.#ip);
    this.#agent?.close();
    this.onClosed();
  }

  #pathTo(instance: string): 'direct' | 'relayed' | undefined {
    for (const peer of this.#agent?.peers.all() ?? []) {
      if (peer.instance !== instance || peer.session.activePath === undefined) continue;
      return peer.session.activePath.kind === 'direct' ? 'direct' : 'relayed';
    }
    return undefined;
  }
}
