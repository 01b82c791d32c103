/** Where documents may come from that others are trusted by. */

import { classifyIp, type IpKind, parseIp } from './ip.ts';
import { isLoopbackName } from './loopback.ts';

/** True for an absolute URL over TLS, or of this machine; nothing in it can be a secret. */
export function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username !== '' || password !== '' || hash !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackName(hostname));
}

/**
 * May a document from `from`, which a configuration names, send whoever reads it on to `to`? Never from TLS to none; and to this machine, a
 * private network or a metadata service only where `from` is at the same kind of place, or the same host: its owner must not choose what is asked
 * from in here. A name says nothing of where it leads; but over TLS nobody there has a certificate for it who is not meant.
 */
export function mayLeadTo(from: string, to: string): boolean {
  if (!isSafeUrl(to)) return false;
  const [here, there] = [new URL(from), new URL(to)];
  if (here.protocol === 'https:' && there.protocol !== 'https:') return false;
  if (here.hostname === there.hostname) return true;
  const kind = kindOf(there.hostname);
  return kind === 'public' || (kind !== 'forbidden' && kind === kindOf(here.hostname));
}

/** Of a host as `URL` spells it: every form of an IPv4 address has become dotted. */
function kindOf(hostname: string): IpKind {
  const name = hostname.replace(/\.$/, '');
  if (isLoopbackName(name) || name.endsWith('.localhost')) return 'loopback';
  const bare = name.replace(/^\[|\]$/g, '');
  const ip = parseIp(bare);
  if (ip !== undefined) return classifyIp(ip);
  return name.startsWith('[') ? 'forbidden' : 'public';
}
