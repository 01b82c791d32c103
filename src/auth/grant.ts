/** What a verified peer may do, as far as its credential says; the tunnel carries it as `PeerIdentity.grant`. */

import type { HubRole } from './hub-role.ts';
import type { PublicJwk } from './key-pair.ts';

export interface Grant {
  readonly kind: 'member' | 'newcomer';
  /** Services it may serve, as `name.namespace`. */
  readonly services: readonly string[];
  readonly publicJwk: PublicJwk;
  /** RFC 7638 thumbprint of its key. */
  readonly thumbprint: string;
  /** When the holder joined the mesh, wall time of the hub; renewals do not change it. */
  readonly joinedAtMs: number;
  /** End of its WIT-SVID, wall time; 0 for a newcomer, who has none yet. */
  readonly expiresAtMs: number;
  /** Of a hub: what it may do for members; undefined for everybody else. */
  readonly hubRoles: readonly HubRole[] | undefined;
  /** Of the key that has signed its WIT-SVID; empty for who has shown otherwise who it is. */
  readonly keyId: string;
}
