/** The three who authenticate in a handshake: a member with its WIT-SVID, a newcomer with a token, and the hub. */

import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError } from '../core/errors.ts';
import { toHubId } from '../core/spiffe-id.ts';
import type { Authenticator, HandshakeRole, PeerIdentity } from '../tunnel/handshake.ts';
import { type Credential, decodeCredential, encodeCredential } from './credential-codec.ts';
import type { Grant } from './grant.ts';
import { HUB_ROLES, type HubRole } from './hub-role.ts';
import { type IdentityKey, type PublicJwk, toPublicJwk, toThumbprint } from './key-pair.ts';
import { createProof, verifyProof } from './proof.ts';
import { bundleEnded, endOf, whyNotSigned } from './signed-bundle.ts';
import { parseStrictJson } from './strict-json.ts';
import { readClaimedHolder, verifyWit, type Wit } from './svid.ts';
import { anchorOf, findKey, parseTrustBundle, type TrustBundle } from './trust-bundle.ts';
import type { WayIn } from './way-in.ts';

export interface OwnCredential {
  readonly wit: string;
  readonly key: IdentityKey;
}

export interface MemberOptions {
  /** Read at each handshake, because it is renewed meanwhile. */
  readonly credential: () => OwnCredential;
  readonly bundle: () => TrustBundle;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Refuses a peer that is not who was dialled. @throws SkeinError SKEIN_IDENTITY */
  readonly expect?: (wit: Wit) => void;
  /** Refuses a peer whose proof is good, but which is not. @throws SkeinError SKEIN_REVOKED */
  readonly check?: (peer: PeerIdentity) => void;
  /** By how much the clock of a hub is ahead of this one, in milliseconds, if that is known: for who reads a refusal. */
  readonly hubAheadMs?: () => number | undefined;
  /**
   * Of a hub: the bundle that it shows along with its credential, which may be newer than the own one. Resolves when it is judged, with why a
   * hub that issues would not show it.
   */
  readonly onBundle?: (offered: unknown) => Promise<SkeinError | undefined>;
  /** Between members: how far the audit log has come, as the issuer has signed it; and what a peer that has proven who it is shows of it. */
  readonly auditHeads?: AuditHeads | undefined;
}

/** Two that have seen different logs find out when they meet. */
export interface AuditHeads {
  readonly shown: string | undefined;
  hear(head: string, peer: string): void;
}

/** A member of the mesh, in either role. */
export function createMemberAuthenticator(options: MemberOptions): Authenticator {
  return {
    prove: (role, hash) => proveMember(options.credential(), role, hash, { auditHead: options.auditHeads?.shown }),
    async verify(role, hash, payload) {
      const credential = decodeCredential(payload);
      const why = await options.onBundle?.(readJson(credential.bundle));
      const peer = await verifyMember(credential, role, hash, options);
      // A hub without the key of the issuer shows what it was told last, however long ago.
      if (why !== undefined && (peer.grant as Grant).hubRoles?.includes('issuer') === true) throw why;
      if (credential.auditHead !== undefined) options.auditHeads?.hear(credential.auditHead, peer.id.uri);
      return peer;
    },
  };
}

export interface NewcomerOptions {
  readonly wayIn: WayIn;
  readonly key: IdentityKey;
  readonly clock: Clock;
  /** The bundle the hub proved to own; from now on it verifies everybody. */
  readonly onBundle: (bundle: TrustBundle) => void;
}

/** A newcomer dialling its hub: the hub is verified against the thumbprints that it knows before its token is shown. */
export function createNewcomerAuthenticator(options: NewcomerOptions): Authenticator {
  const { wayIn, key, clock, onBundle } = options;
  const { trustDomain, issuerThumbprints, shown } = wayIn;
  return {
    async prove(role, hash) {
      return encodeCredential({
        proof: await createProof(key, role, hash),
        ...shown.reveal(),
        publicKey: JSON.stringify(key.publicJwk),
      });
    },
    async verify(role, hash, payload) {
      const credential = decodeCredential(payload);
      const bundle = parseTrustBundle(readJson(credential.bundle));
      const anchor = anchorOf(bundle)?.kid ?? '';
      // only the issuer that is known may say which keys it has
      if (!issuerThumbprints.includes(anchor) || (await whyNotSigned(bundle, anchor)) !== undefined) {
        throw refused('this hub is not the one that is to be joined');
      }
      const peer = await verifyMember(credential, role, hash, {
        bundle: () => bundle,
        trustDomain,
        clock,
        expect: expectHub(trustDomain),
      });
      if (clock.epochMs() >= endOf(bundle)) throw bundleEnded(bundle, clock.epochMs());
      const roles = (peer.grant as Grant).hubRoles ?? HUB_ROLES;
      if (!roles.includes('issuer')) {
        // Before anything of the token is shown.
        throw new SkeinError('SKEIN_REFUSED', 'Cannot join mesh: this hub does not play "issuer"', {
          details: { roles },
        });
      }
      onBundle(bundle);
      return peer;
    },
  };
}

export interface PresentedJoinToken {
  readonly id: string;
  readonly secret: Bytes;
}

/** A join token, or the token of a platform. */
export type PresentedToken = PresentedJoinToken | { readonly platformToken: string };

export interface HubOptions {
  readonly credential: () => OwnCredential;
  readonly bundle: () => TrustBundle;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Uses up a token for this key. @throws SkeinError SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED */
  readonly admit: (
    presented: PresentedToken,
    publicJwk: PublicJwk,
  ) => Promise<{
    readonly id: PeerIdentity['id'];
    readonly services: readonly string[];
    readonly hubRoles?: readonly HubRole[] | undefined;
  }>;
  /** @throws SkeinError SKEIN_REVOKED */
  readonly check?: (peer: PeerIdentity) => void;
  /** Who holds the key of this thumbprint, as was shown before; asked when the key that has signed an SVID is no more. */
  readonly recall?: (thumbprint: string) => Promise<Recalled | undefined>;
}

/** A holder that is known otherwise than by its SVID. */
export type Recalled = Pick<Wit, 'id' | 'services' | 'joinedAtMs' | 'expiresAtMs' | 'hubRoles'>;

/** The hub: it shows its bundle along with its credential, and takes members and newcomers. */
export function createHubAuthenticator(options: HubOptions): Authenticator {
  return {
    prove: (role, hash) => proveMember(options.credential(), role, hash, { bundle: JSON.stringify(options.bundle()) }),
    async verify(role, hash, payload) {
      const credential = decodeCredential(payload);
      if (credential.wit !== undefined) {
        return (await readmit(credential, role, hash, options)) ?? verifyMember(credential, role, hash, options);
      }
      const presented = readPresented(credential);
      const publicJwk = toPublicJwk(readJson(credential.publicKey));
      if (presented === undefined || publicJwk === undefined) throw refused('it is neither a member nor a newcomer');
      // possession first: nobody can use up a token for a key that is not his
      if (!(await verifyProof(publicJwk, credential.proof, role, hash)))
        throw refused('the proof of possession is wrong');
      const { id, services, hubRoles } = await options.admit(presented, publicJwk);
      const joinedAtMs = options.clock.epochMs();
      const given = { services, publicJwk, joinedAtMs, expiresAtMs: 0, hubRoles, keyId: '' };
      return { id, grant: await toGrant('newcomer', given) };
    },
  };
}

/**
 * A member whose SVID was signed by a key that has been removed: nothing of it is believed, but it may prove to hold a key that is known.
 * Undefined: it is to be judged by its SVID.
 */
async function readmit(
  { wit = '', proof }: Credential,
  role: HandshakeRole,
  hash: Bytes,
  { bundle, recall, check }: HubOptions,
): Promise<PeerIdentity | undefined> {
  const claimed = recall === undefined ? undefined : readClaimedHolder(wit);
  if (claimed === undefined || findKey(bundle(), claimed.keyId, 'wit-svid') !== undefined) return undefined;
  const { publicJwk } = claimed;
  // Possession first: it costs whoever asks more than it costs here.
  if (!(await verifyProof(publicJwk, proof, role, hash))) return undefined;
  const known = await recall?.(await toThumbprint(publicJwk));
  if (known === undefined) return undefined;
  const peer = { id: known.id, grant: await toGrant('member', { ...known, publicJwk, keyId: '' }) };
  check?.(peer);
  return peer;
}

function readPresented({ joinId, joinSecret, platformToken }: Credential): PresentedToken | undefined {
  if (platformToken !== undefined) return joinId === undefined ? { platformToken } : undefined;
  return joinId === undefined || joinSecret === undefined ? undefined : { id: joinId, secret: joinSecret.slice() };
}

/** Refuses every peer but the hub of the trust domain. */
export function expectHub(trustDomain: string): (wit: Wit) => void {
  const hub = toHubId(trustDomain).uri;
  return ({ id }) => {
    if (id.uri !== hub) throw refused(`the peer is "${id.uri}", not the hub`);
  };
}

/** Refuses the hub, which has an identity, but is no member: nothing of it is served to or called by others. */
export function expectMember(trustDomain: string): (wit: Wit) => void {
  const hub = toHubId(trustDomain).uri;
  return ({ id }) => {
    if (id.uri === hub) throw refused('it is a hub, not a member');
  };
}

/** Refuses every peer but `uri`. */
export function expectPeer(uri: string): (wit: Wit) => void {
  return ({ id }) => {
    if (id.uri !== uri) throw refused(`the peer is "${id.uri}", not "${uri}" who was dialled`);
  };
}

async function proveMember(
  own: OwnCredential,
  role: HandshakeRole,
  hash: Bytes,
  more: Pick<Credential, 'bundle' | 'auditHead'>,
): Promise<Bytes> {
  return encodeCredential({
    wit: own.wit,
    proof: await createProof(own.key, role, hash),
    ...more,
  });
}

async function verifyMember(
  { wit: token, proof }: Credential,
  role: HandshakeRole,
  hash: Bytes,
  options: Pick<MemberOptions, 'bundle' | 'trustDomain' | 'clock' | 'expect' | 'check' | 'hubAheadMs'>,
): Promise<PeerIdentity> {
  if (token === undefined) throw refused('the peer shows no WIT-SVID');
  const wit = await verifyWit(token, options.bundle(), options);
  if (!(await verifyProof(wit.publicJwk, proof, role, hash))) throw refused('the proof of possession is wrong');
  options.expect?.(wit);
  const isHub = wit.id.uri === toHubId(wit.id.trustDomain).uri;
  const hubRoles = isHub ? (wit.hubRoles ?? HUB_ROLES) : undefined;
  const peer = { id: wit.id, grant: await toGrant('member', { ...wit, hubRoles }) };
  options.check?.(peer);
  return peer;
}

async function toGrant(
  kind: Grant['kind'],
  given: Pick<Wit, 'services' | 'publicJwk' | 'joinedAtMs' | 'expiresAtMs' | 'hubRoles' | 'keyId'>,
): Promise<Grant> {
  const { services, publicJwk, joinedAtMs, expiresAtMs, hubRoles, keyId } = given;
  const thumbprint = await toThumbprint(publicJwk);
  return { kind, services, publicJwk, thumbprint, joinedAtMs, expiresAtMs, hubRoles, keyId };
}

function readJson(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return parseStrictJson(text);
  } catch {
    throw refused('malformed payload');
  }
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `Cannot trust peer: ${state}`);
}
