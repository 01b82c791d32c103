/** Join tokens from the hub's admin API, for people and for commands that let themselves in. */

import { SkeinError } from '../core/errors.ts';
import { parseServicePort } from './address.ts';
import { type AdminClient, asRecord } from './admin-client.ts';

export interface TokenRequest {
  /** Names, without namespace. */
  readonly services: readonly string[];
  readonly namespace: string;
  readonly ttl: string;
}

export async function createToken(admin: AdminClient, request: TokenRequest): Promise<string> {
  // Refused here, with the option's name, before the hub is asked.
  for (const service of request.services) parseServicePort(service, request.namespace);
  const { token } = asRecord(await admin.post('/v1/tokens', request));
  if (typeof token !== 'string') {
    throw new SkeinError('SKEIN_PROTOCOL', `Cannot make token: hub ${admin.url} answered without one`);
  }
  return token;
}
