/** The runtime-neutral API: a member of the mesh on a platform that is given; `node.ts` and its like bind one. */

export type { AgentEvents } from './agent/agent.ts';
export type { BearerToken } from './agent/bearer-tokens.ts';
export type { IncomingSocket, MeshSocket } from './agent/connect.ts';
export type { Fetch } from './agent/fetch.ts';
export {
  createMesh as createMeshOn,
  type Mesh,
  type MeshOptions,
  type ServedService,
  type ServiceOptions,
  type TokenHolder,
} from './agent/mesh.ts';
export type { Middleware } from './agent/middleware.ts';
export type { AgentLimits, AgentOptions } from './agent/options.ts';
export type { ServeHandler } from './agent/serve.ts';
export { ERROR_CODES, type ErrorCode, SkeinError } from './core/errors.ts';
export type { Logger, LogLevel } from './core/log.ts';
export type { Platform } from './core/platform.ts';
