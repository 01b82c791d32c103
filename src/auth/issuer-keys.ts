/** Keys of an OpenID provider, kept: those that it publishes by its discovery document, or where the configuration says. */

import { SkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { mayLeadTo } from '../core/safe-url.ts';
import { parseKeySet } from './key-set.ts';
import { getJson, RemoteDocument } from './remote-document.ts';
import type { SigningKeys } from './signing-keys.ts';

export interface IssuerKeysOptions {
  readonly platform: Pick<Platform, 'clock' | 'getDocument'>;
  readonly log: Logger;
  /** `iss` of its tokens. */
  readonly issuer: string;
  /** Where its key set is; undefined: its discovery document says it. */
  readonly jwksUri: string | undefined;
  /** Algorithms that its keys may sign with. */
  readonly algorithms: readonly string[];
  /** For each of the two documents. */
  readonly timeoutMs: number;
}

/** Asked of its own discovery document, or of the place that the configuration names; never of a place that a token names. */
export function createIssuerKeys(options: IssuerKeysOptions): RemoteDocument<SigningKeys> {
  const { platform, log, issuer, jwksUri, algorithms, timeoutMs } = options;
  return new RemoteDocument({
    ...{ platform, log, name: issuer },
    load: async () => {
      const from = jwksUri ?? (await discover(platform, issuer, timeoutMs));
      return parseKeySet(await getJson(platform, from, timeoutMs), { algorithms, isFor: isForSignatures });
    },
  });
}

/** RFC 7517 §4.2: who says nothing excludes nothing. */
export function isForSignatures(use: unknown): boolean {
  return use === undefined || use === 'sig';
}

/** OpenID Connect Discovery §4. @throws SkeinError SKEIN_PROTOCOL */
async function discover(platform: Pick<Platform, 'getDocument'>, issuer: string, timeoutMs: number): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const { issuer: told, jwks_uri: keys } = await getJson(platform, url, timeoutMs);
  if (told !== issuer)
    throw new SkeinError('SKEIN_PROTOCOL', 'Cannot use document: it is of another issuer', { details: { url } });
  // A public issuer may not send those who trust it to their own machine or network.
  if (typeof keys !== 'string' || !mayLeadTo(issuer, keys)) {
    throw new SkeinError(
      'SKEIN_PROTOCOL',
      'Cannot use document: its jwks_uri is no https URL, or leads to a place that is not public',
      { details: { url, remedy: 'If it is right, name it in the configuration: jwksUri beside the issuer.' } },
    );
  }
  return keys;
}
