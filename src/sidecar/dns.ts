/** The stub resolver: names of the mesh become loopback addresses on which their services answer; all others are asked elsewhere. */

import type { Agent } from '../agent/agent.ts';
import type { Endpoint } from '../catalog/endpoint.ts';
import type { Bytes } from '../core/bytes.ts';
import { toSkeinError } from '../core/errors.ts';
import type { LimitedLog } from '../core/limited-log.ts';
import { isMeshName, tryParseDestination } from '../router/destination.ts';
import type { DnsForwarder } from './dns-forwarder.ts';
import {
  DNS_CODE,
  DNS_TYPE,
  type DnsAnswer,
  type DnsCode,
  type DnsQuery,
  type DnsRecord,
  encodeDnsAnswer,
  encodeDnsRefusal,
  parseDnsQuery,
} from './dns-message.ts';
import type { VipListeners } from './vip-listeners.ts';

export interface DnsResolverOptions {
  readonly agent: Agent;
  readonly forwarder: DnsForwarder;
  readonly vips: VipListeners;
  readonly log: LimitedLog;
}

/** Short, because a service may come or go; the address itself stays. */
const TTL_SECONDS = 5;
const MAX_TCP_BYTES = 65_535;
/** `_http._tcp.` before a name asks for its ports (RFC 2782). */
const SRV_PREFIX = /^_[a-z0-9-]+\._(?:tcp|udp)\./;

export class DnsResolver {
  readonly #options: DnsResolverOptions;

  constructor(options: DnsResolverOptions) {
    this.#options = options;
  }

  /** The answer to a message, by UDP no longer than the asker takes; undefined when there is none. */
  async answer(message: Bytes, by: 'udp' | 'tcp'): Promise<Bytes | undefined> {
    const query = parseDnsQuery(message);
    if (query === undefined) return undefined;
    if (typeof query === 'number') return encodeDnsRefusal(message, query);
    const limit = by === 'udp' ? query.udpBytes : MAX_TCP_BYTES;
    if (isMeshName(query.name.replace(SRV_PREFIX, ''))) {
      return encodeDnsAnswer(query, await this.#resolve(query), limit);
    }
    try {
      const answer = await this.#options.forwarder.forward(query, message, by);
      return answer.length <= limit ? answer : encodeDnsAnswer(query, EMPTY, 0);
    } catch (thrown) {
      const { code, message: text } = toSkeinError(thrown);
      this.#options.log.log('warn', 'name-not-resolved', { name: query.name, error: text });
      return encodeDnsAnswer(
        query,
        toRefusal(code === 'SKEIN_REFUSED' ? DNS_CODE.refused : DNS_CODE.serverFailure),
        limit,
      );
    }
  }

  async #resolve({ name, type }: DnsQuery): Promise<DnsAnswer> {
    const { agent, log, vips } = this.#options;
    const host = name.replace(SRV_PREFIX, '');
    const destination = tryParseDestination(host, agent.names);
    // A service that nobody serves does not exist, whoever may call it: a name is no secret to be told by a refusal.
    if (destination === undefined) return toRefusal(DNS_CODE.noSuchName);
    try {
      const endpoints = await agent.endpointsOf(destination.service);
      if (endpoints.length === 0) return toRefusal(DNS_CODE.noSuchName);
      const ports = toPorts(endpoints);
      const address = await vips.open(destination.service, ports);
      const records = toRecords(type, address, ports, host);
      return { code: DNS_CODE.noError, records, ttlSeconds: TTL_SECONDS };
    } catch (thrown) {
      log.log('warn', 'name-not-resolved', { name, error: toSkeinError(thrown).message });
      return toRefusal(DNS_CODE.serverFailure);
    }
  }
}

const EMPTY: DnsAnswer = { code: DNS_CODE.noError, records: [], ttlSeconds: 0 };

function toRefusal(code: DnsCode): DnsAnswer {
  return { ...EMPTY, code };
}

function toPorts(endpoints: readonly Endpoint[]): number[] {
  return [...new Set(endpoints.map(({ port }) => port))].sort((a, b) => a - b);
}

/** There are no IPv6 addresses to give: most systems have one loopback address of that kind, and every service needs its own. */
function toRecords(type: number, address: string, ports: readonly number[], target: string): DnsRecord[] {
  if (type === DNS_TYPE.a) return [{ type: 'a', address }];
  return type === DNS_TYPE.srv ? ports.map((port) => ({ type: 'srv', port, target })) : [];
}
