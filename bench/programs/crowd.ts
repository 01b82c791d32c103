/**
 * `crowd.js HUB ADMIN_TOKEN`: ten thousand members of a mesh in one process (kit/crowd.ts). Each speaks the whole protocol to the hub
 * with our own link, session and control channel, as an agent does when it joins: enrols, registers a service, names what it
 * watches, follows the audit log; and it comes back with an agent's patience. What an agent does beside that costs the hub nothing.
 */
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { AGENT_LIMITS } from '../../src/agent/options.ts';
import { tryParseCompactJws } from '../../src/auth/compact-jws.ts';
import { TicketBook } from '../../src/auth/resume-tickets.ts';
import { Backoff } from '../../src/core/backoff.ts';
import { toSkeinError } from '../../src/core/errors.ts';
import type { MessagePipe, MessagePipeEvents } from '../../src/core/platform.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { createIdentity, HubClient, type Identity } from '../../test/support/hub-client.ts';
import type { Told, Traffic } from '../kit/crowd.ts';
import { createToken, inTurn, now, serveCommands, spreadOf, untilTrue } from '../kit/members-process.ts';

/** A hub that has not let a member in by then will not: it gives strangers 2 s, and those whom it knows 5 s. */
const CONNECT_MS = 8_000;
/** As `agent/uplink.ts` has them: part of the time away that one waits at most, and how much later than it is asked one comes back. */
const WAIT_OF_AWAY = 0.25;
const WAIT_WHILE_ABSENT = 0.1;
const FULL_SPREAD_MS = 2_000;
/** Others who were told by mistake have shown by then. */
const AFTERMATH_MS = 1_000;

const [hub = '', adminToken = ''] = process.argv.slice(2);
const platform = nodePlatform();
const members: Member[] = [];

class Member {
  readonly service: string;
  /** When it was a whole member again, in epoch milliseconds; NaN while it is none. */
  backAtMs = Number.NaN;
  /** Messages of the hub since somebody set it to 0. */
  bytes = 0;
  messages = 0;
  readonly #identity: Identity;
  /** The last entry of the audit log that it has read; undefined before the first look. */
  #audited: number | undefined;
  #client: HubClient | undefined;
  /** The connection is over. */
  #lost: Promise<void> = Promise.resolve();

  private constructor(service: string, identity: Identity) {
    this.service = service;
    this.#identity = identity;
  }

  static async join(service: string): Promise<Member> {
    const identity = await createIdentity();
    identity.tickets = new TicketBook(platform.clock);
    const member = new Member(service, identity);
    await member.#comeIn(await createToken(hub, adminToken, service.replace('.default', '')));
    void member.#stay();
    return member;
  }

  watch(service: string): Promise<void> | undefined {
    return this.#client?.watch.add(service);
  }

  async tellHealth(healthy: boolean): Promise<void> {
    const { instance } = this.#identity;
    const services = [{ service: this.service, port: 80, protocol: 'http' as const, healthy }];
    await this.#client?.channel.call('register', { instance, services });
  }

  /** Drops what it was told so far. */
  forget(): void {
    this.bytes = 0;
    this.messages = 0;
    if (this.#client !== undefined) this.#client.pushes.length = 0;
  }

  /** Was it told of a change, and not only that all is as it was? */
  get isTold(): boolean {
    return this.#client?.pushes.some(({ upserts, removals }) => upserts.length + removals.length > 0) ?? false;
  }

  async #connect(token?: string): Promise<void> {
    let dialled: MessagePipe | undefined;
    let ended: () => void = () => undefined;
    this.#lost = new Promise((resolve) => {
      ended = resolve;
    });
    const dial = async (url: string): Promise<MessagePipe> => {
      const pipe = await platform.dialWebSocket(url);
      const attach = pipe.attach.bind(pipe);
      pipe.attach = (events) => attach(this.#watch(events, ended));
      dialled = pipe;
      return pipe;
    };
    const late = new AbortController();
    const given = wait(CONNECT_MS, undefined, { signal: late.signal }).then(() => {
      dialled?.terminate();
      throw new Error('The hub did not let this member in');
    });
    try {
      await Promise.race([given, this.#enter(dial, token)]);
    } finally {
      late.abort();
      given.catch(() => undefined);
    }
  }

  async #enter(dial: (url: string) => Promise<MessagePipe>, token: string | undefined): Promise<void> {
    const client = await HubClient.connect(platform, hub, this.#identity, token, dial);
    this.#client = client;
    await client.register(this.service);
    await client.watch.attach(client.channel);
    client.onAudit = () => void this.#followAudit(client).catch(() => undefined); // it comes back, and looks then
    await this.#followAudit(client);
    this.backAtMs = now();
  }

  /** Reads what is new of the audit log, as an agent does; what that says costs the hub nothing. */
  async #followAudit({ channel }: HubClient): Promise<void> {
    for (;;) {
      const after = this.#audited ?? Number.MAX_SAFE_INTEGER;
      const { base, head, stretches } = await channel.call('audit', { after });
      const { seq } = tryParseCompactJws(head)?.claims ?? {};
      this.#audited = stretches.at(-1)?.seq ?? base.seq;
      if (typeof seq !== 'number' || this.#audited >= seq) return;
    }
  }

  #watch(events: MessagePipeEvents, lost: () => void): MessagePipeEvents {
    return {
      onMessage: (message) => {
        this.bytes += message.length;
        this.messages++;
        events.onMessage(message);
      },
      onProgress: () => events.onProgress(),
      onClose: (code, reason) => {
        events.onClose(code, reason);
        lost();
      },
    };
  }

  /** Comes back whenever the hub is lost. */
  async #stay(): Promise<void> {
    for (;;) {
      await this.#lost;
      this.backAtMs = Number.NaN;
      await this.#comeIn();
    }
  }

  /** As often as it takes; waits between as an agent does. `token`: for as long as it has no identity. */
  async #comeIn(token?: string): Promise<void> {
    const { reconnectBaseMs, reconnectCapMs } = AGENT_LIMITS;
    const backoff = new Backoff(platform.random, { baseMs: reconnectBaseMs, capMs: reconnectCapMs });
    const sinceMs = performance.now();
    for (let [askedMs, share] = [0, WAIT_OF_AWAY]; ; ) {
      const awayMs = performance.now() - sinceMs;
      await wait(Math.max(backoff.nextMs(awayMs * share), askedMs));
      try {
        await this.#connect(this.#identity.wit === '' ? token : undefined);
        return;
      } catch (thrown) {
        const { retryAfterMs, systemCode } = toSkeinError(thrown).details;
        askedMs = typeof retryAfterMs === 'number' ? retryAfterMs + platform.random.ratio() * FULL_SPREAD_MS : 0;
        share = systemCode === 'ECONNREFUSED' ? WAIT_WHILE_ABSENT : WAIT_OF_AWAY;
      }
    }
  }
}

await serveCommands({
  async join({ count }) {
    const started = performance.now();
    const first = members.length;
    await inTurn(count - first, async (i) => {
      members[first + i] = await Member.join(`s-${first + i}.default`);
    });
    return { seconds: (performance.now() - started) / 1000 };
  },

  async watch({ count, service = '' }) {
    await inTurn(count, async (i) => members[i]?.watch(service));
    return {};
  },

  async count(): Promise<Traffic> {
    const sum = (of: (member: Member) => number) => members.reduce((total, member) => total + of(member), 0);
    const traffic = { bytes: sum(({ bytes }) => bytes), messages: sum(({ messages }) => messages) };
    for (const member of members) member.forget();
    return traffic;
  },

  async returned({ sinceMs }) {
    await untilTrue(() => members.every(({ backAtMs }) => backAtMs > sinceMs), 50);
    return spreadOf(members.map(({ backAtMs }) => backAtMs - sinceMs));
  },

  async change({ of, watchers, healthy }): Promise<Told> {
    const changed = members[of] as Member;
    const others = members.filter((member) => member !== changed);
    for (const member of others) member.forget();
    const waiting = new Set(others.slice(0, watchers));
    const since = now();
    const times: number[] = [];
    let maxBytes = 0;
    await changed.tellHealth(healthy);
    await untilTrue(() => {
      for (const member of waiting) {
        if (!member.isTold) continue;
        waiting.delete(member);
        times.push(now() - since);
        maxBytes = Math.max(maxBytes, member.bytes);
      }
      return waiting.size === 0;
    }, 1);
    await wait(AFTERMATH_MS);
    return { members: others.filter(({ isTold }) => isTold).length, maxBytes, ...spreadOf(times) };
  },
});
