/** The package in a Worker of Cloudflare, or of workerd anywhere: the neutral API bound to the platform of an isolate. */

import { createMesh as createMeshOn, type Mesh, type MeshOptions } from './agent/mesh.ts';
import { workerdPlatform } from './runtime/workerd/platform.ts';

export type {
  AbsenceLimits,
  ClaimConditions,
  FederatedDomain,
  HubLimits,
  HubOptions,
  HubRole,
  KeyLife,
  LeaseLimits,
  LogRate,
  RateLimits,
  Store,
  StoreChange,
  StoreEntry,
  TrustedPlatform,
} from './hub.ts';
export * from './index.ts';
export {
  type HubEnv,
  HubObject,
  type ObjectContext,
  type ObjectHubOptions,
  type ObjectStorage,
  type ObjectValues,
  type SleepingSocket,
} from './workerd-hub.ts';
export { workerdPlatform };

/**
 * Joins the mesh for the time of one request, or of one Durable Object: nobody else may use what it gives.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_IDENTITY
 */
export function createMesh(options: MeshOptions): Promise<Mesh> {
  return createMeshOn(workerdPlatform(), options);
}
