/** The runtime-neutral sidecar: `createSidecar` on a platform that can listen and dial TCP; `node.ts` binds one. */

export type { DirectLimits, DirectOptions } from './agent/direct/options.ts';
export type { Middleware } from './agent/middleware.ts';
export type { AgentLimits, AgentOptions } from './agent/options.ts';
export { ERROR_CODES, type ErrorCode, type ErrorMeaning, SkeinError, type SkeinErrorOptions } from './core/errors.ts';
export type { RateLimits } from './core/rates.ts';
export { Redacted } from './core/redacted.ts';
export type * from './ports.ts';
export type { RouterOptions } from './router/options.ts';
export type {
  ExposeOptions,
  HealthOptions,
  ListenOptions,
  SidecarDirectOptions,
  SidecarOptions,
  TargetOptions,
  TcpListenOptions,
} from './sidecar/options.ts';
export { createSidecar, type Sidecar } from './sidecar/sidecar.ts';
export { type AccessLog, type AccessRecord, createAccessLog } from './telemetry/access-log.ts';
