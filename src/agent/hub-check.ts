/** Whether a hub speaks skein and takes a member, found out without using up a token and without becoming a member of anything. */

import { concatBytes } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { createId } from '../core/id.ts';
import type { Platform } from '../core/platform.ts';
import type { Authenticator } from '../tunnel/handshake.ts';
import { Link } from '../tunnel/link.ts';
import { Session } from '../tunnel/session.ts';
import { HubConnection } from './hub-connection.ts';
import type { Identity } from './identity.ts';

/** `spoken`: it speaks the protocol. `verified`: it is the hub that the token names. `admitted`: it has taken this identity. */
export type HubVerdict = 'spoken' | 'verified' | 'admitted';

/**
 * Dials `url`. With an identity that was enrolled it becomes a member for a moment; with a token the handshake ends before
 * anything of the token is shown.
 * @throws SkeinError SKEIN_HUB_UNREACHABLE, SKEIN_IDENTITY, or what the hub said
 */
export async function checkHub(
  platform: Platform,
  url: string,
  identity: Identity | undefined,
  signal: AbortSignal,
): Promise<HubVerdict> {
  if (identity?.isMember) {
    await admit(platform, url, identity, signal);
    return 'admitted';
  }
  const pipe = await platform.dialWebSocket(url, { signal });
  const { clock, random } = platform;
  const link = new Link(pipe, { role: 'dialler', clock, random, onClose: () => undefined });
  const leave = (): void => link.close(NORMAL, 'checked');
  signal.addEventListener('abort', leave, { once: true });
  try {
    await link.ready;
    signal.throwIfAborted();
    if (identity === undefined) return 'spoken';
    await verify(platform, link, identity, url);
    return 'verified';
  } finally {
    signal.removeEventListener('abort', leave);
    leave();
  }
}

const NORMAL = 1000;

async function admit(platform: Platform, url: string, identity: Identity, signal: AbortSignal): Promise<void> {
  const ignore = (): void => undefined;
  const events = {
    onHub: ignore,
    onCatalogue: ignore,
    onSeal: ignore,
    onCircuit: ignore,
    onBeyondRoles: ignore,
    onAudit: ignore,
    onRevocations: ignore,
    onGoAway: ignore,
    onSilent: ignore,
    onRenewed: ignore,
    onClose: ignore,
  };
  const staticKey = platform.crypto.createX25519();
  const options = { platform, identity, instance: createId(platform.random), staticKey, observer: undefined, events };
  const connection = await HubConnection.open(url, options, signal);
  connection.close();
}

/** Resolves when the hub has shown who it is; this end says no more then. */
async function verify(platform: Platform, link: Link, identity: Identity, url: string): Promise<void> {
  const { clock, crypto, random } = platform;
  let isVerified = false;
  const inner = identity.hubAuthenticator(url);
  const authenticator: Authenticator = {
    verify: async (...shown) => {
      const peer = await inner.verify(...shown);
      isVerified = true;
      return peer;
    },
    prove: async () => {
      throw new SkeinError('SKEIN_CANCELLED', 'Cannot go on with handshake: this was a check');
    },
  };
  const session = new Session({
    ...{ role: 'initiator', circuit: link.control, authenticator, crypto, clock, random },
    ...{ trustDomain: identity.trustDomain, localInstance: createId(platform.random), remoteInstance: '' },
    binding: concatBytes(...link.transcript),
    onStream: (stream) => stream.reset(new SkeinError('SKEIN_REFUSED', 'Cannot take stream: this was a check')),
    onClose: () => undefined,
  });
  try {
    await session.ready;
  } catch (thrown) {
    if (!isVerified) throw toSkeinError(thrown, 'SKEIN_HANDSHAKE');
  }
}
