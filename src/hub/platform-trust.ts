/**
 * Platforms that are trusted to say what runs where: a newcomer comes in with a token of theirs, under the name that the
 * hub's configuration makes of its claims. Each token works once. docs/decisions tells why.
 */

import * as v from 'valibot';
import {
  type ClaimConditions,
  fillTemplate,
  meetsConditions,
  parseTemplate,
  type Template,
} from '../auth/claim-mapping.ts';
import { createIssuerKeys } from '../auth/issuer-keys.ts';
import { type Claims, readClaimedIssuer } from '../auth/issuer-token.ts';
import { SPIFFE_ALGORITHMS } from '../auth/key-set.ts';
import { verifyPlatformToken } from '../auth/platform-token.ts';
import type { RemoteDocument } from '../auth/remote-document.ts';
import type { SigningKeys } from '../auth/signing-keys.ts';
import { isLabel, MESH_NAMESPACE, tryParseServiceName } from '../catalog/service.ts';
import { encodeUtf8, toBase64Url } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { isSafeUrl } from '../core/safe-url.ts';
import { RESERVED_NAMESPACE, toWorkloadId } from '../core/spiffe-id.ts';
import { type Admission, RETRY_MS, refuseToken } from './admission.ts';
import type { Store, StoreEntry } from './store.ts';
import { Tally } from './tally.ts';

/** One kind of token that is taken; the first whose issuer, audience and claims fit decides. */
export interface TrustedPlatform {
  /** `iss` of its tokens: an https URL, below which it publishes its keys. */
  readonly issuer: string;
  /** `aud` by which a token is meant for this mesh. */
  readonly audience: string;
  /** Which of the issuer's tokens are meant, at least one claim: each must have one of the values; `prefix*` is a beginning. */
  readonly claims: ClaimConditions;
  /** `ns/<namespace>/sa/<account>`, with at most one `{claim}` in each. */
  readonly id: string;
  /** Names that its holder may serve, in that namespace. @default the account */
  readonly services?: readonly string[];
  /** Algorithms that its keys may sign with, of the nine that SPIFFE allows. @default RS256 */
  readonly algorithms?: readonly string[];
  /** Where its keys are, when it has no discovery document. */
  readonly jwks?: string;
}

export interface PlatformTrustOptions {
  readonly platform: Pick<Platform, 'clock' | 'crypto' | 'getDocument'>;
  readonly store: Store;
  readonly log: Logger;
  readonly trustDomain: string;
  readonly trusted: readonly TrustedPlatform[];
  /** Tokens that are remembered as used, at most. */
  readonly maxTokens: number;
}

interface Mapping {
  readonly trusted: TrustedPlatform;
  readonly namespace: Template;
  readonly account: Template;
  readonly services: readonly Template[] | undefined;
  readonly keys: RemoteDocument<SigningKeys>;
}

const PREFIX = 'platform-token/';
/** A newcomer has 2 s for its whole handshake; two documents must fit into them. */
const FETCH_TIMEOUT_MS = 900;
const DEFAULT_ALGORITHMS = ['RS256'];
/** How long a used token is remembered behind its end: verifiers' leeway and more. */
const MEMORY_MS = 300_000;

const USED = v.object({ by: v.string(), atMs: v.number(), expiresAtMs: v.number() });

export class PlatformTrust {
  readonly #options: PlatformTrustOptions;
  readonly #mappings: readonly Mapping[];
  readonly #used: Tally;

  /** @throws SkeinError SKEIN_CONFIG */
  constructor(options: PlatformTrustOptions) {
    this.#options = options;
    this.#used = new Tally(options.store, PREFIX);
    const documents = new Map<string, RemoteDocument<SigningKeys>>();
    this.#mappings = options.trusted.map((trusted) => {
      const { issuer, jwks = '', algorithms = DEFAULT_ALGORITHMS } = trusted;
      const source = `${issuer} ${jwks} ${algorithms.join()}`;
      const keys = documents.get(source) ?? this.#keysOf(trusted);
      documents.set(source, keys);
      return { trusted, keys, ...readNames(trusted) };
    });
    // They are there when the first newcomer comes.
    for (const keys of documents.values()) keys.refresh().catch(() => undefined); // never rejects
  }

  /** What logs call a token: nobody makes the token of it. */
  describe(token: string): string {
    return `platform:${this.#hash(token.slice(0, token.lastIndexOf('.'))).slice(0, 16)}`;
  }

  /**
   * Lets the holder of `token` in, who has proven the key with this thumbprint; `check` may refuse who it is found to be.
   * @throws SkeinError SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_REFUSED when the issuer's keys cannot be had,
   *   SKEIN_LIMIT, SKEIN_STORE
   */
  async admit(token: string, thumbprint: string, check?: (admission: Admission) => void): Promise<Admission> {
    const { clock } = this.#options.platform;
    const claimed = readClaimedIssuer(token);
    const candidates = this.#mappings.filter(({ trusted }) => trusted.issuer === claimed?.issuer);
    let refusal = refuseToken('SKEIN_TOKEN_INVALID', 'no trusted issuer has made it for this mesh');
    for (const mapping of candidates) {
      const { issuer, audience, claims: conditions } = mapping.trusted;
      const keys = await mapping.keys.get((known) => known.find(claimed?.keyId ?? '') !== undefined);
      if (keys === undefined) {
        throw refuseToken('SKEIN_REFUSED', 'the keys of its issuer cannot be had now', { issuer });
      }
      try {
        const verified = await verifyPlatformToken(token, { clock, issuer, audience, keys });
        if (!meetsConditions(conditions, verified.claims)) continue;
        const admission = this.#name(mapping, verified.claims);
        check?.(admission);
        await this.#useUp(verified.signed, verified.expiresAtMs, thumbprint);
        const { subject } = verified;
        this.#options.log.log('info', 'platform-token-taken', { issuer, subject, id: admission.id.uri });
        return admission;
      } catch (thrown) {
        // Another entry may be for another audience.
        if (!(thrown instanceof SkeinError) || thrown.code !== 'SKEIN_TOKEN_INVALID') throw thrown;
        refusal = thrown;
      }
    }
    throw refusal;
  }

  close(): void {
    this.#used.close();
  }

  /** Forgets tokens that have expired. */
  async sweep(): Promise<void> {
    const { store, platform } = this.#options;
    for (const entry of await store.list(PREFIX)) {
      const used = readUsed(entry);
      if (used !== undefined && used.expiresAtMs + MEMORY_MS > platform.clock.epochMs()) continue;
      await store.delete(entry.key, entry.revision);
    }
  }

  #name({ namespace, account, services }: Mapping, claims: Claims): Admission {
    const [space, name] = [fillTemplate(namespace, claims), fillTemplate(account, claims)];
    if (space === undefined || name === undefined || !isLabel(space) || isReserved(space)) {
      throw refuseToken('SKEIN_TOKEN_INVALID', 'its claims make no name of this mesh');
    }
    const names = services?.map((template) => fillTemplate(template, claims)) ?? (isLabel(name) ? [name] : []);
    const keys = names.map((service) => {
      const key = service !== undefined && isLabel(service) ? tryParseServiceName(service, space)?.key : undefined;
      if (key === undefined) throw refuseToken('SKEIN_TOKEN_INVALID', 'its claims make no name of a service');
      return key;
    });
    return { id: toWorkloadId(this.#options.trustDomain, space, name), services: [...new Set(keys)] };
  }

  /** Whoever finds the token later, in a log or a file, has nothing. */
  async #useUp(signed: string, expiresAtMs: number, by: string): Promise<void> {
    const { store, platform, maxTokens } = this.#options;
    const key = PREFIX + this.#hash(signed);
    const atMs = platform.clock.epochMs();
    if (this.#used.size >= maxTokens) await this.sweep();
    if (this.#used.size >= maxTokens) {
      throw refuseToken('SKEIN_LIMIT', `${maxTokens} are remembered already`);
    }
    const mark: v.InferOutput<typeof USED> = { by, atMs, expiresAtMs };
    if ((await store.compareAndSet(key, 0, JSON.stringify(mark))) !== undefined) return;
    const entry = await store.get(key);
    const used = entry === undefined ? undefined : readUsed(entry);
    if (used !== undefined && used.by === by && atMs <= used.atMs + RETRY_MS) return;
    throw refuseToken('SKEIN_TOKEN_USED', 'it was used already', {
      usedAt: used === undefined ? 'just now' : new Date(used.atMs).toISOString(),
    });
  }

  #hash(text: string): string {
    return toBase64Url(this.#options.platform.crypto.sha256(encodeUtf8(text)));
  }

  #keysOf({ issuer, jwks, algorithms = DEFAULT_ALGORITHMS }: TrustedPlatform): RemoteDocument<SigningKeys> {
    const { platform, log } = this.#options;
    return createIssuerKeys({ platform, log, issuer, jwksUri: jwks, algorithms, timeoutMs: FETCH_TIMEOUT_MS });
  }
}

function readNames(trusted: TrustedPlatform): Pick<Mapping, 'namespace' | 'account' | 'services'> {
  const { issuer, audience, claims, id, services, algorithms = DEFAULT_ALGORITHMS, jwks } = trusted;
  const refuse = (state: string): never => {
    throw new SkeinError('SKEIN_CONFIG', `Cannot trust platform "${issuer}": ${state}`);
  };
  if (!isSafeUrl(issuer) || issuer.includes('?')) refuse('the issuer is no https URL');
  if (jwks !== undefined && !isSafeUrl(jwks)) refuse('jwks is no https URL');
  if (audience === '') refuse('the audience is empty');
  if (Object.keys(claims).length === 0) refuse('claims names none: say which of its tokens are meant');
  const unknown = algorithms.find((name) => !SPIFFE_ALGORITHMS.includes(name));
  if (unknown !== undefined || algorithms.length === 0) refuse(`algorithms are of ${SPIFFE_ALGORITHMS.join(', ')}`);
  const [ns, namespace = '', sa, account = '', ...rest] = id.split('/');
  if (ns !== 'ns' || sa !== 'sa' || namespace === '' || account === '' || rest.length > 0) {
    refuse('id is not ns/<namespace>/sa/<account>');
  }
  if (isReserved(namespace)) refuse(`namespace "${namespace}" is reserved`);
  return {
    namespace: parseTemplate(namespace),
    account: parseTemplate(account),
    services: services?.map(parseTemplate),
  };
}

function isReserved(namespace: string): boolean {
  return namespace === RESERVED_NAMESPACE || namespace === MESH_NAMESPACE;
}

function readUsed({ value }: StoreEntry): v.InferOutput<typeof USED> | undefined {
  const result = v.safeParse(USED, tryParseJson(value));
  return result.success ? result.output : undefined;
}
