/**
 * Status board: the conditions of every resource, kept in step with the catalogue. A change is followed by a look at what depends on
 * it and at nothing else, so that a condition knows since when it is what it is.
 */

import {
  BACKEND_TRAFFIC_POLICY,
  type BackendTrafficPolicy,
  choosePolicies,
} from '../catalog/backend-traffic-policy.ts';
import {
  CONTROLLER_NAME,
  type Condition,
  type DatedCondition,
  type Status,
  type Subject,
} from '../catalog/condition.ts';
import { EXPORT, type Export, Exports, NO_EXPORTS } from '../catalog/export.ts';
import { type MeshView, portsOf, type ServicePorts } from '../catalog/mesh-view.ts';
import { parseKind } from '../catalog/parse.ts';
import { subjectsOf } from '../catalog/reference.ts';
import { isEndpoint, type Manifest, resourceKey } from '../catalog/resource.ts';
import { isRouteKind, type Route } from '../catalog/route.ts';
import { Snapshot } from '../catalog/snapshot.ts';
import { affectedBy, assess, DECIDING_KINDS, type Reading } from '../catalog/status.ts';
import type { Clock } from '../core/clock.ts';

interface Entry {
  readonly manifest: Manifest;
  readonly reading: Reading;
  readonly dependsOn: readonly string[];
  readonly subjects: readonly Subject<DatedCondition>[];
}

export class StatusBoard {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  /** What depends on a service, an extension, the exports of a namespace. */
  readonly #dependents = new Map<string, Set<string>>();
  readonly #view: MeshView;
  #snapshot = Snapshot.empty();
  #exports = NO_EXPORTS;
  #policies: ReadonlyMap<string, BackendTrafficPolicy> = new Map();
  /** Routes of a service, as of this change: each of them asks for all of them. */
  readonly #routes = new Map<string, readonly Route[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
    const board = this;
    this.#view = {
      ports: (service) => portsOf(this.#snapshot.endpoints(service)),
      routes: (service) => this.#routesOf(service),
      policy: (service) => this.#policies.get(service),
      has: (key) => this.#snapshot.entry(key) !== undefined,
      get exports() {
        return board.#exports;
      },
    };
  }

  /** The catalogue has changed in these keys. */
  follow(after: Snapshot, keys: Iterable<string>): void {
    const before = this.#snapshot;
    this.#snapshot = after;
    const manifests = new Map<string, Manifest | undefined>();
    const services = new Set<string>();
    const touched = new Set<string>();
    for (const key of keys) {
      const resource = after.get(key) ?? before.get(key);
      if (resource === undefined) continue;
      if (isEndpoint(resource)) {
        services.add(resource.service);
        continue;
      }
      const old = before.get(key) as Manifest | undefined;
      const now = after.get(key) as Manifest | undefined;
      manifests.set(key, now);
      touched.add(key);
      for (const manifest of [old, now])
        if (manifest !== undefined) for (const each of affectedBy(manifest)) touched.add(each);
    }
    for (const service of services) {
      if (isOther(portsOf(before.endpoints(service)), portsOf(after.endpoints(service)))) touched.add(service);
    }
    for (const [key, manifest] of manifests) this.#read(key, manifest);
    this.#index([...manifests.keys()]);
    this.#routes.clear();
    for (const key of manifests.keys()) this.#assess(key);
    const dependents = new Set([...touched].flatMap((each) => [...(this.#dependents.get(each) ?? [])]));
    for (const key of dependents) if (!manifests.has(key)) this.#assess(key);
  }

  /** The status of a resource; undefined while the board has not heard of it. */
  statusOf(manifest: Manifest): Status | undefined {
    const entry = this.#entries.get(resourceKey(manifest));
    if (entry === undefined) return undefined;
    const { subjects } = entry;
    if (isRouteKind(manifest.kind)) {
      return { parents: subjects.map(({ ref = {}, conditions }) => ({ parentRef: ref, ...signed(conditions) })) };
    }
    if (manifest.kind === BACKEND_TRAFFIC_POLICY) {
      return { ancestors: subjects.map(({ ref = {}, conditions }) => ({ ancestorRef: ref, ...signed(conditions) })) };
    }
    return { conditions: subjects.flatMap(({ conditions }) => conditions) };
  }

  #read(key: string, manifest: Manifest | undefined): void {
    const before = this.#entries.get(key);
    for (const each of before?.dependsOn ?? []) {
      const dependents = this.#dependents.get(each);
      dependents?.delete(key);
      if (dependents?.size === 0) this.#dependents.delete(each);
    }
    if (manifest === undefined) {
      this.#entries.delete(key);
      return;
    }
    const parsed = parseKind(manifest);
    // As members do it: the last version that could be read holds, but for a policy that may deny.
    const last = DECIDING_KINDS.includes(manifest.kind) ? undefined : before?.reading.value;
    const reading = 'value' in parsed ? { value: parsed.value, issues: [] } : { value: last, issues: parsed.issues };
    this.#entries.set(key, { manifest, reading, dependsOn: [], subjects: before?.subjects ?? [] });
  }

  /** What is looked up among all resources of a kind. */
  #index(changed: readonly string[]): void {
    const isAny = (kind: string): boolean => changed.some((key) => key.startsWith(`${kind}/`));
    if (isAny(EXPORT)) this.#exports = new Exports(this.#valuesOf<Export>(EXPORT));
    if (isAny(BACKEND_TRAFFIC_POLICY)) {
      this.#policies = choosePolicies(this.#valuesOf<BackendTrafficPolicy>(BACKEND_TRAFFIC_POLICY));
    }
    for (const key of changed) {
      const manifest = this.#entries.get(key)?.manifest;
      // So that they find each other when they are judged.
      for (const service of manifest === undefined ? [] : (subjectsOf(manifest) ?? [])) this.#depend(key, service);
    }
  }

  #assess(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    const { subjects, dependsOn } = assess(entry.manifest, entry.reading, this.#view);
    for (const each of dependsOn) this.#depend(key, each);
    const generation = Number(entry.manifest.metadata.generation ?? 1);
    const dated = subjects.map((subject) => {
      const before = entry.subjects.find(({ ref }) => isSameRef(ref, subject.ref));
      return {
        ref: subject.ref,
        conditions: subject.conditions.map((each) => this.#date(each, before, generation)),
      };
    });
    this.#entries.set(key, {
      ...entry,
      dependsOn: [...new Set([...entry.dependsOn, ...dependsOn, ...(subjectsOf(entry.manifest) ?? [])])],
      subjects: dated,
    });
  }

  #date(condition: Condition, before: Subject<DatedCondition> | undefined, observedGeneration: number): DatedCondition {
    const same = before?.conditions.find(({ type, status }) => type === condition.type && status === condition.status);
    const lastTransitionTime = same?.lastTransitionTime ?? new Date(this.#clock.epochMs()).toISOString();
    return { ...condition, observedGeneration, lastTransitionTime };
  }

  #depend(key: string, on: string): void {
    const known = this.#dependents.get(on);
    if (known === undefined) this.#dependents.set(on, new Set([key]));
    else known.add(key);
  }

  #routesOf(service: string): readonly Route[] {
    const known = this.#routes.get(service);
    if (known !== undefined) return known;
    const routes = [...(this.#dependents.get(service) ?? [])].flatMap((key) => {
      const entry = this.#entries.get(key);
      if (entry === undefined || !isRouteKind(entry.manifest.kind) || entry.reading.value === undefined) return [];
      return subjectsOf(entry.manifest)?.includes(service) ? [entry.reading.value as Route] : [];
    });
    this.#routes.set(service, routes);
    return routes;
  }

  #valuesOf<T>(kind: string): T[] {
    return this.#snapshot.manifests(kind).flatMap((manifest) => {
      const value = this.#entries.get(resourceKey(manifest))?.reading.value;
      return value === undefined ? [] : [value as T];
    });
  }
}

function signed(conditions: readonly DatedCondition[]) {
  return { controllerName: CONTROLLER_NAME, conditions };
}

function isOther(before: ServicePorts | undefined, after: ServicePorts | undefined): boolean {
  if (before === undefined || after === undefined) return before !== after;
  return before.size !== after.size || [...after].some(([port, protocol]) => before.get(port) !== protocol);
}

function isSameRef(a: object | undefined, b: object | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
