/** Destination: which service, on which port of the mesh, an authority names. Other names are refused: this is no open proxy. */

import { tryParseServiceName } from '../catalog/service.ts';
import { SkeinError } from '../core/errors.ts';
import { tryParseAuthority } from '../http/target.ts';

export interface Destination {
  /** `name.namespace` */
  readonly service: string;
  /** Port of the service in the mesh. */
  readonly port: number;
  /** `name.namespace:port`, as it travels in `RequestHead.service`. */
  readonly key: string;
}

export interface NameOptions {
  /** Namespace of names that give none. */
  readonly namespace: string;
  /** Is a bare `api` a name of the mesh? @default false */
  readonly allowShort?: boolean;
  /** Port of names that give none. @default 80 */
  readonly port?: number;
}

export const MESH_DOMAIN = 'mesh';
/** Port of a service where nobody names another. */
export const SERVICE_PORT = 80;

const SUFFIX = `.${MESH_DOMAIN}`;

export function toDestination(service: string, port: number): Destination {
  return { service, port, key: `${service}:${port}` };
}

/** Reads `api.mesh`, `api.default.mesh`, and with `allowShort` also `api`; each may have a port. */
export function tryParseDestination(authority: string, options: NameOptions): Destination | undefined {
  const parsed = tryParseAuthority(authority);
  if (parsed === undefined) return undefined;
  // Host names know no case (RFC 9110 §4.2.3), and a trailing dot only says that they are whole (RFC 1034 §3.1).
  const host = parsed.host.toLowerCase().replace(/\.$/, '');
  const port = parsed.port ?? options.port ?? SERVICE_PORT;
  if (port === 0) return undefined;
  const isWhole = host.endsWith(SUFFIX);
  // A name with dots belongs to somebody; `localhost` and `mesh` alone mean other things (RFC 6761 §6.3).
  const isShort = !host.includes('.') && host !== 'localhost' && host !== MESH_DOMAIN;
  if (!isWhole && !(isShort && options.allowShort === true)) return undefined;
  const name = tryParseServiceName(isWhole ? host.slice(0, -SUFFIX.length) : host, options.namespace);
  return name === undefined ? undefined : toDestination(name.key, port);
}

/** @throws SkeinError SKEIN_NOT_A_MESH_NAME */
export function parseDestination(authority: string, options: NameOptions): Destination {
  const destination = tryParseDestination(authority, options);
  if (destination !== undefined) return destination;
  const shown = authority === '' ? 'the request names no host' : `"${printable(authority)}" is no name of the mesh`;
  throw new SkeinError('SKEIN_NOT_A_MESH_NAME', `Cannot find destination: ${shown}`);
}

/** Reads `name.namespace:port`, the form inside the mesh. @throws SkeinError SKEIN_BAD_REQUEST */
export function parseDestinationKey(key: string): Destination {
  const colon = key.lastIndexOf(':');
  const service = tryParseServiceName(key.slice(0, Math.max(colon, 0)));
  const digits = key.slice(colon + 1);
  const port = Number(digits);
  if (service === undefined || !/^[1-9][0-9]{0,4}$/.test(digits) || port > 65_535) {
    throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot find destination: not name.namespace:port');
  }
  return toDestination(service.key, port);
}

/** What a request to a raw service is refused with, by whoever serves it. */
export function takesBytes(key: string): SkeinError {
  return new SkeinError('SKEIN_BAD_REQUEST', `Cannot perform request: "${key}" takes bytes, not requests`);
}

/** Does a host, in lower case, claim to be in the mesh? Only names of the mesh end so. */
export function isMeshName(host: string): boolean {
  return host === MESH_DOMAIN || host.endsWith(SUFFIX);
}

/**
 * Checks what a client says inside a connection that was opened to `dialled`. That is where its requests go, whatever name
 * of the mesh they claim (GAMMA matches by destination, not by Host); another name is none of a client of the mesh: a page
 * of the web, say, that was led to a local port by DNS.
 * @throws SkeinError SKEIN_MISDIRECTED
 */
export function checkAuthority(authority: string, dialled: Destination, options: NameOptions): void {
  if (authority === '' || tryParseDestination(authority, { ...options, port: dialled.port }) !== undefined) return;
  throw new SkeinError(
    'SKEIN_MISDIRECTED',
    `Cannot perform request: "${printable(authority)}" was asked for on a connection to ${dialled.key}`,
  );
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]|"/g, '?').slice(0, 80);
}
