/** The runtime-neutral API: a member of the mesh on a platform that is given; `node.ts` and its like bind one. */

import { ALL_PARTS } from './agent/all-parts.ts';
import { createMesh, type Mesh, type MeshOptions } from './agent/mesh.ts';
import type { Platform } from './core/platform.ts';

export type { AgentEvents } from './agent/agent.ts';
export type { BearerToken } from './agent/bearer-tokens.ts';
export type { IncomingSocket, MeshSocket } from './agent/connect.ts';
export type { DirectLimits, DirectOptions } from './agent/direct/options.ts';
export type { Fetch } from './agent/fetch.ts';
export type { Mesh, MeshOptions, ServedService, ServiceOptions, TokenHolder } from './agent/mesh.ts';
export type { Middleware } from './agent/middleware.ts';
export type { AgentLimits, AgentOptions } from './agent/options.ts';
export type { ServeHandler } from './agent/serve.ts';
export { ERROR_CODES, type ErrorCode, type ErrorMeaning, SkeinError, type SkeinErrorOptions } from './core/errors.ts';
export type { RateLimits } from './core/rates.ts';
export { Redacted } from './core/redacted.ts';
export type * from './ports.ts';
export type { RouterOptions } from './router/options.ts';
export type { Rate, RateLimitPolicy, RateOverride } from './router/rate-limit.ts';

/**
 * Joins the mesh on `platform`. Resolves when a hub has taken this member.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_IDENTITY; the reason of `signal`
 */
export function createMeshOn(platform: Platform, options: MeshOptions): Promise<Mesh> {
  return createMesh(platform, options, ALL_PARTS);
}
