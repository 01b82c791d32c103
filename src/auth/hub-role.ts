/** Roles of hubs: what one may do for members, as its SVID says and the issuer has signed. */

/**
 * *issuer* enrols and signs, *catalogue* says who serves what, *signal* introduces two sidecars, *relay* passes their
 * sealed records on.
 */
export type HubRole = 'issuer' | 'catalogue' | 'signal' | 'relay';

/** All roles, in the order in which they are told. */
export const HUB_ROLES: readonly HubRole[] = ['issuer', 'catalogue', 'signal', 'relay'];

/** Those that an SVID can grant: who issues has the issuer's key, and needs nobody to say so. */
export const GRANTED_ROLES: readonly HubRole[] = HUB_ROLES.filter((role) => role !== 'issuer');

/** undefined: it is no list of roles. Those that this version does not know say nothing to it. */
export function tryReadRoles(value: unknown): readonly HubRole[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_ROLES || !value.every((role) => typeof role === 'string')) {
    return undefined;
  }
  return HUB_ROLES.filter((role) => value.includes(role));
}

/** Are they the same, in whatever order? */
export function areSameRoles(a: readonly HubRole[], b: readonly HubRole[]): boolean {
  return HUB_ROLES.every((role) => a.includes(role) === b.includes(role));
}

const MAX_ROLES = 16;
