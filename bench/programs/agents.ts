/** `agents.js HUB ADMIN_TOKEN`: as many agents as it is told to be, in one process (kit/membership.ts). */
import process from 'node:process';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { ALL_PARTS } from '../../src/agent/all-parts.ts';
import { createFetch } from '../../src/agent/fetch.ts';
import { createServeHandler } from '../../src/agent/serve.ts';
import { SILENT_LOGGER } from '../../src/core/log.ts';
import type { MessagePipe, Platform } from '../../src/core/platform.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { createToken, inTurn, now, serveCommands, spreadOf, untilTrue } from '../kit/members-process.ts';

const BODY = 'skein'.repeat(20);
const WINDOW_BYTES = 64 * 1024;

const [hub = '', adminToken = ''] = process.argv.slice(2);
const platform = nodePlatform();
const members: Member[] = [];
/** Made beforehand, for those who join next. */
const tokens: string[] = [];

class Member {
  readonly agent: Agent;
  connectedAtMs = 0;
  #pipe: MessagePipe | undefined;

  private constructor(agent: Agent, service: string) {
    this.agent = agent;
    const handler = createServeHandler(() => new Response(BODY), { log: SILENT_LOGGER, windowBytes: WINDOW_BYTES });
    agent.serve({ service, port: 80, labels: {}, target: { protocol: 'http', handler } });
    agent.events.on('connected', () => {
      this.connectedAtMs = now();
    });
  }

  static async join(service: string): Promise<Member> {
    let pipe: MessagePipe | undefined;
    let member: Member | undefined;
    const watched: Platform = {
      ...platform,
      dialWebSocket: async (url, options) => {
        pipe = await platform.dialWebSocket(url, options);
        if (member !== undefined) member.#pipe = pipe;
        return pipe;
      },
    };
    const token = tokens.shift() ?? (await createToken(hub, adminToken, service));
    const agent = await createAgent(watched, { hub, token }, ALL_PARTS);
    member = new Member(agent, `${service}.default`);
    await agent.start();
    member.#pipe = pipe;
    return member;
  }

  /** Drops its link. @returns milliseconds until a hub had taken it again */
  async cut(): Promise<number> {
    const since = now();
    this.#pipe?.terminate();
    await untilTrue(() => this.connectedAtMs > since, 1);
    return this.connectedAtMs - since;
  }

  async ask(service: string): Promise<void> {
    const reply = await createFetch(this.agent.outbound)(`http://${service}.mesh/`);
    const text = await reply.text();
    if (reply.status !== 200) throw new Error(`${service} answered ${reply.status}: ${text}`);
  }
}

await serveCommands({
  async prepare({ count }) {
    const first = members.length;
    const made = await Promise.all(
      Array.from({ length: count }, (_, i) => createToken(hub, adminToken, `s-${first + i}`)),
    );
    tokens.push(...made);
    return {};
  },

  async join({ count, service }) {
    const first = members.length;
    await inTurn(count, async (i) => {
      members[first + i] = await Member.join(service ?? `s-${first + i}`);
    });
    return {};
  },

  async cut() {
    const times: number[] = [];
    await inTurn(members.length, async (i) => times.push(await (members[i] as Member).cut()));
    return spreadOf(times);
  },

  async call({ first, count, service = '' }) {
    await inTurn(count, (i) => (members[first + i] as Member).ask(service));
    return {};
  },
});
