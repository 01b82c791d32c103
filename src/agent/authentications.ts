/**
 * The RequestAuthentications of a catalogue, compiled for the services that are asked for. Keys of issuers outlive a change of others, and
 * are fetched before the first request needs them.
 */

import { createIssuerKeys, isForSignatures } from '../auth/issuer-keys.ts';
import { readClaimedIssuer } from '../auth/issuer-token.ts';
import { parseKeySet, SPIFFE_ALGORITHMS } from '../auth/key-set.ts';
import type { RemoteDocument } from '../auth/remote-document.ts';
import { AUTHENTICATION_LIMITS, type CheckedRule, RequestAuthenticator } from '../auth/request-authenticator.ts';
import type { Holder } from '../auth/revocation.ts';
import type { SigningKeys } from '../auth/signing-keys.ts';
import { readClaimedId } from '../auth/svid.ts';
import { verifyUserSvid, verifyUserToken } from '../auth/user-token.ts';
import { toCanonicalJson } from '../catalog/digest.ts';
import { type JwtRule, jwtRulesOf, type RequestAuthentication } from '../catalog/request-authentication.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';

/** A request waits for the keys of its issuer no longer than people wait. */
const FETCH_TIMEOUT_MS = 2_000;

/** Whose JWT-SVIDs are believed. */
export interface JwtTrust {
  /** The own trust domain. */
  readonly trustDomain: string;
  /** Keys that sign JWT-SVIDs of a trust domain; undefined for one that is not trusted. */
  keysOf(trustDomain: string): SigningKeys | undefined;
  /** Of the own trust domain: is that holder good no more? */
  isRevoked(holder: Holder): boolean;
}

export class Authentications {
  readonly #platform: Platform;
  readonly #log: Logger;
  readonly #trust: JwtTrust;
  readonly #keys = new Map<string, RemoteDocument<SigningKeys>>();
  #resources: readonly RequestAuthentication[] = [];
  /** By service; undefined: nothing is for it. */
  readonly #services = new Map<string, RequestAuthenticator | undefined>();
  /** Services under the same rules have one. */
  readonly #shared = new Map<string, RequestAuthenticator>();

  constructor(platform: Platform, log: Logger, trust: JwtTrust) {
    this.#platform = platform;
    this.#log = log;
    this.#trust = trust;
  }

  /** These hold from now on. */
  replace(resources: readonly RequestAuthentication[]): void {
    this.#resources = resources;
    this.forget();
    const sources = new Set<string>();
    for (const rule of resources.flatMap(({ spec }) => spec.jwtRules)) {
      if (rule.issuer === undefined || rule.jwks !== undefined) continue;
      sources.add(toSource(rule));
      this.#fetched(rule, rule.issuer)
        .refresh()
        .catch(() => undefined); // never rejects
    }
    for (const source of this.#keys.keys()) if (!sources.has(source)) this.#keys.delete(source);
  }

  /** What was verified so far is verified again. */
  forget(): void {
    this.#services.clear();
    this.#shared.clear();
  }

  /** Who looks at requests to `service` (`name.namespace`); undefined: nobody does. */
  of(service: string): RequestAuthenticator | undefined {
    if (this.#resources.length === 0) return undefined;
    if (this.#services.has(service)) return this.#services.get(service);
    const found = this.#compile(jwtRulesOf(this.#resources, service));
    this.#services.set(service, found);
    return found;
  }

  #compile(rules: readonly JwtRule[]): RequestAuthenticator | undefined {
    if (rules.length === 0) return undefined;
    const checked = rules.map(
      (rule): CheckedRule => ({ key: toCanonicalJson(rule), rule, verify: this.#verifier(rule) }),
    );
    const key = checked.map((each) => each.key).join('\n');
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const { clock, crypto } = this.#platform;
    const made = new RequestAuthenticator({
      ...{ rules: checked, clock, sha256: crypto.sha256, limits: AUTHENTICATION_LIMITS },
    });
    this.#shared.set(key, made);
    return made;
  }

  #verifier(rule: JwtRule): CheckedRule['verify'] {
    const { issuer, audiences, jwks, algorithms = SPIFFE_ALGORITHMS } = rule;
    const { clock } = this.#platform;
    if (issuer === undefined) return this.#svidVerifier(rule);
    const given = jwks === undefined ? undefined : readKeys(jwks, algorithms);
    return async (token) => {
      const claimed = readClaimedIssuer(token);
      if (claimed === undefined) return 'malformed';
      if (claimed.issuer !== issuer) return 'issuer';
      const isThere = (keys: SigningKeys): boolean => keys.find(claimed.keyId) !== undefined;
      const keys = given ?? (await this.#fetched(rule, issuer).get(isThere));
      return keys === undefined ? 'unreachable' : verifyUserToken(token, { clock, issuer, audiences, keys });
    };
  }

  /** Tokens of trust domains without a bundle are not believed: nobody vouches for them. */
  #svidVerifier({ trustDomain = '', audiences }: JwtRule): CheckedRule['verify'] {
    const { clock } = this.#platform;
    const trust = this.#trust;
    const keysOf = (domain: string): SigningKeys | undefined => trust.keysOf(domain);
    return async (token) => {
      if (readClaimedId(token)?.trustDomain !== trustDomain) return 'issuer';
      const isRevoked = (holder: Holder): boolean => trust.isRevoked(holder);
      return verifyUserSvid(token, trustDomain, {
        clock,
        trustDomain: trust.trustDomain,
        keysOf,
        isRevoked,
        audiences,
      });
    };
  }

  #fetched(rule: JwtRule, issuer: string): RemoteDocument<SigningKeys> {
    const source = toSource(rule);
    let keys = this.#keys.get(source);
    if (keys === undefined) {
      const { jwksUri, algorithms = SPIFFE_ALGORITHMS } = rule;
      const [platform, log] = [this.#platform, this.#log];
      keys = createIssuerKeys({ platform, log, issuer, jwksUri, algorithms, timeoutMs: FETCH_TIMEOUT_MS });
      this.#keys.set(source, keys);
    }
    return keys;
  }
}

/** One that cannot be read vouches for nothing. */
function readKeys(jwks: unknown, algorithms: readonly string[]): SigningKeys {
  try {
    return parseKeySet(jwks, { algorithms, isFor: isForSignatures });
  } catch {
    return { find: () => undefined };
  }
}

function toSource({ issuer = '', jwksUri = '', algorithms }: JwtRule): string {
  return [issuer, jwksUri, ...(algorithms ?? SPIFFE_ALGORITHMS)].join(' ');
}
