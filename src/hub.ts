/** The hub: rendezvous of a mesh, on a platform that can listen. */

export { SkeinError } from './core/errors.ts';
export type { CreatedToken, TokenRequest } from './hub/enroll.ts';
export { createHub, type Hub } from './hub/hub.ts';
export { HUB_LIMITS, HUB_ROLES, type HubLimits, type HubOptions, type HubRole } from './hub/options.ts';
export type { TrustedPlatform } from './hub/platform-trust.ts';
export type { Applied } from './hub/resources.ts';
export { MemoryStore } from './hub/store/memory.ts';
export type { Store, StoreChange, StoreEntry } from './hub/store.ts';
