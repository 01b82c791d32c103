/** Candidates: where this member can be dialled, and which places a peer may make it dial. What a peer says is data, never an order. */

import { type Candidate, type CandidateKind, MAX_CANDIDATES } from '../../control/signal.ts';
import { classifyIp, formatIpEndpoint, type IpEndpoint, parseIpEndpoint } from '../../core/ip.ts';
import type { LocalAddress } from '../../core/platform.ts';

/** Where the hub sees the two ends of a circuit. */
export interface Vantage {
  /** Undefined when the hub sees no addresses, or there is none. */
  readonly own?: string | undefined;
  readonly peer?: string | undefined;
  /** Both have been configured to be in one private network. */
  readonly isSameNetwork: boolean;
}

export interface Reach {
  /** Where the listener is bound, or undefined. */
  readonly listener: IpEndpoint | undefined;
  readonly advertise: IpEndpoint | undefined;
  readonly local: readonly LocalAddress[];
}

/** Ports below are those of services that trust whoever comes from inside. */
const LEAST_PORT = 1024;
/** Interfaces of containers and virtual machines: their addresses are the same on many hosts, and lead nowhere. */
const INNER_INTERFACES = /^(?:docker|br-|veth|virbr|cni|flannel|cali|lxc|podman)/;
const ORDER: Readonly<Record<CandidateKind, number>> = { host: 0, network: 1, public: 2 };

/** Candidates to offer to the peer. */
export function gatherCandidates({ listener, advertise, local }: Reach, vantage: Vantage): Candidate[] {
  if (listener === undefined) return [];
  const { own, peer } = vantage;
  const addresses = local.filter(({ name }) => !INNER_INTERFACES.test(name)).map(({ ip }) => ip);
  const covered = addresses.filter((ip) => covers(listener.ip, ip));
  const found: Candidate[] = [];
  const add = (kind: CandidateKind, ip: string, port = listener.port): void => {
    found.push({ kind, address: formatIpEndpoint({ ip, port }) });
  };
  const home = ['127.0.0.1', '::1'].find((ip) => covers(listener.ip, ip));
  if (home !== undefined && (own === undefined || peer === undefined || own === peer)) add('host', home);
  if (sharesNetwork(vantage)) {
    for (const ip of covered) if (classifyIp(ip) === 'private') add('network', ip);
  } else if (isInside(own) && isInside(peer) && covered.includes(own)) add('network', own);
  if (advertise !== undefined) add('public', advertise.ip, advertise.port);
  else if (own !== undefined && classifyIp(own) === 'public' && covered.includes(own)) add('public', own);
  return found.slice(0, MAX_CANDIDATES);
}

/** Those of a peer's candidates that may be dialled, the nearest first, and what is wrong with the others. */
export function judgeCandidates(
  candidates: readonly Candidate[],
  vantage: Vantage,
  isSameHost: boolean,
): { readonly usable: readonly IpEndpoint[]; readonly refused: readonly string[] } {
  const usable: IpEndpoint[] = [];
  const refused: string[] = [];
  for (const { address } of [...candidates].sort((a, b) => ORDER[a.kind] - ORDER[b.kind]).slice(0, MAX_CANDIDATES)) {
    const endpoint = parseIpEndpoint(address);
    const problem = endpoint === undefined ? 'it is no address' : judgeEndpoint(endpoint, vantage, isSameHost);
    if (endpoint === undefined || problem !== undefined) refused.push(`${address}: ${problem}`);
    else usable.push(endpoint);
  }
  return { usable, refused };
}

/** Why a place that the peer has named must not be dialled; undefined when it may be. */
export function judgeEndpoint({ ip, port }: IpEndpoint, vantage: Vantage, isSameHost: boolean): string | undefined {
  const kind = classifyIp(ip);
  if (kind === 'forbidden') return 'no peer is ever at such an address';
  if (kind === 'loopback') return isSameHost ? undefined : 'it is of this host, and the peer has not shown to be here';
  if (port < LEAST_PORT && !isSameHost) return `its port is below ${LEAST_PORT}`;
  const { own, peer } = vantage;
  if (kind === 'private') {
    if (isSameHost || sharesNetwork(vantage) || (ip === peer && isInside(own))) return undefined;
    return 'it is private, and the peer is in no network of this member';
  }
  if (peer === undefined) return 'the hub does not see where the peer is';
  return ip === peer ? undefined : 'it is not the address from which the hub sees the peer';
}

/** Behind one public address, or labelled so. */
function sharesNetwork({ own, peer, isSameNetwork }: Vantage): boolean {
  return isSameNetwork || (own !== undefined && own === peer && classifyIp(own) === 'public');
}

/** Seen by a hub that is in a private network itself. */
function isInside(ip: string | undefined): ip is string {
  return ip !== undefined && classifyIp(ip) === 'private';
}

function covers(bound: string, ip: string): boolean {
  if (bound === ip) return true;
  return bound === '0.0.0.0' ? !ip.includes(':') : bound === '::';
}
