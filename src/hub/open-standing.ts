/** What a hub is at its start: the issuer with its key, or what an issuer has made of it; never both in one folder. */

import { areSameRoles, HUB_ROLES, type HubRole } from '../auth/hub-role.ts';
import type { Bytes } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { claimAnchor, otherIssuer, readAnchor } from './anchor.ts';
import { toTicketRoot } from './authentication.ts';
import { HubIssuer } from './issuer.ts';
import { HUB_LIMITS, type HubOptions, type HubParts } from './options.ts';
import type { HubMembership, HubStanding } from './standing.ts';
import type { HubState } from './state.ts';

export interface OpenedStanding {
  readonly standing: HubStanding;
  readonly roles: readonly HubRole[];
  /** The same as `standing` in a hub that is the issuer. */
  readonly issuer: HubIssuer | undefined;
  /** Of what it seals for members. */
  readonly ticketRoot: Bytes;
}

export interface StandingOptions {
  readonly platform: Platform;
  readonly options: Pick<HubOptions & HubParts, 'roles' | 'trustDomain' | 'url' | 'listen' | 'limits' | 'membership'>;
  readonly log: Logger;
  readonly state: HubState;
}

/** @throws SkeinError SKEIN_CONFIG, SKEIN_STORE */
export async function openStanding(given: StandingOptions): Promise<OpenedStanding> {
  const { options, state } = given;
  const { membership } = options;
  const anchor = await readAnchor(state.store);
  if (membership !== undefined) {
    const { issuerFile = '' } = state;
    if (issuerFile !== '' && (await given.platform.files?.read(issuerFile)) !== undefined) {
      throw new SkeinError(
        'SKEIN_CONFIG',
        `Cannot start hub without the role "issuer": "${issuerFile}" is the issuer's key`,
        {
          details: { remedy: 'Give it a folder of its own with --data.' },
        },
      );
    }
    const roles = checkRoles(options.roles ?? membership.roles, membership);
    if (roles.includes('catalogue') && !state.store.isShared) {
      throw new SkeinError('SKEIN_CONFIG', 'Cannot play "catalogue" without the store of the hub that issues', {
        details: { remedy: 'Give both hubs one --store nats://…, or let this one play relay and signal only.' },
      });
    }
    if (anchor !== undefined && !membership.bundle().keys.some(({ kid }) => kid === anchor.thumbprint)) {
      throw otherIssuer(anchor, { file: '' });
    }
    return { standing: membership, roles, issuer: undefined, ticketRoot: await rootOf(membership, given) };
  }
  const roles = options.roles ?? HUB_ROLES;
  if (!roles.includes('issuer')) {
    throw new SkeinError('SKEIN_CONFIG', 'Cannot start hub without the role "issuer": no hub is named that has it', {
      details: {
        remedy: `Give --hub with the URL of the issuing hub, and --token with what "skein token create --hub-role ${roles.join(',')}" prints there.`,
      },
    });
  }
  const { platform, log } = given;
  const { issuerFile: stateFile } = state;
  const issuer = await HubIssuer.open({
    ...{ platform, log, trustDomain: options.trustDomain, stateFile, anchor, roles, store: state.store },
    limits: { ...HUB_LIMITS, ...options.limits },
    // The same one behind each start, and each sleep.
    ownFile: stateFile?.replace(/[^/]*$/, 'self.json'),
  });
  const { trustDomain, thumbprint } = issuer;
  await claimAnchor(state.store, { thumbprint, trustDomain, url: plannedUrl(options), file: stateFile ?? '' });
  await issuer.start();
  return { standing: issuer, roles, issuer, ticketRoot: await rootOf(issuer, given) };
}

function rootOf(standing: HubStanding, { platform }: StandingOptions): Promise<Bytes> {
  return toTicketRoot(standing.credential().key, platform.crypto, platform.random);
}

/** A hub plays what its SVID says: members would ask it for all of that, and for nothing else. */
function checkRoles(roles: readonly HubRole[], membership: HubMembership): readonly HubRole[] {
  if (areSameRoles(roles, membership.roles)) return roles;
  const state = `its SVID says ${membership.roles.join(', ')}`;
  throw new SkeinError('SKEIN_CONFIG', `Cannot play ${roles.join(', ')}: ${state}`, {
    details: {
      remedy: `Join anew with what "skein token create --hub-role ${roles.join(',')}" prints at the issuing hub.`,
    },
  });
}

/** Before it listens. */
function plannedUrl({ url, listen }: Pick<HubOptions, 'url' | 'listen'>): string {
  return url ?? `ws://${listen?.host ?? '127.0.0.1'}:${listen?.port ?? 0}`;
}
