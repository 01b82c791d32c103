/** Who has sent a request: the other end of its connection, or whom a proxy in front of this server names. */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { parseIp, parseIpEndpoint } from '../../core/ip.ts';
import { formatAddress } from './address.ts';

export interface ClientAddress {
  /** `address:port`, the port 0 where a proxy names none; undefined when the connection is gone. */
  readonly remoteAddress: string | undefined;
  /** A proxy has passed the request on, and its word is not trusted: the address is the proxy's. */
  readonly isProxied: boolean;
}

/** Fields by which proxies and CDNs show that they are one. */
const PROXY_FIELDS = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-real-ip',
  'cf-connecting-ip',
  'true-client-ip',
] as const;

export function readClientAddress({ socket, headers }: IncomingMessage, trustsProxy: boolean): ClientAddress {
  const remoteAddress = formatAddress(socket.remoteAddress, socket.remotePort);
  if (PROXY_FIELDS.every((name) => headers[name] === undefined)) return { remoteAddress, isProxied: false };
  const named = trustsProxy ? readForwarded(headers) : undefined;
  return named === undefined ? { remoteAddress, isProxied: true } : { remoteAddress: named, isProxied: false };
}

/** The last element of a list: the one that the proxy in front of us has written, the others anybody may have. */
function readForwarded({ forwarded, 'x-forwarded-for': list }: IncomingHttpHeaders): string | undefined {
  if (forwarded !== undefined) {
    const last = forwarded.split(',').at(-1) ?? '';
    // RFC 7239 §4 and §6: for="[2001:db8::1]:4711"
    return readNode(/(?:^|;)\s*for=(?:"([^"]*)"|([^;\s]*))/i.exec(last)?.slice(1).find(Boolean) ?? '');
  }
  const text = Array.isArray(list) ? list.join(',') : (list ?? '');
  return readNode(text.split(',').at(-1)?.trim() ?? '');
}

function readNode(text: string): string | undefined {
  const endpoint = parseIpEndpoint(text);
  if (endpoint !== undefined) return formatAddress(endpoint.ip, endpoint.port);
  const ip = parseIp(text.replace(/^\[(.*)\]$/, '$1'));
  return ip === undefined ? undefined : formatAddress(ip, 0);
}
