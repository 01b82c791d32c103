/**
 * `members.js HUB ADMIN_TOKEN`: as many members of a mesh as it is told to be (kit/membership.ts), in one process. Each is an agent
 * as the library makes it; only the pipe below it is looked at, to count bytes and to cut it.
 */
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { createFetch } from '../../src/agent/fetch.ts';
import { createServeHandler } from '../../src/agent/serve.ts';
import { SILENT_LOGGER } from '../../src/core/log.ts';
import type { MessagePipe, MessagePipeEvents, Platform } from '../../src/core/platform.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import type { Spread, Told } from '../kit/membership.ts';

/** Newcomers at once: what the hub takes of one address without making the oldest wait. */
const JOINING_AT_ONCE = 64;
/** Others who were told by mistake have shown by then. */
const AFTERMATH_MS = 1_000;
const DONE = { done: true };
const BODY = 'skein'.repeat(20);

const [hub = '', adminToken = ''] = process.argv.slice(2);
const platform = nodePlatform();
const members: Member[] = [];

class Member {
  readonly agent: Agent;
  readonly serves: { setHealthy(healthy: boolean): void };
  /** When a hub took it last, and when a push last changed its catalogue; epoch milliseconds. */
  connectedAtMs = 0;
  changedAtMs = 0;
  bytes = 0;
  isHealthy = true;
  #pipe: MessagePipe | undefined;

  private constructor(agent: Agent, service: string) {
    this.agent = agent;
    const handler = createServeHandler(() => new Response(BODY), { log: SILENT_LOGGER, windowBytes: 64 * 1024 });
    this.serves = agent.serve({ service, port: 80, labels: {}, target: { protocol: 'http', handler } });
    agent.events.on('connected', () => {
      this.connectedAtMs = now();
    });
    const { mirror } = agent;
    const receive = mirror.receive.bind(mirror);
    mirror.receive = (push, channel) => {
      receive(push, channel);
      if (push.upserts.length + push.removals.length > 0) this.changedAtMs = now();
    };
  }

  static async join(service: string): Promise<Member> {
    const token = await createToken(service);
    let member: Member | undefined;
    const counting: Platform = {
      ...platform,
      dialWebSocket: async (url, options) => {
        const pipe = await platform.dialWebSocket(url, options);
        const attach = pipe.attach.bind(pipe);
        pipe.attach = (events) => attach(countBytes(events, (bytes) => member?.onBytes(bytes)));
        member?.onPipe(pipe);
        return pipe;
      },
    };
    const agent = await createAgent(counting, { hub, token });
    member = new Member(agent, `${service}.default`);
    await agent.start();
    return member;
  }

  onBytes(bytes: number): void {
    this.bytes += bytes;
  }

  onPipe(pipe: MessagePipe): void {
    this.#pipe = pipe;
  }

  cut(): void {
    this.#pipe?.terminate();
  }

  async ask(service: string): Promise<void> {
    const reply = await createFetch(this.agent.outbound)(`http://${service}.mesh/`);
    const text = await reply.text();
    if (reply.status !== 200) throw new Error(`${service} answered ${reply.status}: ${text}`);
  }
}

function countBytes(events: MessagePipeEvents, count: (bytes: number) => void): MessagePipeEvents {
  return {
    onMessage: (message) => {
      count(message.length);
      events.onMessage(message);
    },
    onProgress: () => events.onProgress(),
    onClose: (code, reason) => events.onClose(code, reason),
  };
}

async function createToken(service: string): Promise<string> {
  const response = await fetch(`${hub.replace(/^ws/, 'http')}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ services: [service] }),
  });
  if (!response.ok) throw new Error(`The hub made no token: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { token: string }).token;
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

async function untilTrue(holds: () => boolean): Promise<void> {
  while (!holds()) await wait(10);
}

function spreadOf(times: readonly number[]): Spread {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) =>
    Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(1));
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

/** Some at a time, in the order of `count`. */
async function inTurn(count: number, once: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const track = async () => {
    while (next < count) await once(next++);
  };
  await Promise.all(Array.from({ length: JOINING_AT_ONCE }, track));
}

async function returned(sinceMs: number): Promise<Spread> {
  await untilTrue(() =>
    members.every(({ agent, connectedAtMs }) => connectedAtMs > sinceMs && agent.hub !== undefined),
  );
  return spreadOf(members.map(({ connectedAtMs }) => connectedAtMs - sinceMs));
}

interface Command {
  readonly id: number;
  readonly do: string;
  readonly count: number;
  readonly first: number;
  readonly of: number;
  readonly watchers: number;
  readonly sinceMs: number;
  readonly service?: string;
}

const COMMANDS: Readonly<Record<string, (command: Command) => Promise<object>>> = {
  async join({ count, service }) {
    const started = performance.now();
    const first = members.length;
    await inTurn(count, async (i) => {
      members[first + i] = await Member.join(service ?? `s-${first + i}`);
    });
    return { seconds: (performance.now() - started) / 1000 };
  },

  async watch({ count, service = '' }) {
    await inTurn(count, async (i) => {
      await members[i]?.agent.endpointsOf(`${service}.default`);
      members[i]?.agent.watch(`${service}.default`);
    });
    return DONE;
  },

  returned: ({ sinceMs }) => returned(sinceMs),

  async cut() {
    const times: number[] = [];
    await inTurn(members.length, async (i) => {
      const member = members[i] as Member;
      const since = now();
      member.cut();
      await untilTrue(() => member.connectedAtMs > since);
      times.push(member.connectedAtMs - since);
    });
    return spreadOf(times);
  },

  async change({ of, watchers }): Promise<Told> {
    const changed = members[of] as Member;
    const others = members.filter((member) => member !== changed);
    for (const member of others) member.bytes = 0;
    const since = now();
    changed.isHealthy = !changed.isHealthy;
    changed.serves.setHealthy(changed.isHealthy);
    const isTold = ({ changedAtMs }: Member) => changedAtMs >= since;
    const watching = others.slice(0, watchers);
    let maxBytes = 0;
    await untilTrue(() => watching.every(isTold));
    for (const { bytes } of watching) maxBytes = Math.max(maxBytes, bytes);
    await wait(AFTERMATH_MS);
    const told = others.filter(isTold);
    return {
      members: told.length,
      watchers: told.filter((member) => watching.includes(member)).length,
      maxBytes,
      ...spreadOf(watching.map(({ changedAtMs }) => changedAtMs - since)),
    };
  },

  async call({ first, count, service = '' }) {
    await inTurn(count, (i) => (members[first + i] as Member).ask(service));
    return DONE;
  },
};

process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'members', addresses: {} })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  const run = COMMANDS[command.do];
  if (run === undefined) throw new RangeError(`Unknown command: ${command.do}`);
  process.stdout.write(`${JSON.stringify({ id: command.id, ...(await run(command)) })}\n`);
}
