/** Where a shared store is: `nats://user:password@host:4222,host:4222/bucket?replicas=3`. */

import { SkeinError } from '../../core/errors.ts';
import { Redacted } from '../../core/redacted.ts';

export interface NatsAddress {
  /** `host:port` of each server; more of the same cluster are learnt from them. */
  readonly servers: readonly string[];
  readonly isTls: boolean;
  /** User and password, or a token. */
  readonly login:
    | Redacted<{ readonly user: string; readonly password: string } | { readonly token: string }>
    | undefined;
  readonly bucket: string;
  /** Servers that hold a copy of the bucket; counts when it is made. */
  readonly replicas: 1 | 3 | 5;
}

const DEFAULT_BUCKET = 'skein';
const DEFAULT_PORT = '4222';
const HOST = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?$/;

export function isNatsAddress(text: string): boolean {
  return /^(?:nats|tls):\/\//.test(text);
}

/** @throws SkeinError SKEIN_CONFIG, which quotes no part that may be secret */
export function parseNatsAddress(text: string): NatsAddress {
  const match = /^(nats|tls):\/\/([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text.trim());
  if (match === null) throw refused('expected nats://host:port[,host:port…][/bucket]');
  const [, scheme, authority = '', path = '', query = ''] = match;
  const at = authority.lastIndexOf('@');
  const servers = authority
    .slice(at + 1)
    .split(',')
    .map(parseServer);
  const bucket = path === '' ? DEFAULT_BUCKET : path;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(bucket)) throw refused('the name of a bucket has letters, digits, _ and -');
  return {
    servers,
    isTls: scheme === 'tls',
    login: at < 0 ? undefined : parseLogin(authority.slice(0, at)),
    bucket,
    replicas: parseReplicas(new URLSearchParams(query)),
  };
}

function parseServer(text: string): string {
  const match = HOST.exec(text);
  if (match === null || Number(match[1] ?? DEFAULT_PORT) > 65_535) {
    throw refused('a server is not host:port');
  }
  return match[1] === undefined ? `${text}:${DEFAULT_PORT}` : text;
}

function parseLogin(text: string): NatsAddress['login'] {
  const colon = text.indexOf(':');
  try {
    if (colon < 0) return new Redacted({ token: decodeURIComponent(text) });
    return new Redacted({
      user: decodeURIComponent(text.slice(0, colon)),
      password: decodeURIComponent(text.slice(colon + 1)),
    });
  } catch {
    throw refused('a % in user, password or token is written %25');
  }
}

function parseReplicas(query: URLSearchParams): 1 | 3 | 5 {
  for (const name of query.keys()) if (name !== 'replicas') throw refused('it has only the parameter "replicas"');
  const replicas = Number(query.get('replicas') ?? 1);
  if (replicas !== 1 && replicas !== 3 && replicas !== 5) throw refused('replicas are 1, 3 or 5');
  return replicas;
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_CONFIG', `Cannot use store: ${state}`);
}
