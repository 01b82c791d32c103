/**
 * Federation: fetches the bundles of other trust domains from their endpoints (SPIFFE Federation, profile `https_web`) and keeps them as
 * resources, which are sealed and told to members. What was got last holds until there is something newer; an error takes nothing away.
 */

import { type OfferedBundle, parseFederatedBundle } from '../auth/federated-bundle.ts';
import { getJson } from '../auth/remote-document.ts';
import { toCanonicalJson } from '../catalog/digest.ts';
import { FEDERATED_TRUST_DOMAIN, parseFederatedTrustDomain } from '../catalog/federated-trust-domain.ts';
import { type Manifest, resourceKey } from '../catalog/resource.ts';
import { MESH_NAMESPACE } from '../catalog/service.ts';
import type { Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { hashText } from '../core/hash.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { jitter } from '../core/random.ts';
import { isSafeUrl } from '../core/safe-url.ts';
import { isTrustDomain } from '../core/spiffe-id.ts';
import type { FederatedDomain } from './options.ts';
import type { Resources } from './resources.ts';

export interface FederationOptions {
  readonly platform: Pick<Platform, 'clock' | 'random' | 'getDocument'>;
  readonly log: Logger;
  readonly resources: Pick<Resources, 'apply' | 'delete' | 'get' | 'list'>;
  readonly trustDomain: string;
  readonly domains: readonly FederatedDomain[];
}

/** Where its publisher does not say (SPIFFE Trust Domain and Bundle §4.1.2 asks for a default of 5 min). */
const DEFAULT_SECONDS = 300;
/** A stranger's hint must neither keep us busy nor keep a key that was taken back in force for days. */
const LEAST_SECONDS = 30;
const MOST_SECONDS = 3_600;
const RETRY_SECONDS = 60;
const FETCH_TIMEOUT_MS = 10_000;
/** On resources that the configuration has made, so that those it does not name any more go. */
const LABELS = { 'skein.dev/managed-by': 'federation' };

export class Federation {
  readonly #options: FederationOptions;
  readonly #timers = new Map<string, Timer>();
  /** When an endpoint has answered as it should, monotonic. */
  readonly #answeredMs = new Map<string, number>();
  #isClosed = false;

  /** @throws SkeinError SKEIN_CONFIG */
  constructor(options: FederationOptions) {
    this.#options = options;
    const nowMs = options.platform.clock.monotonicMs();
    for (const { trustDomain } of options.domains) this.#answeredMs.set(trustDomain, nowMs);
    const seen = new Set([options.trustDomain]);
    for (const { trustDomain, bundleEndpoint, profile = 'https_web' } of options.domains) {
      const refuse = (state: string): never => {
        throw new SkeinError('SKEIN_CONFIG', `Cannot federate with "${trustDomain}": ${state}`);
      };
      if (!isTrustDomain(trustDomain)) refuse('it is no trust domain');
      if (seen.has(trustDomain)) refuse('it is our own, or named twice');
      if (!isSafeUrl(bundleEndpoint)) refuse('bundleEndpoint is no https URL');
      if (profile !== 'https_web') refuse('profile is not https_web');
      seen.add(trustDomain);
    }
  }

  /** Takes away what is not configured any more, puts in what was given, and asks from now on. Never rejects. */
  async start(): Promise<void> {
    const { log, domains } = this.#options;
    await this.#forget().catch((thrown) => {
      log.log('error', 'federation-not-changed', { error: toSkeinError(thrown).message });
    });
    for (const domain of domains) {
      await this.#begin(domain).catch((thrown) => this.#tell(domain, thrown));
      this.#schedule(domain, 0);
    }
  }

  /** For each trust domain the time since its endpoint has answered. */
  *agesMs(): IterableIterator<readonly [trustDomain: string, ageMs: number]> {
    const nowMs = this.#options.platform.clock.monotonicMs();
    for (const [trustDomain, atMs] of this.#answeredMs) yield [trustDomain, nowMs - atMs];
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) timer.cancel();
  }

  async #forget(): Promise<void> {
    const { resources, domains } = this.#options;
    const wanted = new Set(domains.map(({ trustDomain }) => nameOf(trustDomain)));
    const left = (await resources.list()).filter(
      ({ kind, metadata }) => kind === FEDERATED_TRUST_DOMAIN && isManaged(metadata) && !wanted.has(metadata.name),
    );
    if (left.length > 0) await resources.delete(left.map(resourceKey));
  }

  async #begin(domain: FederatedDomain): Promise<void> {
    if (domain.bundle === undefined || (await this.#current(domain)) !== undefined) return;
    await this.#put(domain, parseFederatedBundle(domain.bundle));
  }

  #schedule(domain: FederatedDomain, seconds: number): void {
    if (this.#isClosed) return;
    const { clock, random } = this.#options.platform;
    const delayMs = seconds === 0 ? 0 : Math.round(jitter(random, seconds * 1000, 0.1));
    const timer = clock.setTimer(delayMs, () => {
      this.#refresh(domain)
        .catch((thrown) => {
          this.#tell(domain, thrown);
          return RETRY_SECONDS;
        })
        .then((next) => this.#schedule(domain, next))
        .catch(() => undefined); // a timer that cannot be set is one of a clock that has ended
    });
    this.#timers.set(domain.trustDomain, timer);
  }

  /** @returns seconds until the next time @throws SkeinError */
  async #refresh(domain: FederatedDomain): Promise<number> {
    const { platform, log } = this.#options;
    const offered = parseFederatedBundle(
      await getJson(platform, domain.bundleEndpoint, FETCH_TIMEOUT_MS, MAX_REDIRECTS),
    );
    this.#answeredMs.set(domain.trustDomain, platform.clock.monotonicMs());
    const next = Math.min(MOST_SECONDS, Math.max(LEAST_SECONDS, offered.refreshHintSeconds ?? DEFAULT_SECONDS));
    if (this.#isClosed) return next;
    const current = await this.#current(domain);
    if (current !== undefined && offered.spiffe_sequence < current.spiffe_sequence) {
      const { trustDomain } = domain;
      const [sequence, known] = [offered.spiffe_sequence, current.spiffe_sequence];
      log.log('error', 'federated-bundle-older', { trustDomain, sequence, known });
      return next;
    }
    if (current === undefined || !isSame(current, offered)) await this.#put(domain, offered);
    return next;
  }

  async #current({ trustDomain }: FederatedDomain) {
    const manifest = await this.#options.resources.get(FEDERATED_TRUST_DOMAIN, MESH_NAMESPACE, nameOf(trustDomain));
    const parsed = manifest && parseFederatedTrustDomain(manifest);
    return parsed !== undefined && 'value' in parsed ? parsed.value.spec.bundle : undefined;
  }

  async #put({ trustDomain }: FederatedDomain, { keys, spiffe_sequence }: OfferedBundle): Promise<void> {
    const { resources, log } = this.#options;
    const manifest: Manifest = {
      apiVersion: 'skein.dev/v1',
      kind: FEDERATED_TRUST_DOMAIN,
      metadata: { name: nameOf(trustDomain), namespace: MESH_NAMESPACE, labels: LABELS },
      spec: { trustDomain, bundle: { keys, spiffe_sequence } },
    };
    await resources.apply([manifest]);
    log.log('info', 'federated-bundle-changed', { trustDomain, sequence: spiffe_sequence, keys: keys.length });
  }

  #tell({ trustDomain, bundleEndpoint }: FederatedDomain, thrown: unknown): void {
    const { message, details } = toSkeinError(thrown);
    this.#options.log.log('warn', 'federated-bundle-not-fetched', {
      ...{ trustDomain, bundleEndpoint, error: message, ...details },
    });
  }
}

/** https_web allows them (SPIFFE Federation §5.2.1); none is remembered. */
const MAX_REDIRECTS = 3;

function isManaged({ labels }: Manifest['metadata']): boolean {
  return toCanonicalJson(labels) === toCanonicalJson(LABELS);
}

function isSame(a: Pick<OfferedBundle, 'keys' | 'spiffe_sequence'>, b: typeof a): boolean {
  const of = ({ keys, spiffe_sequence }: typeof a): string => toCanonicalJson({ keys, spiffe_sequence });
  return of(a) === of(b);
}

/** A label of DNS, and another one for each trust domain. */
function nameOf(trustDomain: string): string {
  const plain = trustDomain
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 48);
  return `${plain === '' ? 'td' : plain}-${hashText(trustDomain).toString(16).padStart(8, '0')}`;
}
