/** The package on Node, Bun and Deno: the neutral API bound to the one platform that the three share. */

import { createMesh as createMeshOn, type Mesh, type MeshOptions } from './agent/mesh.ts';
import { createHub as createHubOn, type Hub } from './hub/hub.ts';
import type { HubOptions } from './hub/options.ts';
import { nodePlatform } from './runtime/node/platform.ts';

export type { CreatedToken, Hub, HubLimits, HubOptions, HubRole, Store, StoreEntry, TokenRequest } from './hub.ts';
export type {
  AgentEvents,
  Fetch,
  IncomingSocket,
  Logger,
  LogLevel,
  Mesh,
  MeshOptions,
  MeshSocket,
  Platform,
  ServedService,
  ServeHandler,
  ServiceOptions,
} from './index.ts';
export { ERROR_CODES, type ErrorCode, SkeinError } from './index.ts';
/** @internal For the command line, which may not name a runtime. */
export { nodeProcess } from './runtime/node/process.ts';
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
  return createMeshOn(nodePlatform(), options);
}

/**
 * Runs a hub in this process.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_STORE
 * @example
 * const hub = await createHub({ listen: { host: '127.0.0.1', port: 7000 }, dataFolder: './hub' });
 * await hub.drain();
 */
export function createHub(options: HubOptions = {}): Promise<Hub> {
  return createHubOn(nodePlatform(), options);
}
