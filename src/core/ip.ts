/** IP addresses that come from others: read strictly, in one spelling, and what kind of place they lead to. */

/**
 * `forbidden`: no peer is ever there — unspecified, link-local, multicast and reserved ranges, addresses that embed
 * another one, and the metadata services of clouds.
 */
export type IpKind = 'public' | 'private' | 'loopback' | 'forbidden';

export interface IpEndpoint {
  /** Canonical: dotted IPv4, or IPv6 as of RFC 5952, without brackets. */
  readonly ip: string;
  /** 1..65535 */
  readonly port: number;
}

/**
 * Services that give credentials to whoever reaches them from inside: AWS, GCP and Azure are link-local or below; these
 * are in ranges that are not.
 */
const METADATA: ReadonlySet<string> = new Set(['100.100.100.200', '168.63.129.16', 'fd00:ec2::254', 'fd20:ce::254']);

/** First bits of an address, how many, and what is there; the first that fits counts (RFC 6890). */
type Range = readonly [start: readonly number[], bits: number, kind: IpKind];

const IPV4: readonly Range[] = [
  [[127, 0], 8, 'loopback'],
  [[10, 0], 8, 'private'],
  [[172, 16], 12, 'private'],
  [[192, 168], 16, 'private'],
  [[100, 64], 10, 'private'],
  [[198, 18], 15, 'private'],
  [[0, 0], 8, 'forbidden'],
  [[169, 254], 16, 'forbidden'],
  [[192, 0, 0, 0], 24, 'forbidden'],
  [[192, 88, 99, 0], 24, 'forbidden'],
  [[224, 0], 3, 'forbidden'],
];

/** In groups of 16 bits. What is in none of them is forbidden: mapped, translated, link-local, multicast. */
const IPV6: readonly Range[] = [
  [[0, 0, 0, 0, 0, 0, 0, 1], 128, 'loopback'],
  [[0xfc00], 7, 'private'],
  [[0x2002], 16, 'forbidden'], // 6to4 embeds an IPv4 address, RFC 3056
  [[0x2001, 0], 32, 'forbidden'], // Teredo does, RFC 4380
  [[0x2000], 3, 'public'],
];

export function classifyIp(ip: string): IpKind {
  if (METADATA.has(ip)) return 'forbidden';
  const v4 = parseIpv4(ip);
  if (v4 !== undefined) return find(IPV4, v4, 8) ?? 'public';
  const v6 = parseIpv6(ip);
  return v6 === undefined ? 'forbidden' : (find(IPV6, v6, 16) ?? 'forbidden');
}

/** The canonical text of an address, or undefined. An IPv4-mapped IPv6 address is the IPv4 it holds. */
export function parseIp(text: string): string | undefined {
  if (parseIpv4(text) !== undefined) return text;
  const groups = parseIpv6(text);
  if (groups === undefined) return undefined;
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high, low] = [groups[6] as number, groups[7] as number];
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  return formatIpv6(groups);
}

/** Reads `1.2.3.4:80` or `[2001:db8::1]:80`; no names, no other spelling of a number. */
export function parseIpEndpoint(text: string): IpEndpoint | undefined {
  const match = /^(?:([0-9.]{7,15})|\[([0-9a-fA-F:.]{2,45})\]):([1-9]\d{0,4})$/.exec(text);
  const ip = parseIp(match?.[1] ?? match?.[2] ?? '');
  const port = Number(match?.[3]);
  return ip === undefined || port > 65_535 ? undefined : { ip, port };
}

/** The address of whoever is at the other end of a connection, as runtimes write it: `ip:port`, where port 0 is one that a proxy does not tell. */
export function readRemoteIp(remoteAddress = ''): string | undefined {
  const match = /^(?:([0-9.]+)|\[([^\]]+)\]):\d{1,5}$/.exec(remoteAddress);
  return parseIp(match?.[1] ?? match?.[2] ?? '');
}

export function formatIpEndpoint({ ip, port }: IpEndpoint): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** What one subscriber has whole: an IPv4 address, or 64 bits of an IPv6 address. Any other text, as of a test, is itself. */
export function toOrigin(ip: string): string {
  if (!ip.includes(':') || classifyIp(ip) === 'loopback') return ip;
  return (
    parseIpv6(ip)
      ?.slice(0, 4)
      .map((group) => group.toString(16))
      .join(':') ?? ip
  );
}

function find(ranges: readonly Range[], parts: readonly number[], width: number): IpKind | undefined {
  return ranges.find(([start, bits]) => hasPrefix(parts, start, bits, width))?.[2];
}

function hasPrefix(parts: readonly number[], start: readonly number[], bits: number, width: number): boolean {
  for (let at = 0; at * width < bits; at++) {
    const shift = width - Math.min(width, bits - at * width);
    if ((parts[at] as number) >> shift !== (start[at] ?? 0) >> shift) return false;
  }
  return true;
}

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part))) return undefined;
  const numbers = parts.map(Number);
  return numbers.every((number) => number <= 255) ? numbers : undefined;
}

/** Eight groups of 16 bits. */
function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(parseGroups);
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length === 1) return missing === 0 ? head : undefined;
  return missing < 1 ? undefined : [...head, ...new Array<number>(missing).fill(0), ...(tail ?? [])];
}

function parseGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    const v4 = index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (v4 !== undefined) {
      const [a, b, c, d] = v4 as [number, number, number, number];
      groups.push(a * 256 + b, c * 256 + d);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** RFC 5952 §4: lower case, and the longest run of zero groups left out. */
function formatIpv6(groups: readonly number[]): string {
  let [bestAt, bestLength] = [0, 1];
  for (let at = 0; at < 8; at++) {
    let end = at;
    while (end < 8 && groups[end] === 0) end++;
    if (end - at > bestLength) [bestAt, bestLength] = [at, end - at];
  }
  const text = groups.map((group) => group.toString(16));
  if (bestLength < 2) return text.join(':');
  return `${text.slice(0, bestAt).join(':')}::${text.slice(bestAt + bestLength).join(':')}`;
}
