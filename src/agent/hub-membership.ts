/**
 * Hub membership: the SVID of a hub that does not issue. Towards the hubs that do it is a newcomer with a token once, and then
 * somebody with an identity who renews it; its key never leaves it, and no key of the issuer ever comes to it.
 */

import type { OwnCredential } from '../auth/authenticator.ts';
import type { HubRole } from '../auth/hub-role.ts';
import type { SignedRevocations } from '../auth/signed-revocations.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import { SkeinError } from '../core/errors.ts';
import { createId } from '../core/id.ts';
import { type Logger, SILENT_LOGGER } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import { Identity } from './identity.ts';
import { type AgentLimits, resolveAgentOptions } from './options.ts';
import { Renewal } from './renewal.ts';
import { Uplinks } from './uplinks.ts';

export interface HubMembershipOptions {
  /** Hubs that issue, `wss://…` or `ws://…`, the preferred ones first. */
  readonly hub: string | readonly string[];
  /** As `skein token create --hub-role …` printed it. Not needed when `data` holds the identity. */
  readonly token?: string | undefined;
  /** Folder that keeps key and SVID (0600); without it they live in memory, and a restart needs a new token. */
  readonly data?: string | undefined;
  /** What this hub wants to do for members. @default what the token, or the identity in `data`, says */
  readonly roles?: readonly HubRole[] | undefined;
  readonly log?: Logger | undefined;
  readonly limits?: Partial<AgentLimits> | undefined;
}

/**
 * Gets the SVID, or takes the one in `data`, and keeps it fresh until `close`. With a kept one it waits for no hub: one that only
 * relays must come up while the others are away.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_IDENTITY, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_STORE
 */
export async function joinAsHub(platform: Platform, options: HubMembershipOptions): Promise<HubMembership> {
  const { hub, token, data, limits, log = SILENT_LOGGER } = options;
  const resolved = resolveAgentOptions({ hub, token, limits });
  const identity = await Identity.open({
    ...{ platform, data, log, token: resolved.token, knownHub: resolved.knownHub },
    services: [],
    hubRoles: options.roles,
    renewAfterMs: resolved.limits.renewAfterMs,
  });
  const membership = new HubMembership(platform, identity, resolved, log);
  try {
    await membership.start();
    return membership;
  } catch (thrown) {
    membership.close();
    throw thrown;
  }
}

export class HubMembership {
  /** The keys of the issuer are others from now on, or it has signed them anew. */
  onBundle: () => void = () => undefined;
  /** Others are revoked from now on. */
  onRevocations: () => void = () => undefined;
  readonly #identity: Identity;
  readonly #uplinks: Uplinks;
  readonly #renewal: Renewal;

  /** @internal use `joinAsHub` */
  constructor(
    platform: Platform,
    identity: Identity,
    { hubs, limits }: ReturnType<typeof resolveAgentOptions>,
    log: Logger,
  ) {
    this.#identity = identity;
    identity.onKeys = () => void this.#renewal.look();
    identity.onBundle = () => this.onBundle();
    const nothing = (): void => undefined;
    const notNow = (): boolean => false;
    this.#uplinks = new Uplinks({
      ...{ platform, identity, limits, log, hubs, observer: undefined, instance: createId(platform.random) },
      staticKey: platform.crypto.createX25519(),
      events: {
        onCatalogue: nothing,
        onSeal: nothing,
        onCircuit: nothing,
        onBeyondRoles: nothing,
        onAudit: nothing,
        onRevocations: () => this.onRevocations(),
      },
      follow: async () => undefined,
      register: async () => undefined,
      onConnected: () => void this.#renewal.look(),
      onLeaving: nothing,
      onDisconnected: nothing,
      onRevoked: (error) => log.log('error', 'hub-revoked', { error: error.message }),
      isEnough: (connection) => connection.plays('issuer'),
      isUsed: notNow,
      isAwaited: notNow,
    });
    this.#renewal = new Renewal({
      ...{ platform, identity, log, renewAfterMs: limits.renewAfterMs },
      routes: () => this.#uplinks.routes,
    });
  }

  get trustDomain(): string {
    return this.#identity.trustDomain;
  }

  get thumbprint(): string {
    return this.#identity.issuerThumbprint;
  }

  get roles(): readonly HubRole[] {
    return this.#identity.hubRoles ?? [];
  }

  bundle(): TrustBundle {
    return this.#identity.bundle;
  }

  /** As the issuer has signed them; undefined before there are any, or a hub has told. */
  get revocations(): SignedRevocations | undefined {
    return this.#identity.signedRevocations;
  }

  credential(): OwnCredential {
    return this.#identity.credential;
  }

  /** @internal */
  async start(): Promise<void> {
    this.#uplinks.start();
    this.#renewal.start();
    if (!this.#identity.isMember) await Promise.race([this.#uplinks.ready, this.#uplinks.refused]);
    else this.#uplinks.refused.catch(() => undefined); // it has been logged, and what it has got is good for a while
    if (this.roles.length > 0) return;
    throw new SkeinError('SKEIN_IDENTITY', 'Cannot be a hub: this identity is that of a member', {
      details: { remedy: 'Join with what "skein token create --hub-role relay" prints at the issuing hub.' },
    });
  }

  close(): void {
    this.onBundle = () => undefined;
    this.onRevocations = () => undefined;
    this.#renewal.close();
    this.#uplinks.close();
  }
}
