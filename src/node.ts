/** The package on Node, Bun and Deno: the neutral API bound to the one platform that the three share. */

import { ALL_PARTS } from './agent/all-parts.ts';
import { joinAsHub } from './agent/hub-membership.ts';
import { createMesh as createMeshOn, type Mesh, type MeshOptions } from './agent/mesh.ts';
import { createHub as createHubOn, type Hub } from './hub/hub.ts';
import type { HubOptions } from './hub/options.ts';
import { hostPlatform as nodePlatform } from './runtime/bun/platform.ts';
import type { SidecarOptions } from './sidecar/options.ts';
import { createSidecar as createSidecarOn, type Sidecar } from './sidecar/sidecar.ts';

export * from './hub.ts';
export * from './index.ts';
export * from './sidecar.ts';
export { nodePlatform };

/**
 * Joins the mesh as a library: no port, no other process.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_IDENTITY
 * @example
 * const mesh = await createMesh({ hub: 'wss://hub.example.com', token });
 * const reply = await mesh.fetch('http://api.mesh/orders/7');
 * await mesh.close();
 */
export function createMesh(options: MeshOptions): Promise<Mesh> {
  return createMeshOn(nodePlatform(), options, ALL_PARTS);
}

/** For a hub that does not issue, which is a member of the mesh itself. */
export interface HubJoin {
  /**
   * `hub`: hubs that issue, `wss://…` or `ws://…`, the preferred ones first. `token`: what `skein token create --hub-role …` printed
   * there, which is not needed when `dataFolder` holds the identity.
   */
  readonly join?: { readonly hub: string | readonly string[]; readonly token?: string | undefined } | undefined;
}

/**
 * Runs a hub in this process.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_STORE; with `join` also SKEIN_IDENTITY, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED
 * @example
 * const hub = await createHub({ listen: { host: '127.0.0.1', port: 7000 }, dataFolder: './hub' });
 * await hub.drain();
 */
export async function createHub({ join, ...options }: HubOptions & HubJoin = {}): Promise<Hub> {
  const platform = nodePlatform();
  if (join === undefined) return createHubOn(platform, options);
  const { roles, log, dataFolder: data } = options;
  const membership = await joinAsHub(platform, { ...join, roles, log, data });
  return createHubOn(platform, options, { membership });
}

/**
 * Runs a sidecar in this process: applications beside it are offered to the mesh, local ports lead into it.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_IDENTITY,
 *   SKEIN_NAME_NOT_GRANTED, SKEIN_STORE
 * @example
 * const sidecar = await createSidecar({
 *   hub: 'wss://hub.example.com',
 *   token,
 *   expose: [{ service: 'api', target: 'http://127.0.0.1:3000' }],
 *   listen: { http: '127.0.0.1:8080' },
 * });
 * await sidecar.drain();
 */
export function createSidecar(options: SidecarOptions): Promise<Sidecar> {
  return createSidecarOn(nodePlatform(), options);
}
