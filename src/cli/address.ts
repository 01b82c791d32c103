/** Addresses as people write them on a command line or in a file: hubs, listeners, exposed targets. */

import { DEFAULT_NAMESPACE, tryParseServiceName } from '../catalog/service.ts';
import { SkeinError } from '../core/errors.ts';
import type { ListenAddress } from '../core/platform.ts';

/** Port of a service in the mesh where nobody names another. */
const SERVICE_PORT = 80;

/** A service and a port of it in the mesh. */
export interface ServicePort {
  /** `name.namespace` */
  readonly service: string;
  readonly port: number;
}

export interface Target {
  readonly protocol: 'http' | 'h2c' | 'tcp';
  readonly host: string;
  readonly port: number;
}

function refuse(what: string, text: string, form: string): SkeinError {
  return new SkeinError('SKEIN_CONFIG', `Cannot read ${what} "${text}": expected ${form}`);
}

/** 0..65535, or undefined. */
function readPort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

/**
 * Reads `host:port`, `[::1]:port`, `:port` or `port`. A silent host is 127.0.0.1: to listen to others is a
 * decision that somebody has to write down.
 * @throws SkeinError SKEIN_CONFIG
 */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[^:[\]/\s]*):)?(\d{1,5})$/.exec(text);
  const port = readPort(match?.[2] ?? '');
  if (match === null || port === undefined) throw refuse('address', text, 'host:port, such as 127.0.0.1:8080');
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  return { host: host === '' ? '127.0.0.1' : host, port };
}

export function formatAddress(address: ListenAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Reads `name[.namespace][:port]`. @throws SkeinError SKEIN_CONFIG */
export function parseServicePort(text: string, namespace: string = DEFAULT_NAMESPACE): ServicePort {
  const colon = text.indexOf(':');
  const service = tryParseServiceName(colon < 0 ? text : text.slice(0, colon), namespace);
  const port = colon < 0 ? SERVICE_PORT : readPort(text.slice(colon + 1));
  if (service === undefined || port === undefined || port === 0) {
    throw refuse('service', text, 'name[.namespace][:port], such as api, api.shop or api:8080');
  }
  return { service: service.key, port };
}

/**
 * Reads where an application listens: `3000`, `host:3000`, `http://…`, `h2c://…` or `tcp://…`.
 * @throws SkeinError SKEIN_CONFIG
 */
export function parseTarget(text: string): Target {
  const form = 'a port, host:port, http://host:port, h2c://host:port or tcp://host:port';
  const match = /^(?:(http|h2c|tcp):\/\/)?([^/?#@\s]+)\/?$/.exec(text);
  if (match === null) throw refuse('target', text, form);
  const protocol = (match[1] ?? 'http') as Target['protocol'];
  const authority = match[2] ?? '';
  const bare = protocol === 'http' && match[1] !== undefined && !/:\d+$/.test(authority);
  try {
    const { host, port } = parseListenAddress(bare ? `${authority}:80` : authority);
    if (port > 0) return { protocol, host, port };
  } catch {
    // The message below shows the whole text instead of a part of it.
  }
  throw refuse('target', text, form);
}

export function formatTarget(target: Target): string {
  return `${target.protocol}://${formatAddress(target)}`;
}

/** Splits `left=right` at the first `=`. @throws SkeinError SKEIN_CONFIG */
export function splitAssignment(what: string, text: string, form: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at <= 0 || at === text.length - 1) throw refuse(what, text, form);
  return [text.slice(0, at), text.slice(at + 1)];
}

/**
 * Reads a hub's address as its WebSocket URL: `wss://…` and `ws://…` as they are, `https://…` and `http://…` turned,
 * a bare `host[:port]` is `ws://` on this machine and `wss://` elsewhere.
 * @throws SkeinError SKEIN_CONFIG
 */
export function parseHubUrl(text: string): string {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text)
    ? text
    : `${/^(?:localhost|127\.|\[::1\])/.test(text) ? 'ws' : 'wss'}://${text}`;
  let url: URL | undefined;
  try {
    url = new URL(withScheme.replace(/^http(s?):\/\//i, 'ws$1://'));
  } catch {
    url = undefined;
  }
  if (url === undefined || (url.protocol !== 'ws:' && url.protocol !== 'wss:') || url.hostname === '') {
    throw refuse('hub', redactUserinfo(text), 'wss://host[:port] or ws://host[:port]');
  }
  if (url.username !== '' || url.password !== '') {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot use hub URL: it holds a user name or password');
  }
  if (url.search !== '' || url.hash !== '') throw refuse('hub', text, 'a URL without a query');
  return url.href.replace(/\/$/, '');
}

function redactUserinfo(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//…@');
}

/** Where the hub answers administrators: the same host and port, over HTTP. */
export function toHttpUrl(hub: string): string {
  return hub.replace(/^ws/, 'http');
}
