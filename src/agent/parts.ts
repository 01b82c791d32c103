/**
 * What a member can do beside calling and serving, part by part: handed in by the entries, so that who leaves one out does not
 * carry its code.
 */

import type { RegularExpressions } from '../catalog/regular-expression.ts';
import type { TunnelObserver } from '../telemetry/observe.ts';
import type { PrepareDirect } from './direct-paths.ts';
import type { MemberMemory } from './member-memory.ts';

export type { RegularExpressions };

export interface AgentParts {
  /** What counts records and frames. @default nobody */
  readonly observer?: TunnelObserver | undefined;
  /** What reads the regular expressions of routes. @default nothing: a route that has one fails every request */
  readonly regularExpressions?: RegularExpressions | undefined;
  /** What members before this one have left, each of which has lived for a request. @default nothing, and nothing is left to others */
  readonly memory?: MemberMemory | undefined;
  /** What finds paths around the relays. @default nobody: offers of peers are declined */
  readonly prepareDirect?: PrepareDirect | undefined;
}
