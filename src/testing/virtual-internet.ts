/**
 * TCP between hosts behind NATs, on a virtual clock: SYNs take their time, open holes, meet strangers' doors, and are sent again
 * as Linux does. What is built on a connection is a `MemoryLink`.
 */
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { formatIpEndpoint } from '../core/ip.ts';
import type {
  DirectSockets,
  Doorkeeper,
  Listener,
  MessagePipe,
  RawConnection,
  RawConnectOptions,
} from '../core/platform.ts';
import type { MemoryLink } from './memory-pipe.ts';
import { hostOf, type NetworkConditions } from './network-conditions.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface NatOptions {
  /** Outer address. */
  readonly ip: string;
  /** @default "preserving" */
  readonly mapping?: 'preserving' | 'symmetric';
  /** What a SYN meets that nobody waits for. @default "dropped" */
  readonly strangers?: 'dropped' | 'reset';
  /** Address of the host itself; the outer one where there is no NAT. @default "10.9.9.9" */
  readonly localIp?: string;
  /** From here to the middle of the network. @default 10 */
  readonly oneWayMs?: number;
}

/** After the first SYN, in milliseconds: Linux doubles its 1 s. */
const RESENT_MS = [0, 1_000, 3_000];
const SERVER_ONE_WAY_MS = 5;

interface Dial {
  readonly from: Nat;
  readonly outerPort: number;
  readonly localPort: number;
  readonly to: string;
  /** Its SYN is out. */
  isOut: boolean;
  settle(result: RawConnection | SkeinError): void;
}

type Nat = Required<NatOptions>;
type Answer = (path: string, remoteAddress: string) => Promise<string | undefined>;

export class VirtualInternet {
  /** Places of peers that were dialled, in order: `from ip → to ip:port`. */
  readonly synsToPeers: string[] = [];
  /** How much later than it should the next dial from `ip` to a peer is. */
  readonly lateMs = new Map<string, number>();
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #conditions: NetworkConditions;
  readonly #dials = new Set<Dial>();
  /** Public servers that answer questions, by `ip:port`. */
  readonly #servers = new Map<string, Answer>();
  readonly #listeners = new Map<string, (connection: RawConnection) => void>();
  readonly #links: MemoryLink[] = [];
  readonly #nats = new Map<string, Nat>();

  constructor(clock: Clock, random: SeededRandom, conditions: NetworkConditions) {
    this.#clock = clock;
    this.#conditions = conditions;
    this.#random = random;
  }

  /** There is a server at `ip:port`. */
  serve(at: string, answer: Answer): void {
    this.#servers.set(at, answer);
  }

  /** SYNs between peers are lost from now on, as where both networks filter what is not the Web. */
  isBlocked = false;

  /** What is sent on connections between peers is lost from now on, and nobody is told. */
  silence(): void {
    for (const link of this.#links) link.blackhole();
  }

  /** Every connection between peers is lost. */
  cut(): void {
    for (const link of this.#links) link.cut();
  }

  /** The sockets of a host behind a NAT. */
  host(options: NatOptions): DirectSockets {
    const nat: Nat = { mapping: 'preserving', strangers: 'dropped', oneWayMs: 10, localIp: '10.9.9.9', ...options };
    this.#nats.set(nat.ip, nat);
    return {
      connect: (to) => this.#connect(nat, to),
      listen: async (at, onConnection): Promise<Listener> => {
        const address = `${nat.ip}:${at.port}`;
        this.#listeners.set(address, onConnection);
        return {
          address: `0.0.0.0:${at.port}`,
          port: at.port,
          close: async () => void this.#listeners.delete(address),
        };
      },
      localAddresses: () => [{ name: 'eth0', ip: nat.localIp }],
      hostKey: async () => undefined,
      isSlowAfterCrossing: async () => false,
    };
  }

  #connect(from: Nat, { host, port, localPort = this.#port(), signal }: RawConnectOptions): Promise<RawConnection> {
    const to = formatIpEndpoint({ ip: host, port });
    return new Promise((resolve, reject) => {
      const timers: Timer[] = [];
      const isPeer = !this.#servers.has(to) && !this.#listeners.has(to);
      const dial: Dial = {
        ...{ from, localPort, to, isOut: false },
        outerPort: from.mapping === 'symmetric' ? this.#port() : localPort,
        settle: (result) => {
          if (!this.#dials.delete(dial)) return;
          for (const timer of timers) timer.cancel();
          signal?.removeEventListener('abort', abort);
          if (result instanceof SkeinError) reject(result);
          else resolve(result);
        },
      };
      const abort = (): void => {
        this.#dials.delete(dial);
        for (const timer of timers) timer.cancel();
        reject(signal?.reason);
      };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', abort, { once: true });
      this.#dials.add(dial);
      const lateMs = isPeer ? (this.lateMs.get(from.ip) ?? 0) : 0;
      if (isPeer) {
        this.lateMs.delete(from.ip);
        this.synsToPeers.push(`${from.ip} → ${to}`);
      }
      for (const afterMs of RESENT_MS) timers.push(this.#clock.setTimer(lateMs + afterMs, () => this.#send(dial)));
    });
  }

  #send(dial: Dial): void {
    dial.isOut = true;
    const seenAs = formatIpEndpoint({ ip: dial.from.ip, port: dial.outerPort });
    const server = this.#servers.get(dial.to);
    if (server !== undefined) {
      const onceMs = dial.from.oneWayMs + SERVER_ONE_WAY_MS + this.#conditions.latencyMs(dial.from.ip, hostOf(dial.to));
      if (!this.#conditions.passes(dial.from.ip, hostOf(dial.to))) return;
      this.#clock.setTimer(2 * onceMs, () => dial.settle(this.#toServer(dial, seenAs, server, onceMs)));
      return;
    }
    const other = [...this.#dials].find(
      ({ from, outerPort }) => formatIpEndpoint({ ip: from.ip, port: outerPort }) === dial.to,
    );
    const toIp = hostOf(dial.to);
    const wayMs = dial.from.oneWayMs + (other?.from.oneWayMs ?? this.#oneWayOf(dial.to));
    const onceMs = wayMs + this.#conditions.latencyMs(dial.from.ip, toIp);
    this.#conditions.trace('dial', dial.from.ip, toIp);
    if (!this.#conditions.passes(dial.from.ip, toIp)) return;
    this.#clock.setTimer(onceMs, () => this.#arrive(dial, seenAs, onceMs));
  }

  /** A SYN is at the outer address it was sent to. */
  #arrive(dial: Dial, seenAs: string, onceMs: number): void {
    if (!this.#dials.has(dial) || this.isBlocked) return;
    const listener = this.#listeners.get(dial.to);
    if (listener !== undefined) {
      const [near, far] = this.#pair(dial.localPort, dial.to, this.#port(), seenAs, onceMs);
      listener(far);
      this.#clock.setTimer(onceMs, () => dial.settle(near));
      return;
    }
    const waiting = [...this.#dials].find(
      ({ from, outerPort, to, isOut }) =>
        isOut && to === seenAs && formatIpEndpoint({ ip: from.ip, port: outerPort }) === dial.to,
    );
    if (waiting !== undefined) {
      const [near, far] = this.#pair(dial.localPort, dial.to, waiting.localPort, seenAs, onceMs);
      waiting.settle(far);
      this.#clock.setTimer(onceMs, () => dial.settle(near));
    } else if (this.#resets(dial.to)) {
      const refused = new SkeinError('SKEIN_PEER_UNREACHABLE', `Cannot connect to ${dial.to}: connection refused`, {
        details: { systemCode: 'ECONNREFUSED' },
      });
      this.#clock.setTimer(onceMs, () => dial.settle(refused));
    }
  }

  #natOf(to: string): Nat | undefined {
    return this.#nats.get(hostOf(to));
  }

  #resets(to: string): boolean {
    return this.#natOf(to)?.strangers === 'reset';
  }

  #oneWayOf(to: string): number {
    return this.#natOf(to)?.oneWayMs ?? SERVER_ONE_WAY_MS;
  }

  #port(): number {
    return 20_000 + Math.floor(this.#random.ratio() * 40_000);
  }

  #toServer(dial: Dial, seenAs: string, answer: Answer, onceMs: number): RawConnection {
    let isClosed = false;
    return {
      localPort: dial.localPort,
      remoteAddress: dial.to,
      get: async (_authority, path) => {
        await new Promise<void>((resolve) => this.#clock.setTimer(2 * onceMs, resolve));
        const body = await answer(path, seenAs);
        if (body === undefined || isClosed) throw new SkeinError('SKEIN_PEER_UNREACHABLE', 'no answer');
        return body;
      },
      upgrade: () => Promise.reject(new SkeinError('SKEIN_PEER_UNREACHABLE', 'a server upgrades nothing here')),
      accept: () => Promise.reject(new SkeinError('SKEIN_PEER_UNREACHABLE', 'a server asks for nothing')),
      close: () => {
        isClosed = true;
      },
    };
  }

  /** Two ends of a connection between peers. */
  #pair(
    nearPort: number,
    nearSees: string,
    farPort: number,
    farSees: string,
    onceMs: number,
  ): [RawConnection, RawConnection] {
    const ends = [hostOf(farSees), hostOf(nearSees)] as const;
    const link = this.#conditions.connect(...ends, onceMs - this.#conditions.latencyMs(...ends));
    this.#links.push(link);
    let client: { ticket: string; resolve(pipe: MessagePipe): void; reject(error: SkeinError): void } | undefined;
    let server: { door: Doorkeeper; resolve(pipe: MessagePipe): void; reject(error: SkeinError): void } | undefined;
    let question: { path: string; answer(body: string | undefined): void } | undefined;
    let pipes: { client: MessagePipe; server: MessagePipe } | undefined;
    let isClosed = false;
    const closed = (): SkeinError => new SkeinError('SKEIN_PEER_UNREACHABLE', 'Cannot use connection: it was closed');
    const close = (): void => {
      isClosed = true;
      link.cut();
      client?.reject(closed());
      server?.reject(closed());
    };
    const meet = (): void => {
      if (question !== undefined && server !== undefined) {
        question.answer(server.door.answer(question.path));
        question = undefined;
      }
      if (client === undefined || server === undefined || pipes === undefined) return;
      if (!server.door.admit(client.ticket)) return close();
      server.resolve(pipes.server);
      const { resolve } = client;
      this.#clock.setTimer(onceMs, () => pipes && resolve(pipes.client));
    };
    const end = (localPort: number, remoteAddress: string, own: MessagePipe, other: MessagePipe): RawConnection => ({
      localPort,
      remoteAddress,
      get: (_authority, path) =>
        new Promise((resolve, reject) => {
          const answer = (body: string | undefined): void => {
            this.#clock.setTimer(onceMs, () => (body === undefined || isClosed ? reject(closed()) : resolve(body)));
          };
          question = { path, answer };
          this.#clock.setTimer(onceMs, meet);
        }),
      upgrade: (ticket) =>
        new Promise((resolve, reject) => {
          if (isClosed) return reject(closed());
          client = { ticket, resolve, reject };
          pipes = {
            client: withRemoteAddress(own, remoteAddress),
            server: withRemoteAddress(other, remoteAddress === nearSees ? farSees : nearSees),
          };
          this.#clock.setTimer(onceMs, meet);
        }),
      accept: (door) =>
        new Promise((resolve, reject) => {
          if (isClosed) return reject(closed());
          server = { door, resolve, reject };
          meet();
        }),
      close,
    });
    return [end(nearPort, nearSees, link.a, link.b), end(farPort, farSees, link.b, link.a)];
  }
}

/** The pipe with another name for the other end. */
export function withRemoteAddress(pipe: MessagePipe, remoteAddress: string): MessagePipe {
  return {
    remoteAddress,
    isProxied: false,
    get outstandingBytes() {
      return pipe.outstandingBytes;
    },
    attach: (events) => pipe.attach(events),
    send: (message) => pipe.send(message),
    close: (code, reason) => pipe.close(code, reason),
    terminate: () => pipe.terminate(),
  };
}
