/**
 * Who the end user of a request is: the token that it brings, checked by the rules of the service. What was found is kept for a while, so
 * that most requests wait for nothing. It lets nobody in; policies decide by the claims.
 */

import { type JwtRule, toVariable } from '../catalog/request-authentication.ts';
import { encodeUtf8, toBase64Url } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { Crypto } from '../core/platform.ts';
import type { Fields } from '../http/head.ts';
import type { Claims } from './match.ts';
import { locationsOf, type PresentedToken, readPresented, type TokenLocation } from './presented-token.ts';
import { TokenCache } from './token-cache.ts';
import { flattenClaims, toFieldValue } from './user-claims.ts';
import type { UserToken, UserTokenFault } from './user-token.ts';

/** What a request says about its end user, as far as it is true. */
export interface EndUser {
  /** Empty where no token came. */
  readonly claims: Claims;
  /** Rules that vouch for it, by their keys; undefined where no token came. */
  readonly vouchers: readonly string[] | undefined;
  /** What the application is told in fields, flat. */
  readonly fields: Fields;
  /** Fields that have brought a token, and go no further. */
  readonly spent: readonly string[];
}

/** Why nothing is believed. `twice`: more than one token came; `claims`: two of its claims have one name. */
export type AuthenticationFault = UserTokenFault | 'twice' | 'unreachable' | 'busy';

export type Authentication = EndUser | AuthenticationFault;

/** A rule, and how a token is checked by it. */
export interface CheckedRule {
  /** Equal for rules that say the same. */
  readonly key: string;
  readonly rule: JwtRule;
  /** @returns `unreachable` while the keys cannot be had */
  readonly verify: (token: string) => Promise<UserToken | UserTokenFault | 'unreachable'>;
}

export interface RequestAuthenticatorOptions {
  readonly rules: readonly CheckedRule[];
  readonly clock: Clock;
  readonly sha256: Crypto['sha256'];
  readonly limits: AuthenticationLimits;
}

export interface AuthenticationLimits {
  /** Tokens that are kept as verified, and their characters in all. */
  readonly maxTokens: number;
  readonly maxTokenChars: number;
  /** For so long at most a token is believed without another look: a key that its issuer takes back must come to an end. */
  readonly believedMs: number;
  /** Tokens that are being verified at once; more are refused for the moment. */
  readonly maxPending: number;
  /** Those of one caller: what it brings must not keep out the users of others. */
  readonly maxPendingOfCaller: number;
}

export const AUTHENTICATION_LIMITS: AuthenticationLimits = {
  maxTokens: 4_096,
  maxTokenChars: 8 * 1024 * 1024,
  believedMs: 300_000,
  maxPending: 256,
  maxPendingOfCaller: 64,
};

const NOBODY: EndUser = { claims: {}, vouchers: undefined, fields: [], spent: [] };

export class RequestAuthenticator {
  readonly #options: RequestAuthenticatorOptions;
  readonly #locations: readonly TokenLocation[];
  /** Fields that claims are written into, as variables. */
  readonly #outputs: ReadonlySet<string>;
  /** Those in which tokens are looked for by one of several spellings. */
  readonly #spelled: ReadonlySet<string>;
  readonly #keys: ReadonlySet<string>;
  readonly #cache: TokenCache<EndUser>;
  readonly #pending = new Map<string, Promise<Authentication>>();
  /** How many of those each caller has begun. */
  readonly #begun = new Map<string, number>();

  constructor(options: RequestAuthenticatorOptions) {
    this.#options = options;
    const { rules, limits } = options;
    const locations = new Map<string, TokenLocation>();
    for (const { rule } of rules)
      for (const each of locationsOf(rule)) locations.set(`${each.name} ${each.prefix}`, each);
    this.#locations = [...locations.values()];
    const outputs = rules.flatMap(({ rule }) => rule.outputClaimToHeaders.map(({ header }) => header));
    this.#outputs = new Set(outputs.map(toVariable));
    const names = this.#locations.map(({ name }) => name);
    this.#spelled = new Set(names.filter((name) => /[^a-z0-9]/.test(name)).map(toVariable));
    this.#keys = new Set(rules.map(({ key }) => key));
    this.#cache = new TokenCache({ maxEntries: limits.maxTokens, maxSize: limits.maxTokenChars });
  }

  /** Tokens that are kept as verified. */
  get kept(): number {
    return this.#cache.entries;
  }

  /** True for a field that only what was verified may fill, in every spelling that servers take for it. */
  isGuarded(name: string): boolean {
    if (this.#outputs.size + this.#spelled.size === 0) return false;
    const variable = toVariable(name);
    return this.#outputs.has(variable) || (this.#spelled.has(variable) && !this.isLocation(name));
  }

  /** True for a field in which tokens are looked for. */
  isLocation(name: string): boolean {
    return this.#locations.some((each) => each.name === name);
  }

  /** Does it still believe what these rules have vouched for? */
  vouches({ vouchers = [] }: EndUser): boolean {
    return vouchers.every((key) => this.#keys.has(key));
  }

  /**
   * At once where no token comes, or one that is known.
   * @param caller SPIFFE id of who has sent the request
   */
  authenticate(fields: Fields, caller: string): Authentication | Promise<Authentication> {
    const [presented, ...more] = readPresented(fields, this.#locations);
    if (presented === undefined) return NOBODY;
    if (more.length > 0) return 'twice';
    const { clock, limits } = this.#options;
    const key = this.#hash(presented);
    const known = this.#cache.get(key, clock.epochMs()) ?? this.#pending.get(key);
    if (known !== undefined) return known;
    const begun = this.#begun.get(caller) ?? 0;
    if (this.#pending.size >= limits.maxPending || begun >= limits.maxPendingOfCaller) return 'busy';
    this.#begun.set(caller, begun + 1);
    const asked = this.#verify(presented, key).finally(() => this.#end(key, caller));
    this.#pending.set(key, asked);
    return asked;
  }

  #end(key: string, caller: string): void {
    this.#pending.delete(key);
    const left = (this.#begun.get(caller) ?? 0) - 1;
    if (left > 0) this.#begun.set(caller, left);
    else this.#begun.delete(caller);
  }

  /** By the rules that look where it was found: the first that believes it. */
  async #verify({ token, location }: PresentedToken, key: string): Promise<Authentication> {
    const { clock, limits, rules } = this.#options;
    let fault: AuthenticationFault = 'issuer';
    for (const { rule, key: voucher, verify } of rules) {
      if (!locationsOf(rule).some(({ name, prefix }) => name === location.name && prefix === location.prefix)) continue;
      const found = await verify(token);
      if (typeof found !== 'string') {
        const user = toEndUser(found, rule, voucher, location);
        if (user === undefined) return 'claims';
        const untilMs = Math.min(found.expiresAtMs, clock.epochMs() + limits.believedMs);
        this.#cache.set(key, user, token.length, untilMs);
        return user;
      }
      // What another rule says of the token of another issuer is of no interest.
      if (found !== 'issuer') fault = found;
    }
    return fault;
  }

  /** Whoever looks into the memory of a sidecar finds no tokens. */
  #hash({ token, location }: PresentedToken): string {
    return toBase64Url(this.#options.sha256(encodeUtf8(`${location.name} ${location.prefix} ${token}`)));
  }
}

function toEndUser(
  { claims }: UserToken,
  rule: JwtRule,
  voucher: string,
  location: TokenLocation,
): EndUser | undefined {
  const flat = flattenClaims(claims);
  if (flat === undefined) return undefined;
  const fields = rule.outputClaimToHeaders.flatMap(({ header, claim }) => {
    const value = toFieldValue(claims, claim);
    return value === undefined ? [] : [header, value];
  });
  return { claims: flat, vouchers: [voucher], fields, spent: rule.forwardOriginalToken ? [] : [location.name] };
}
