/** What the kinds have in common: names, references, ports and durations, in the words and limits of Gateway API. */

import * as v from 'valibot';
import { tryParseDuration } from '../core/duration.ts';
import type { Manifest } from './resource.ts';
import { isLabel } from './service.ts';

/** Everything a route of any kind says about itself. */
export interface RouteMeta {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339; empty when nobody has written it down. The oldest route wins a tie. */
  readonly createdAt: string;
}

export function toRouteMeta({ kind, metadata }: Manifest): RouteMeta {
  const { namespace, name, creationTimestamp } = metadata;
  return { kind, namespace, name, createdAt: typeof creationTimestamp === 'string' ? creationTimestamp : '' };
}

interface Dated {
  readonly createdAt: string;
  readonly namespace: string;
  readonly name: string;
}

/** Negative when `a` comes first where two resources contradict each other: the older one, then the first by name. */
export function compareAge(a: Dated, b: Dated): number {
  return compareText(a.createdAt, b.createdAt) || compareText(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

export const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));

/** An RFC 1123 subdomain: names of sections and of rules. */
export const subdomain = v.pipe(v.string(), v.maxLength(253), v.regex(SUBDOMAIN, 'is not a DNS name in lower case'));

export const namespaceName = v.pipe(v.string(), v.check(isLabel, 'is not a DNS label'));
export const objectName = v.pipe(v.string(), v.minLength(1, 'is empty'), v.maxLength(253));
const group = v.pipe(
  v.string(),
  v.maxLength(253),
  v.check((text) => text === '' || SUBDOMAIN.test(text), 'is not an API group'),
);
export const kindName = v.pipe(
  v.string(),
  v.regex(/^[a-zA-Z](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/, 'is not the name of a kind'),
);

/** A GEP-2257 duration, as milliseconds. */
export const duration = v.pipe(
  v.string(),
  v.check((text) => tryParseDuration(text) !== undefined, 'is no duration such as 500ms or 1m30s (GEP-2257)'),
  v.transform((text) => tryParseDuration(text) ?? 0),
);

/** API group of the routes of Gateway API. */
export const ROUTE_GROUP = 'gateway.networking.k8s.io';

const parentRef = v.strictObject({
  group: v.optional(group, ROUTE_GROUP),
  kind: v.optional(kindName, 'Gateway'),
  namespace: v.optional(namespaceName),
  name: objectName,
  sectionName: v.optional(subdomain),
  port: v.optional(port),
});

/** What a route is attached to. In a mesh that is a Service (GAMMA). */
export type ParentRef = v.InferOutput<typeof parentRef>;

const MAX_PARENTS = 32;

export const parentRefs = v.optional(
  v.pipe(
    v.array(parentRef),
    v.maxLength(MAX_PARENTS, `has more than ${MAX_PARENTS} entries`),
    v.check(
      (refs) => groupParents(refs).every((same) => same.length === 1 || same.every(isNarrowed)),
      'refers to one parent twice: then each must give sectionName or port',
    ),
    v.check(
      (refs) => groupParents(refs).every((same) => new Set(same.map(narrowing)).size === same.length),
      'refers to one parent twice with the same sectionName and port',
    ),
    v.check(
      (refs) => groupParents(refs).every((same) => new Set(same.map(narrowingForm)).size === 1),
      'refers to one parent twice: then each must give the same of sectionName and port',
    ),
  ),
  [],
);

function groupParents(refs: readonly ParentRef[]): ParentRef[][] {
  const groups = new Map<string, ParentRef[]>();
  for (const ref of refs) {
    const key = [ref.group, ref.kind, ref.namespace ?? '', ref.name].join('\n');
    groups.set(key, [...(groups.get(key) ?? []), ref]);
  }
  return [...groups.values()];
}

function isNarrowed({ sectionName, port: number }: ParentRef): boolean {
  return sectionName !== undefined || number !== undefined;
}

function narrowing({ sectionName = '', port: number = 0 }: ParentRef): string {
  return `${sectionName}:${number}`;
}

function narrowingForm({ sectionName, port: number }: ParentRef): string {
  return `${sectionName !== undefined}:${number !== undefined}`;
}

/** Members of every reference to a backend. */
export const backendObjectRef = {
  group: v.optional(group, ''),
  kind: v.optional(kindName, 'Service'),
  namespace: v.optional(namespaceName),
  name: objectName,
  port: v.optional(port),
};

const MAX_WEIGHT = 1_000_000;
export const weight = v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_WEIGHT)), 1);

export interface BackendObjectRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly port?: number | undefined;
}

/** CEL of BackendObjectReference. */
export function hasPortIfService({ group: apiGroup, kind, port: number }: BackendObjectRef): boolean {
  return apiGroup !== '' || kind !== 'Service' || number !== undefined;
}

export const PORT_MISSING = 'refers to a Service without a port';

/** Limits of every kind of route. */
export const MAX_RULES = 16;
export const MAX_MATCHES_PER_RULE = 64;
export const MAX_MATCHES = 128;
export const MAX_BACKENDS = 16;
const MAX_HOSTNAMES = 16;

/** RFC 1123, where the first label may be `*`; no address. */
const HOSTNAME = /^(?:\*\.)?[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const hostname = v.pipe(
  v.string(),
  v.maxLength(253),
  v.regex(HOSTNAME, 'is not a host name in lower case'),
  v.check((text) => !/^[0-9.]+$/.test(text), 'is an address, not a host name'),
);

/** Checked, and without effect in a mesh: a route is chosen by its service, and a match may look at Host (GEP-1294). */
export const hostnames = v.optional(v.pipe(v.array(hostname), v.maxLength(MAX_HOSTNAMES)), []);

export const NAME_TWICE = 'gives one name to two rules';

export function hasUniqueNames(rules: readonly { readonly name?: string | undefined }[]): boolean {
  const names = rules.flatMap(({ name }) => name ?? []);
  return new Set(names).size === names.length;
}
