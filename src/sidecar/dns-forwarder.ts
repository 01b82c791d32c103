/** `DnsForwarder`: questions about other names go, as they came, to the name servers that this machine uses otherwise. */

import { type Bytes, concatBytes, decodeUtf8, EMPTY } from '../core/bytes.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { isLoopbackAddress } from '../core/loopback.ts';
import type { DatagramSocket, Files, ListenAddress, Platform } from '../core/platform.ts';
import type { Random } from '../core/random.ts';
import { type DnsQuery, isDnsAnswerTo, takeDnsFrame, toDnsFrame, withDnsId } from './dns-message.ts';

export interface DnsForwarderOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files | undefined;
  readonly bindUdp: NonNullable<Platform['bindUdp']>;
  readonly connectTcp: NonNullable<Platform['connectTcp']>;
  /** Where questions come in: a name server there would be this one. */
  readonly own: ListenAddress;
  /** Name servers; without them those of the resolver configuration of this machine. */
  readonly servers: readonly ListenAddress[] | undefined;
}

const CONFIGURATION = '/etc/resolv.conf';
/** The configuration is read again after this: a laptop changes networks. */
const CONFIGURATION_MS = 5_000;
const DNS_PORT = 53;
/** As the resolver of glibc: so many servers, and a wait of so long for each but the last. */
const MAX_SERVERS = 3;
const TIMEOUT_MS = 2_000;
/** Questions on their way; more are refused, because each holds a socket. */
const MAX_PENDING = 256;

export class DnsForwarder {
  readonly #options: DnsForwarderOptions;
  #servers: readonly ListenAddress[] = [];
  #readMs = Number.NEGATIVE_INFINITY;
  #pending = 0;

  constructor(options: DnsForwarderOptions) {
    this.#options = options;
  }

  /**
   * The first answer that a server gives to `message`, under its id.
   * @throws SkeinError SKEIN_LIMIT, SKEIN_REFUSED without a server, SKEIN_DEADLINE
   */
  async forward(query: DnsQuery, message: Bytes, by: 'udp' | 'tcp'): Promise<Bytes> {
    if (this.#pending >= MAX_PENDING) throw new SkeinError('SKEIN_LIMIT', 'Cannot ask name server: too many questions');
    this.#pending++;
    try {
      const servers = await this.#findServers();
      if (servers.length === 0) throw new SkeinError('SKEIN_REFUSED', 'Cannot ask name server: none is configured');
      for (const server of servers) {
        const answer = await (by === 'udp'
          ? this.#ask(server, query, message)
          : this.#askByTcp(server, query, message));
        if (answer !== undefined) return withDnsId(answer, query.id);
      }
      throw new SkeinError('SKEIN_DEADLINE', 'Cannot ask name server: no answer in time');
    } finally {
      this.#pending--;
    }
  }

  /** A socket and an id of its own for each question: who wants to forge an answer has to guess both (RFC 5452 §9). */
  async #ask(server: ListenAddress, { question }: DnsQuery, message: Bytes): Promise<Bytes | undefined> {
    const { bindUdp, clock, random } = this.#options;
    const [high = 0, low = 0] = random.bytes(2);
    const id = (high << 8) | low;
    let settle: (answer: Bytes | undefined) => void = () => undefined;
    const answered = new Promise<Bytes | undefined>((resolve) => {
      settle = resolve;
    });
    const timer: Timer = clock.setTimer(TIMEOUT_MS, () => settle(undefined));
    let socket: DatagramSocket | undefined;
    try {
      socket = await bindUdp({ host: server.host.includes(':') ? '::' : '0.0.0.0', port: 0 }, (answer, from) => {
        if (from.port === server.port && isDnsAnswerTo(answer, id, question)) settle(answer);
      });
      socket.send(withDnsId(message, id), server);
      return await answered;
    } finally {
      timer.cancel();
      socket?.close();
    }
  }

  #askByTcp(server: ListenAddress, { id, question }: DnsQuery, message: Bytes): Promise<Bytes | undefined> {
    const { clock, connectTcp } = this.#options;
    return new Promise((resolve) => {
      const stream = connectTcp({ ...server, timeoutMs: TIMEOUT_MS });
      let received: Bytes = EMPTY;
      const settle = (answer: Bytes | undefined): void => {
        timer.cancel();
        stream.reset(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the name server was heard'));
        resolve(answer);
      };
      const timer = clock.setTimer(TIMEOUT_MS, () => settle(undefined));
      stream.attach({
        onData: (chunk) => {
          received = concatBytes(received, chunk);
          stream.consumed(chunk.length);
          const answer = takeDnsFrame(received);
          if (answer !== undefined) settle(isDnsAnswerTo(answer, id, question) ? answer : undefined);
        },
        onEnd: () => settle(undefined),
        onDrain: () => undefined,
        onReset: () => settle(undefined),
      });
      stream.write(toDnsFrame(message));
    });
  }

  async #findServers(): Promise<readonly ListenAddress[]> {
    const { clock, files, own, servers } = this.#options;
    if (servers !== undefined) return servers;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#readMs < CONFIGURATION_MS) return this.#servers;
    this.#readMs = nowMs;
    const content = await files?.read(CONFIGURATION).catch(() => undefined);
    this.#servers = parseNameServers(content === undefined ? '' : decodeUtf8(content))
      .map((host) => ({ host, port: DNS_PORT }))
      .filter(({ host, port }) => port !== own.port || !isLoopbackAddress(host))
      .slice(0, MAX_SERVERS);
    return this.#servers;
  }
}

/** The addresses in a resolv.conf(5). */
export function parseNameServers(text: string): string[] {
  return text.split('\n').flatMap((line) => /^\s*nameserver\s+([0-9a-fA-F.:]+)(?:%\S+)?\s*$/.exec(line)?.[1] ?? []);
}
