/** What administrators may ask of a hub, without HTTP: tokens, services, status, resources. */

import * as v from 'valibot';
import { findPermissive } from '../auth/authorizer.ts';
import { GRANTED_ROLES } from '../auth/hub-role.ts';
import { AUTHORIZATION_POLICY, parseAuthorizationPolicy } from '../catalog/authorization-policy.ts';
import { type Manifest, manifestKey } from '../catalog/resource.ts';
import type { Clock } from '../core/clock.ts';
import { tryParseDuration } from '../core/duration.ts';
import { SkeinError } from '../core/errors.ts';
import { readRequest } from './admin-request.ts';
import type { Enrolment } from './enroll.ts';
import type { HubIssuer } from './issuer.ts';
import { statusOf } from './journal.ts';
import { KeyAdmin } from './key-admin.ts';
import type { Leases } from './leases.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import type { Registrations } from './registrations.ts';
import type { Relay } from './relay.ts';
import { type ApplyOptions, type ApplyOutcome, notFound, type Resources } from './resources.ts';
import type { RevocationBoard, RevocationEntry } from './revocations.ts';
import { noIssuer } from './standing.ts';
import type { StatusBoard } from './status-board.ts';

export interface AdminOptions {
  readonly clock: Clock;
  readonly enrolment: Enrolment;
  readonly resources: Resources;
  readonly board: StatusBoard;
  readonly presence: Presence;
  readonly publisher: Publisher;
  readonly registrations: Registrations;
  readonly revocations: RevocationBoard;
  readonly leases: Leases;
  readonly relay: Relay;
  /** Undefined in a hub that does not hold the key of the issuer: nothing can be made there that others must believe. */
  readonly issuer: Pick<HubIssuer, 'keys' | 'audit' | 'holders'> | undefined;
  readonly about: HubAbout;
}

/** What does not change while a hub runs. */
export interface HubAbout {
  readonly instance: string;
  readonly trustDomain: string;
  readonly region: string;
  readonly roles: readonly string[];
  readonly runtime: string;
  readonly startedAtMs: number;
}

const tokenRequest = v.strictObject({
  services: v.optional(v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(256))),
  namespace: v.optional(v.string()),
  /** Lets in a hub. */
  hubRoles: v.optional(v.pipe(v.array(v.picklist(GRANTED_ROLES)), v.minLength(1))),
  /** GEP-2257, as "15m". */
  ttl: v.optional(v.string()),
});

const deleteRequest = v.pipe(v.array(v.pipe(v.string(), v.regex(/^[^/]+\/[^/]+\/[^/]+$/))), v.minLength(1));

const revocationRequest = v.strictObject({
  id: v.string(),
  /** Thumbprint: only this key of the identity. */
  key: v.optional(v.string()),
  reason: v.optional(v.string()),
  /** Who joins anew is good. */
  rejoin: v.optional(v.boolean()),
});

const undoRequest = v.pick(revocationRequest, ['id', 'key']);
type Named = v.InferOutput<typeof undoRequest>;

const rollbackRequest = v.strictObject({ to: v.pipe(v.number(), v.safeInteger(), v.minValue(0)) });

/** What the URL of a change says beside its body. */
export interface ApplyQuery {
  /** Number of the revision that the mesh must still have. */
  readonly ifRevision?: string;
  /** `true`: only says what would come of it. */
  readonly dryRun?: string;
  /** `true`: although tests of policies fail. */
  readonly ignoreTests?: string;
}

/** Entries in one answer. */
const AUDIT_PAGE = 1_000;

export class Admin {
  readonly keys: KeyAdmin;
  readonly #options: AdminOptions;
  #permissive: { readonly manifests: readonly Manifest[]; readonly rule: string | undefined } = {
    manifests: [],
    rule: undefined,
  };

  constructor(options: AdminOptions) {
    this.#options = options;
    this.keys = new KeyAdmin(options);
  }

  /** @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_REFUSED */
  async createToken(request: unknown): Promise<{ token: string; id: string; expiresAt: string }> {
    const { enrolment } = this.#options;
    this.#needIssuer('Cannot make token');
    const { services = [], namespace, hubRoles, ttl } = readRequest(tokenRequest, request, 'Cannot make token');
    const ttlMs = ttl === undefined ? undefined : tryParseDuration(ttl);
    if (ttl !== undefined && ttlMs === undefined) {
      throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot make token: "${ttl}" is no duration such as 15m`);
    }
    const token = await enrolment.createToken({
      services,
      hubRoles,
      ...(namespace === undefined ? {} : { namespace }),
      ...(ttlMs === undefined ? {} : { ttlMs }),
    });
    return { token: token.text, id: token.id, expiresAt: new Date(token.expiresAtMs).toISOString() };
  }

  /** @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_LIMIT, SKEIN_STORE */
  async revoke(
    request: unknown,
  ): Promise<{ readonly revoked: object; readonly number: number; readonly closed: number }> {
    const { presence, revocations } = this.#options;
    this.#needIssuer('Cannot revoke');
    const before = presence.size;
    const entry = await revocations.revoke(readRequest(revocationRequest, request, 'Cannot revoke'));
    return { revoked: toRevocation(entry), number: revocations.known.list.number, closed: before - presence.size };
  }

  /** @throws SkeinError SKEIN_RESOURCE_INVALID (404), SKEIN_STORE */
  async undoRevocation(request: unknown): Promise<{ readonly undone: Named; readonly number: number }> {
    const { revocations } = this.#options;
    this.#needIssuer('Cannot undo revocation');
    const { id, key } = readRequest(undoRequest, request, 'Cannot undo revocation');
    if (await revocations.undo({ id, key })) return { undone: { id, key }, number: revocations.known.list.number };
    throw new SkeinError('SKEIN_RESOURCE_INVALID', `Cannot undo revocation: "${id}" is not revoked`, { status: 404 });
  }

  /** Entries of the audit log behind number `after`, some of them at a time, as they are kept. @throws SkeinError SKEIN_REFUSED, SKEIN_BAD_REQUEST, SKEIN_STORE */
  async audit(after = '0'): Promise<object> {
    const { issuer } = this.#options;
    if (issuer === undefined) throw noIssuer('Cannot read audit log');
    if (!/^\d{1,12}$/.test(after))
      throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot read audit log: no number of an entry');
    return issuer.audit.page(Number(after), AUDIT_PAGE);
  }

  revocations(): object {
    const { known, entries } = this.#options.revocations;
    return { number: known.list.number, revocations: entries.map(toRevocation) };
  }

  services(): unknown {
    const { publisher, registrations } = this.#options;
    publisher.flush();
    const services = [...publisher.snapshot.services()].map(({ name, namespace, endpoints }) => ({
      name,
      namespace,
      endpoints: endpoints.map(({ instance, id, port, protocol, labels, region, zone, healthy, weight }) => ({
        instance,
        id,
        port,
        protocol,
        labels,
        region,
        zone,
        healthy,
        weight,
        connected: registrations.isHere(instance),
      })),
    }));
    services.sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name));
    return { services };
  }

  status(): unknown {
    const { about, clock, leases, presence, publisher, relay } = this.#options;
    publisher.flush();
    const { snapshot } = publisher;
    const { circuits, bytes, records } = relay.totals;
    const { startedAtMs, ...hub } = about;
    return {
      hub: {
        ...hub,
        startedAt: new Date(startedAtMs).toISOString(),
        uptimeMs: Math.max(0, clock.epochMs() - startedAtMs),
      },
      catalogue: {
        epoch: snapshot.epoch,
        revision: snapshot.revision,
        digest: snapshot.digest,
        resources: snapshot.size,
      },
      relay: { circuits, bytes, records },
      /** Other hubs on the same store. */
      hubs: leases.others().map(({ url, region }) => ({ url, region })),
      sidecars: [...presence.all()].map(({ instance, id, key, link, grants, connectedAtMs }) => ({
        instance,
        id: id.uri,
        key,
        address: link.remoteAddress ?? '',
        grants: [...grants],
        rttMs: Math.round(link.rttMs * 10) / 10,
        circuits: link.circuitCount,
        connectedMs: Math.round(clock.monotonicMs() - connectedAtMs),
      })),
    };
  }

  /** One manifest or a list of them. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT */
  apply(body: unknown, query: ApplyQuery): Promise<ApplyOutcome> {
    return this.#options.resources.apply(Array.isArray(body) ? body : [body], toApplyOptions(query));
  }

  /** The policy that makes the mesh permissive; undefined when it is not. */
  permissive(): string | undefined {
    const { publisher } = this.#options;
    publisher.flush();
    const manifests = publisher.snapshot.manifests(AUTHORIZATION_POLICY);
    if (manifests !== this.#permissive.manifests) {
      const policies = manifests.flatMap((manifest) => {
        const parsed = parseAuthorizationPolicy(manifest);
        return 'value' in parsed ? [parsed.value] : [];
      });
      this.#permissive = { manifests, rule: findPermissive(policies) };
    }
    return this.#permissive.rule;
  }

  /** Every resource with its status. */
  async resources(): Promise<{ resources: readonly object[] }> {
    const { publisher, resources } = this.#options;
    const manifests = await resources.list();
    publisher.flush();
    return { resources: manifests.map((manifest) => this.#withStatus(manifest)) };
  }

  /** What has changed the resources, oldest first, as far back as it is kept. */
  async revisions(): Promise<{ revisions: readonly unknown[] }> {
    const revisions = await this.#options.resources.revisions();
    return {
      revisions: revisions.map(({ revision, at, action, to, changes }) => ({
        ...{ revision, at, action, to },
        changes: changes.map((change) => ({ key: change.key, status: statusOf(change) })),
      })),
    };
  }

  /** @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT */
  rollback(body: unknown, query: ApplyQuery): Promise<ApplyOutcome> {
    const parsed = v.safeParse(rollbackRequest, body);
    if (!parsed.success) {
      throw new SkeinError('SKEIN_RESOURCE_INVALID', 'Cannot go back: "to" is no number of a revision');
    }
    return this.#options.resources.rollback(parsed.output.to, toApplyOptions(query));
  }

  /** @throws SkeinError SKEIN_RESOURCE_INVALID (404) */
  async resource(kind: string, namespace: string, name: string): Promise<object> {
    const { publisher, resources } = this.#options;
    const manifest = await resources.get(kind, namespace, name);
    if (manifest === undefined) throw notFound([manifestKey(kind, namespace, name)]);
    publisher.flush();
    return this.#withStatus(manifest);
  }

  /** A list of `Kind/namespace/name`: all of them, or none. @throws SkeinError SKEIN_RESOURCE_INVALID, SKEIN_CONFLICT */
  delete(body: unknown, query: ApplyQuery): Promise<ApplyOutcome> {
    const parsed = v.safeParse(deleteRequest, body);
    if (!parsed.success) {
      throw new SkeinError('SKEIN_RESOURCE_INVALID', 'Cannot delete: expected a list of Kind/namespace/name');
    }
    return this.#options.resources.delete(parsed.output, toApplyOptions(query));
  }

  #needIssuer(action: string): void {
    if (this.#options.issuer === undefined) throw noIssuer(action);
  }

  #withStatus(manifest: Manifest): object {
    const status = this.#options.board.statusOf(manifest);
    return status === undefined ? manifest : { ...manifest, status };
  }
}

function toRevocation({ id, key, reason, joinedUntilMs, atMs }: RevocationEntry): object {
  return { id, key, reason, rejoin: joinedUntilMs !== undefined, at: new Date(atMs).toISOString() };
}

/** @throws SkeinError SKEIN_BAD_REQUEST */
function toApplyOptions({ ifRevision, dryRun, ignoreTests }: ApplyQuery): ApplyOptions {
  if (ifRevision !== undefined && !/^\d{1,12}$/.test(ifRevision)) {
    throw new SkeinError('SKEIN_BAD_REQUEST', 'Cannot change resources: ifRevision is no number');
  }
  return {
    ifRevision: ifRevision === undefined ? undefined : Number(ifRevision),
    dryRun: dryRun === 'true',
    ignoreTests: ignoreTests === 'true',
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
