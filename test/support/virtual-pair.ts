/** Two members behind NATs, a hub and a public member, on a virtual clock: `a` has a session with `b`, and both look for a direct path. */
import type { TestContext } from 'node:test';
import type { Agent } from '../../src/agent/agent.ts';
import type { DirectLimits } from '../../src/agent/direct/options.ts';
import type { DirectStatus } from '../../src/agent/direct-paths.ts';
import type { DirectSockets, Platform } from '../../src/core/platform.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { type NatOptions, VirtualInternet } from '../../src/testing/virtual-internet.ts';
import type { Session } from '../../src/tunnel/session.ts';
import type { EventLog } from './event-log.ts';
import { RecordingHandler } from './http.ts';
import { VirtualMesh } from './virtual-mesh.ts';

export type End = 'a' | 'b';

type Change = (sockets: DirectSockets) => Partial<DirectSockets>;

export interface PairOptions {
  readonly a?: Partial<NatOptions>;
  readonly b?: Partial<NatOptions>;
  /** Of the sockets of one end. */
  readonly changes?: Partial<Record<End, Change>>;
  readonly limits?: Partial<DirectLimits>;
  /** Of one end, in place of these. */
  readonly limitsOf?: Partial<Record<End, Partial<DirectLimits>>>;
  /** Is there a second one that tells members where they are seen? @default true */
  readonly hasPublicMember?: boolean;
  /** @default true */
  readonly isSeenByHub?: boolean;
}

const HUB = '10.0.0.1:7000';
const PUBLIC_IP = '203.0.113.20';
export const IPS: Readonly<Record<End, string>> = { a: '198.51.100.2', b: '192.0.2.2' };
const LINK_PORT = 5000;

export class VirtualPair {
  readonly mesh: VirtualMesh;
  readonly internet: VirtualInternet;
  readonly agents = {} as Record<End, Agent>;
  readonly logs = {} as Record<End, EventLog>;

  private constructor(t: TestContext) {
    const random = new SeededRandom(7);
    this.mesh = new VirtualMesh(t, random);
    this.internet = new VirtualInternet(this.mesh.clock, random, this.mesh.conditions);
  }

  static async start(t: TestContext, options: PairOptions = {}): Promise<VirtualPair> {
    const pair = new VirtualPair(t);
    const { mesh, internet } = pair;
    mesh.network.latencyMs = 17;
    await mesh.startHub();
    internet.serve(HUB, (path, from) => mesh.clock.track(mesh.network.ask(HUB, path, from)));
    if (options.hasPublicMember !== false) await pair.#join('public', { ip: PUBLIC_IP }, undefined, true, {});
    for (const end of ['a', 'b'] as const) {
      const { isSeenByHub = true, limits = {}, limitsOf = {}, changes = {} } = options;
      const nat = { ip: IPS[end], ...options[end] };
      const made = await pair.#join(end, nat, changes[end], isSeenByHub, limitsOf[end] ?? limits);
      pair.agents[end] = made.agent;
      pair.logs[end] = made.log;
    }
    await pair.#serve(pair.agents.b, 'b');
    return pair;
  }

  /** A further member behind a NAT of its own, that serves `name`. */
  async add(name: string, ip: string, limits: Partial<DirectLimits> = {}): Promise<Agent> {
    const { agent } = await this.#join(name, { ip }, undefined, true, limits);
    await this.#serve(agent, name);
    return agent;
  }

  /** A request to `service`. @param from whose @default that of `a` */
  async ask(service = 'b', from = this.agents.a): Promise<string> {
    return (await this.mesh.ask(from, { authority: `${service}.mesh` })).text;
  }

  sessionOf(end: End): Session {
    const [peer] = this.agents[end].peers.all();
    if (peer === undefined) throw new Error(`${end} has no session`);
    return peer.session;
  }

  status(end: End): DirectStatus | undefined {
    return this.agents[end].direct.status(this.sessionOf(end));
  }

  get isDirect(): boolean {
    return this.status('a')?.state === 'direct' && this.status('b')?.state === 'direct';
  }

  /** The NAT of an end forgets its connections: to its hub, and to the other end. */
  forgetNat(end: End): void {
    this.internet.silence();
    this.mesh.network.forget(`${IPS[end]}:${LINK_PORT}`);
  }

  /** Lets time pass until both ends have a direct path. @returns after how long, in milliseconds */
  async untilDirect(limitMs = 20_000): Promise<number> {
    const { clock } = this.mesh;
    const startedMs = clock.monotonicMs();
    await this.mesh.until(() => this.isDirect, limitMs);
    return clock.monotonicMs() - startedMs;
  }

  async #serve(agent: Agent, service: string): Promise<void> {
    const handler = new RecordingHandler((request) => request.answer(200, 'hello'));
    await this.mesh.serve(agent, `${service}.default`, { protocol: 'http', handler });
  }

  async #join(
    name: string,
    nat: NatOptions,
    change: Change | undefined,
    isSeen: boolean,
    limits: Partial<DirectLimits>,
  ): Promise<{ agent: Agent; log: EventLog }> {
    const { mesh, internet } = this;
    const sockets = internet.host(nat);
    const directSockets = { ...sockets, ...change?.(sockets) };
    const platform: Platform = {
      ...mesh.platform,
      directSockets,
      dialWebSocket: (url, options) => mesh.network.dialFrom(isSeen ? `${nat.ip}:${LINK_PORT}` : '', url, options),
    };
    // The session lasts as long as the test, whether it is used or not.
    const options = { token: await mesh.token(name), direct: { limits }, limits: { idleSessionMs: 48 * 3_600_000 } };
    const made = await mesh.createAgent(options, platform);
    if (name === 'public') {
      const { agent } = made;
      await directSockets.listen({ host: '0.0.0.0', port: 7443 }, (connection) => agent.direct.enter(connection));
      agent.direct.listensAt('0.0.0.0', 7443);
    }
    await mesh.run(made.agent.start());
    return made;
  }
}
