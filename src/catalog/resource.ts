/** Resource: what a catalogue holds — endpoints, which come and go with instances, and manifests, which people apply. */

import type { Endpoint } from './endpoint.ts';

/**
 * A route or policy as it was applied, kept in its own words: hub and sidecar parse it each for itself, so that a sidecar
 * of another version refuses what it does not understand instead of seeing a shortened form of it.
 */
export interface Manifest {
  readonly apiVersion?: string | undefined;
  readonly kind: string;
  readonly metadata: ManifestMetadata;
  readonly spec?: unknown;
}

export interface ManifestMetadata {
  readonly name: string;
  readonly namespace: string;
  /** RFC 3339, as the hub writes it when a resource is made: the oldest of two that contradict wins. */
  readonly creationTimestamp?: unknown;
  /** Counts the specifications that a resource has had. */
  readonly generation?: unknown;
  /** The revision of the mesh that has changed it last. */
  readonly resourceVersion?: unknown;
  readonly [key: string]: unknown;
}

export type Resource = Endpoint | Manifest;

/** `Endpoint/<service>/<instance>/<port>` or `<Kind>/<namespace>/<name>`. */
export function resourceKey(resource: Resource): string {
  return isEndpoint(resource)
    ? `Endpoint/${resource.service}/${resource.instance}/${resource.port}`
    : manifestKey(resource.kind, resource.metadata.namespace, resource.metadata.name);
}

export function manifestKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

export function isEndpoint(resource: Resource): resource is Endpoint {
  return resource.kind === 'Endpoint';
}
