/** Names of services, `name.namespace`, and one service as the catalogue sees it. */

import { SkeinError } from '../core/errors.ts';
import type { Endpoint } from './endpoint.ts';

export interface ServiceName {
  readonly name: string;
  readonly namespace: string;
  /** `name.namespace`: how a service is called inside skein. */
  readonly key: string;
}

/** A service with those who serve it. The array stays the same object while none of its endpoints changes. */
export interface Service extends ServiceName {
  readonly endpoints: readonly Endpoint[];
}

export const DEFAULT_NAMESPACE = 'default';

/** Policies of this namespace hold for every service (guard rails); nobody can be enrolled in it. */
export const MESH_NAMESPACE = 'mesh';

/** A DNS label in lower case (RFC 1123 §2.1). */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export function isLabel(text: string): boolean {
  return LABEL.test(text);
}

export function isServiceKey(text: string): boolean {
  return tryParseServiceName(text) !== undefined;
}

/** Reads `name` or `name.namespace`; a silent namespace is `namespace`. */
export function tryParseServiceName(text: string, namespace?: string): ServiceName | undefined {
  const dot = text.indexOf('.');
  const name = dot < 0 ? text : text.slice(0, dot);
  const space = dot < 0 ? namespace : text.slice(dot + 1);
  if (space === undefined || !LABEL.test(name) || !LABEL.test(space)) return undefined;
  return { name, namespace: space, key: `${name}.${space}` };
}

/** @throws SkeinError SKEIN_RESOURCE_INVALID */
export function parseServiceName(text: string, namespace: string = DEFAULT_NAMESPACE): ServiceName {
  const service = tryParseServiceName(text, namespace);
  if (service === undefined) {
    throw new SkeinError('SKEIN_RESOURCE_INVALID', 'Cannot read service name: not name[.namespace] of DNS labels');
  }
  return service;
}

/** The namespace of a key that is known to be well formed. */
export function namespaceOf(key: string): string {
  return key.slice(key.indexOf('.') + 1);
}
