/** The runtime-neutral API: a member of the mesh on a platform that is given; `node.ts` and its like bind one. */

export type { AgentEvents } from './agent/agent.ts';
export type { BearerToken } from './agent/bearer-tokens.ts';
export type { IncomingSocket, MeshSocket } from './agent/connect.ts';
export type { DirectLimits, DirectOptions } from './agent/direct/options.ts';
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
export { ERROR_CODES, type ErrorCode, type ErrorMeaning, SkeinError, type SkeinErrorOptions } from './core/errors.ts';
export type { RateLimits } from './core/rates.ts';
export { Redacted } from './core/redacted.ts';
export type * from './ports.ts';
export type { RouterOptions } from './router/options.ts';
export type { Rate, RateLimitPolicy, RateOverride } from './router/rate-limit.ts';
