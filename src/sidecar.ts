/** The runtime-neutral sidecar: `createSidecar` on a platform that can listen and dial TCP; `node.ts` binds one. */

export { ERROR_CODES, type ErrorCode, SkeinError } from './core/errors.ts';
export type { Logger, LogLevel } from './core/log.ts';
export type { Platform } from './core/platform.ts';
export type {
  ExposeOptions,
  HealthOptions,
  ListenOptions,
  SidecarOptions,
  TargetOptions,
  TcpListenOptions,
} from './sidecar/options.ts';
export { createSidecar, type Sidecar } from './sidecar/sidecar.ts';
export { type AccessLog, type AccessRecord, createAccessLog } from './telemetry/access-log.ts';
