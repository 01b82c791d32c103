/** Join tokens from the hub's admin API, for people and for commands that let themselves in. */

import { SkeinError } from '../core/errors.ts';
import { parseServicePort } from './address.ts';
import { type AdminClient, asRecord } from './admin-client.ts';

export interface TokenRequest {
  /** Names, without namespace. */
  readonly services: readonly string[];
  /** Of a hub: what it may do for sidecars; it serves nothing. */
  readonly hubRoles?: readonly string[] | undefined;
  readonly namespace: string;
  readonly ttl: string;
}

export async function createToken(admin: AdminClient, request: TokenRequest): Promise<string> {
  // Refused here, with the option's name, before the hub is asked.
  for (const service of request.services) parseServicePort(service, request.namespace);
  const { services, namespace, hubRoles, ttl } = request;
  const body = hubRoles === undefined ? { services, namespace, ttl } : { hubRoles, ttl };
  const { token } = asRecord(await admin.post('/v1/tokens', body));
  if (typeof token !== 'string') {
    throw new SkeinError('SKEIN_PROTOCOL', `Cannot make token: hub ${admin.url} answered without one`);
  }
  return token;
}
