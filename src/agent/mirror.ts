/** Mirror: the local copy of the catalogue, with what is compiled from it: authorizer and routes. All stay as they are while no hub is there. */

import { Authorizer } from '../auth/authorizer.ts';
import type { LatestStatements } from '../auth/seal.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import {
  AUTHORIZATION_POLICY,
  type AuthorizationPolicy,
  parseAuthorizationPolicy,
} from '../catalog/authorization-policy.ts';
import type { BackendTrafficPolicy } from '../catalog/backend-traffic-policy.ts';
import type { Endpoint } from '../catalog/endpoint.ts';
import { createInterest } from '../catalog/interest.ts';
import type { Issue } from '../catalog/issue.ts';
import { NO_REGULAR_EXPRESSIONS, type RegularExpressions } from '../catalog/regular-expression.ts';
import {
  parseRequestAuthentication,
  REQUEST_AUTHENTICATION,
  type RequestAuthentication,
} from '../catalog/request-authentication.ts';
import type { Manifest } from '../catalog/resource.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import type { Channel } from '../control/channel.ts';
import type { AsOf, CataloguePush, SealPush } from '../control/messages.ts';
import { CatalogueWatch, type WatchStats } from '../control/watch.ts';
import { toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import type { EndpointSource } from '../router/upstream.ts';
import { Authentications } from './authentications.ts';
import type { Judge } from './explain.ts';
import { FederatedTrust, type OwnTrust } from './federated-trust.ts';
import { PolicyAge } from './policy-age.ts';
import { Routing } from './routing.ts';
import { SealedCatalogue } from './sealed-catalogue.ts';

export interface MirrorOptions {
  readonly platform: Platform;
  readonly log: Logger;
  /** Other policies hold from now on. */
  readonly onPolicies: () => void;
  /** Namespace of the own identity. */
  readonly namespace: () => string;
  /** What reads the patterns of routes. @default nothing: such a route fails every request */
  readonly expressions?: RegularExpressions | undefined;
  /** Services that were called before this member, and from now on. */
  readonly remembered?: Set<string> | undefined;
  /** Policies and routes are believed as far as their issuer has sealed them. Without it, as they are told. */
  readonly sealing?: Sealing;
  /** Without it no trust domain is the own one. */
  readonly own?: OwnTrust;
}

export interface Sealing {
  /** Services that are served here, `name.namespace`. */
  readonly served: () => Iterable<string>;
  /** Keys of the issuer. */
  readonly bundle: () => TrustBundle;
  /** What else the issuer has said, as far as this member was told. */
  readonly known: () => LatestStatements;
  /** The hub behind that channel does not show what was sealed. */
  readonly onDoubt: (channel: Channel) => void;
}

const NOBODY: OwnTrust = { trustDomain: () => '', jwtKeys: () => undefined, isRevoked: () => false };

export class Mirror implements EndpointSource {
  /** What the routes of the last catalogue say. */
  readonly routing: Routing;
  /** Trust domains whose tokens are believed. */
  readonly trust: FederatedTrust;
  /** Whose tokens of end users the last catalogue believes. */
  readonly authentications: Authentications;
  readonly #options: MirrorOptions;
  readonly #watch: CatalogueWatch;
  #channel: Channel | undefined;
  #manifests: readonly Manifest[] = [];
  #authentications: readonly Manifest[] = [];
  /** In place of what cannot be read. */
  #closed: readonly AuthorizationPolicy[] = [];
  readonly #policyAge: PolicyAge;
  readonly #sealed: SealedCatalogue | undefined;
  #authorizer = new Authorizer([]);

  constructor(options: MirrorOptions) {
    this.#options = options;
    const { platform, log, namespace, expressions = NO_REGULAR_EXPRESSIONS, sealing, remembered } = options;
    this.routing = new Routing({ log, namespace, expressions });
    this.trust = new FederatedTrust(log, options.own ?? NOBODY);
    this.authentications = new Authentications(platform, log, this.trust);
    this.#policyAge = new PolicyAge(platform.clock, log);
    if (sealing !== undefined) this.#sealed = this.#createSealed(sealing);
    this.#watch = new CatalogueWatch({
      sha256: platform.crypto.sha256,
      clock: platform.clock,
      random: platform.random,
      ...{ log, remembered },
      onSnapshot: (snapshot, asOf) => this.#onSnapshot(snapshot, asOf),
    });
  }

  get snapshot(): Snapshot {
    return this.#watch.snapshot;
  }

  /** What was refused because it was not sealed, and how old the seal is. */
  get seals(): Pick<SealedCatalogue, 'stats' | 'sealAgeMs'> | undefined {
    return this.#sealed;
  }

  get stats(): WatchStats {
    return this.#watch.stats;
  }

  /** What the policies of the last catalogue say; before the first it denies everything. */
  get authorizer(): Authorizer {
    return this.#authorizer;
  }

  /** The same, for those who explain. */
  get judge(): Judge {
    return { authorizer: this.#authorizer, looks: (service) => this.authentications.of(service) !== undefined };
  }

  /** Follows the catalogue over `channel` from now on. Resolves when it has told what is watched. */
  attach(channel: Channel): Promise<void> {
    this.#sealed?.onHub();
    this.#channel = channel;
    this.#policyAge.onHub();
    return this.#watch.attach(channel).then(() => this.#sealed?.ready());
  }

  detach(channel: Channel): void {
    if (this.#channel === channel) this.#channel = undefined;
    this.#watch.detach(channel);
  }

  receive(push: CataloguePush, channel: Channel): void {
    if (this.#channel !== channel) return;
    try {
      this.#watch.receive(push);
    } catch (thrown) {
      channel.close(toSkeinError(thrown));
    }
  }

  receiveSeal(push: SealPush, channel: Channel): void {
    if (this.#channel === channel) this.#sealed?.receive(push);
  }

  isKnown(service: string): boolean {
    return this.#watch.isKnown(service) && this.#sealed?.isSealed(service) !== false;
  }

  endpoints(service: string): readonly Endpoint[] {
    return this.#watch.snapshot.endpoints(service);
  }

  policy(service: string): BackendTrafficPolicy | undefined {
    return this.routing.policy(service);
  }

  async watch(service: string): Promise<void> {
    await this.#watch.add(service);
    await this.#sealed?.sealed(service);
  }

  forget(service: string): void {
    this.#watch.remove(service);
    this.#sealed?.forget(service);
  }

  close(): void {
    this.#sealed?.close();
  }

  #onSnapshot(snapshot: Snapshot, asOf: AsOf | undefined): void {
    // A hub that is behind is no better informed about routes than about policies.
    if (!this.#policyAge.accepts(asOf)) return;
    if (this.#sealed !== undefined) return this.#sealed.onSnapshot(snapshot);
    this.routing.onSnapshot(snapshot);
    this.#onPolicies(snapshot);
  }

  #createSealed({ served, bundle, known, onDoubt }: Sealing): SealedCatalogue {
    const { platform, log, namespace } = this.#options;
    return new SealedCatalogue({
      ...{ platform, log, bundle, known },
      interest: () => createInterest(this.#watch.services, served(), namespace()),
      onPolicies: (snapshot) => this.#onPolicies(snapshot),
      onRoutes: (snapshot) => this.routing.onSnapshot(snapshot),
      onDoubt: () => {
        if (this.#channel !== undefined) onDoubt(this.#channel);
      },
    });
  }

  #onPolicies(snapshot: Snapshot): void {
    const manifests = snapshot.manifests(AUTHORIZATION_POLICY);
    const authentications = snapshot.manifests(REQUEST_AUTHENTICATION);
    const hasSameTrust = !this.trust.follow(snapshot);
    const isSame = (a: readonly Manifest[], b: readonly Manifest[]): boolean => a === b || a.length + b.length === 0;
    // What was verified by a key that is gone is forgotten.
    const hasSameUsers = isSame(authentications, this.#authentications) && hasSameTrust;
    if (isSame(manifests, this.#manifests) && hasSameUsers) return;
    this.#manifests = manifests;
    this.#authentications = authentications;
    if (!hasSameUsers) this.#readAuthentications();
    this.#authorizer = new Authorizer([...manifests.map((manifest) => this.#readPolicy(manifest)), ...this.#closed]);
    const policies = [...manifests, ...authentications].map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
    this.#options.log.log('info', 'policies-changed', { revision: snapshot.revision, policies });
    const { permissive } = this.#authorizer;
    if (permissive !== undefined) this.#options.log.log('warn', 'mesh-permissive', { rule: permissive });
    this.#options.onPolicies();
  }

  #readAuthentications(): void {
    const closed: AuthorizationPolicy[] = [];
    const read = this.#authentications.flatMap((manifest): RequestAuthentication[] => {
      const parsed = parseRequestAuthentication(manifest);
      if ('value' in parsed) return [parsed.value];
      closed.push(this.#closeNamespace(manifest, parsed.issues));
      return [];
    });
    this.#closed = closed;
    this.authentications.replace(read);
  }

  #readPolicy(manifest: Manifest): AuthorizationPolicy {
    const parsed = parseAuthorizationPolicy(manifest);
    return 'value' in parsed ? parsed.value : this.#closeNamespace(manifest, parsed.issues);
  }

  /** What this version cannot read may be what denies: until it can, its namespace takes no calls. */
  #closeNamespace({ kind, metadata: { name, namespace } }: Manifest, issues: readonly Issue[]): AuthorizationPolicy {
    this.#options.log.log('error', 'policy-unreadable', { kind, policy: `${namespace}/${name}`, issues });
    return { name, namespace, spec: { deny: [{}] } };
  }
}
