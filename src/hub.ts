/** The runtime-neutral hub: `createHub` on a platform that can listen; `node.ts` binds one. */

import type { Platform } from './core/platform.ts';
import { createHub as createHubOfParts, type Hub } from './hub/hub.ts';
import type { HubOptions } from './hub/options.ts';

export type { ClaimConditions } from './auth/claim-mapping.ts';
export type { KeyLife } from './auth/key-life.ts';
export { ERROR_CODES, type ErrorCode, type ErrorMeaning, SkeinError, type SkeinErrorOptions } from './core/errors.ts';
export type { LogRate } from './core/limited-log.ts';
export type { RateLimits } from './core/rates.ts';
export { Redacted } from './core/redacted.ts';
export type { CreatedToken, TokenRequest } from './hub/enroll.ts';
export type { Hub } from './hub/hub.ts';
export type { LeaseLimits } from './hub/leases.ts';
export {
  type FederatedDomain,
  HUB_LIMITS,
  HUB_ROLES,
  type HubLimits,
  type HubOptions,
  type HubRole,
} from './hub/options.ts';
export type { TrustedPlatform } from './hub/platform-trust.ts';
export type { AbsenceLimits } from './hub/registrations.ts';
export type { Applied } from './hub/resources.ts';
export { MemoryStore } from './hub/store/memory.ts';
export type { Store, StoreChange, StoreEntry } from './hub/store.ts';
export type * from './ports.ts';

/**
 * Runs a hub that issues, on a platform that can listen for HTTP. Resolves when it listens.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_STORE
 * @example
 * const hub = await createHub(nodePlatform(), { listen: { host: '127.0.0.1', port: 7000 }, dataFolder: './hub' });
 */
export function createHub(platform: Platform, options: HubOptions = {}): Promise<Hub> {
  return createHubOfParts(platform, options);
}
