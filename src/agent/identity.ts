/** The identity of this member: a key, and a WIT-SVID that is got with a token, kept, and renewed in time. */

import type { AuditHead } from '../auth/audit-chain.ts';
import {
  type AuditHeads,
  createMemberAuthenticator,
  createNewcomerAuthenticator,
  expectHub,
  expectMember,
  expectPeer,
  type MemberOptions,
  type OwnCredential,
} from '../auth/authenticator.ts';
import type { Grant } from '../auth/grant.ts';
import type { HubRole } from '../auth/hub-role.ts';
import type { IdentityKey } from '../auth/key-pair.ts';
import { ResumingAuthenticator, type ResumingOptions, TicketBook } from '../auth/resume-tickets.ts';
import { type RevocationList, type Revocations, revoked } from '../auth/revocation.ts';
import { SEALED_LIFE_MS } from '../auth/sealed-tickets.ts';
import type { SessionProof } from '../auth/session-proof.ts';
import { BUNDLE_LIFE_MS, type BundleRefusal } from '../auth/signed-bundle.ts';
import type { RevocationsRefusal, SignedRevocations } from '../auth/signed-revocations.ts';
import { type SigningKeys, toSigningKeys } from '../auth/signing-keys.ts';
import { readClaimedTime, verifyWit, type Wit } from '../auth/svid.ts';
import { parseTrustBundle, type TrustBundle } from '../auth/trust-bundle.ts';
import type { WayIn } from '../auth/way-in.ts';
import type { CallAnswer } from '../control/messages.ts';
import { fromBase64Url, toBase64Url } from '../core/bytes.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { LimitedLog } from '../core/limited-log.ts';
import { jitter } from '../core/random.ts';
import { Redacted } from '../core/redacted.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { Authenticator, PeerIdentity } from '../tunnel/handshake.ts';
import { HubTime } from './hub-time.ts';
import { IdentityStore } from './identity-store.ts';
import { findKept, type IdentityOptions, type Kept, keyFor, readToken } from './kept-identity.ts';
import { KnownBundle } from './known-bundle.ts';
import { KnownRevocations } from './known-revocations.ts';
import { openShelf } from './shelves.ts';

/** ± 10 %, so that members that started together do not renew together. */
const RENEWAL_SPREAD = 0.1;
/** Part of its lifetime after which an SVID is renewed at the latest: as much is left for a hub that is away. */
const RENEWAL_RATIO = 0.5;

const REFUSALS_LOGGED = { perSecond: 0.1, burst: 20 } as const;

/** A WIT-SVID in use. */
interface Membership {
  readonly text: string;
  readonly wit: Wit;
  readonly renewAtMs: number;
}

export class Identity {
  /** The issuer has other keys from now on. */
  onKeys: () => void = () => undefined;
  /** The same, or the issuer has signed them anew. */
  onBundle: () => void = () => undefined;
  /** How far the audit log has come here, and at the members that this one meets. */
  auditHeads: AuditHeads | undefined;
  readonly #options: IdentityOptions;
  readonly #bundle: KnownBundle;
  readonly #revocations: KnownRevocations;
  readonly #hubTime: HubTime;
  /** By which others know this end again. */
  readonly #given: TicketBook;
  /** By which hubs know it again. */
  readonly #hubTickets: TicketBook;
  readonly #store: IdentityStore;
  readonly #key: IdentityKey;
  readonly #wayIn: WayIn | undefined;
  /** Lets others join with the token, who find then that this one has. */
  #release: (() => void) | undefined;
  /** Does the folder hold what is known here? */
  #isKept = true;
  #membership: Membership | undefined;
  #auditHead: AuditHead | undefined;

  private constructor(
    options: IdentityOptions,
    store: IdentityStore,
    key: IdentityKey,
    wayIn: WayIn | undefined,
    release?: () => void,
  ) {
    this.#options = options;
    const { clock } = options.platform;
    // Hubs decide how often there is something to refuse.
    const refusals = new LimitedLog(options.log, clock, REFUSALS_LOGGED);
    this.#bundle = new KnownBundle({
      ...{ clock, log: refusals },
      onKeys: () => this.onKeys(),
      onBundle: () => this.onBundle(),
    });
    this.#revocations = new KnownRevocations(refusals);
    this.#hubTime = new HubTime(clock);
    this.#given = new TicketBook(clock);
    this.#hubTickets = options.tickets ?? new TicketBook(clock);
    this.#store = store;
    this.#key = key;
    this.#wayIn = wayIn;
    this.#release = release;
  }

  /**
   * The stored identity if it is good for what is wanted, else a newcomer with the token.
   * @throws SkeinError SKEIN_CONFIG, SKEIN_IDENTITY, SKEIN_TOKEN_INVALID, SKEIN_STORE
   */
  static async open(options: IdentityOptions): Promise<Identity> {
    const store = new IdentityStore(await openShelf(options.platform, options.data));
    const { token } = options;
    const given = token === undefined || typeof token === 'function' ? undefined : readToken(token, options);
    const kept = await findKept(store, given, options);
    if (!(kept instanceof SkeinError)) return Identity.#ofKept(options, store, kept);
    if (token === undefined) throw kept;
    // A token is good for one: others of this origin wait here, and find what the first of them has got.
    const release = await store.claim();
    try {
      const meanwhile = release === undefined ? kept : await findKept(store, given, options);
      if (meanwhile instanceof SkeinError) {
        const wayIn = given ?? readToken(new Redacted(await (token as () => Promise<string>)()), options);
        return new Identity(options, store, await keyFor(wayIn, store), wayIn, release);
      }
      release?.();
      return await Identity.#ofKept(options, store, meanwhile);
    } catch (thrown) {
      release?.();
      throw thrown;
    }
  }

  static async #ofKept(options: IdentityOptions, store: IdentityStore, { stored, wit }: Kept): Promise<Identity> {
    const identity = new Identity(options, store, stored.key, undefined);
    identity.#bundle.restore(stored.bundle);
    identity.#auditHead = await store.readAudit();
    identity.#adopt(stored.wit, wit, wit.issuedAtMs);
    return identity;
  }

  get isMember(): boolean {
    return this.#membership !== undefined;
  }

  get trustDomain(): string {
    return this.#membership?.wit.id.trustDomain ?? (this.#wayIn as WayIn).trustDomain;
  }

  /** @throws SkeinError SKEIN_IDENTITY before the enrolment */
  get id(): SpiffeId {
    return this.#member.wit.id;
  }

  get namespace(): string {
    return this.id.namespace ?? '';
  }

  /** Services this member may serve, `name.namespace`. */
  get services(): readonly string[] {
    return this.#member.wit.services;
  }

  /** The WIT-SVID as it is shown. It proves nothing without the key. */
  get text(): string {
    return this.#member.text;
  }

  /** Of a hub: what it may do for members. */
  get hubRoles(): readonly HubRole[] | undefined {
    return this.#member.wit.hubRoles;
  }

  /** Thumbprint of the issuer's key that does not change. */
  get issuerThumbprint(): string {
    return this.#bundle.anchor;
  }

  /** Thumbprint of the own key. */
  get thumbprint(): string {
    return this.#key.thumbprint;
  }

  /** How far the audit log had come when it was looked at last. */
  get auditHead(): AuditHead | undefined {
    return this.#auditHead;
  }

  /** Keeps it beside the identity. @throws SkeinError SKEIN_STORE */
  async keepAudit(head: AuditHead): Promise<void> {
    this.#auditHead = head;
    await this.#store.writeAudit(head);
  }

  /** Keeps nothing more. Resolves when nothing is written into the folder any more. */
  close(): Promise<void> {
    this.#letOthersJoin();
    return this.#store.close();
  }

  #letOthersJoin(): void {
    this.#release?.();
    this.#release = undefined;
  }

  /** What is shown in a handshake. */
  get credential(): OwnCredential {
    return { wit: this.#member.text, key: this.#key };
  }

  /** End of the WIT-SVID, wall time. */
  get expiresAtMs(): number {
    return this.#member.wit.expiresAtMs;
  }

  /** The issuer's keys. @throws SkeinError SKEIN_IDENTITY before a hub was there */
  get bundle(): TrustBundle {
    return this.#bundle.trusted;
  }

  get isRenewalDue(): boolean {
    if (this.#membership === undefined) return false;
    const isKeyGone = !this.#bundle.has(this.#membership.wit.keyId);
    return isKeyGone || this.#options.platform.clock.epochMs() >= this.#membership.renewAtMs;
  }

  /** Identities that are good no more, as far as hubs have told. */
  get revocations(): Revocations {
    return this.#revocations.current;
  }

  /**
   * Why `peer`, who has proven once who it is, is trusted no more; undefined: it still is. A key that has been retired in time has signed
   * nothing that has not expired; one that is gone before was removed.
   */
  whyNot(peer: PeerIdentity, action: string): SkeinError | undefined {
    if (this.revocations.has(peer)) return revoked(peer, action);
    const { keyId, expiresAtMs } = peer.grant as Grant;
    const isRemoved = !this.#bundle.has(keyId) && this.#options.platform.clock.epochMs() < expiresAtMs;
    return isRemoved
      ? new SkeinError('SKEIN_IDENTITY', `${action}: the key that has signed the SVID of the peer has been removed`)
      : undefined;
  }

  /** The list as the issuer has signed it; undefined before there is one. */
  get signedRevocations(): SignedRevocations | undefined {
    return this.#revocations.signed;
  }

  /** Takes over a later list that the issuer has signed; false: it is none. */
  revoke(offered: RevocationList & { readonly head?: string | undefined }): Promise<boolean> {
    return this.#revocations.offer(offered, this.bundle);
  }

  /** What hubs have shown and was not taken over, by why; read at scrape time. */
  get bundlesRefused(): Readonly<Record<BundleRefusal, number>> {
    return this.#bundle.refused;
  }

  get revocationsRefused(): Readonly<Record<RevocationsRefusal, number>> {
    return this.#revocations.refused;
  }

  /** For a session with the hub at `url`. */
  hubAuthenticator(url: string): ResumingAuthenticator {
    const { platform } = this.#options;
    const { clock, crypto } = platform;
    const isLasting = true;
    if (this.#membership !== undefined) {
      const taken = { book: this.#hubTickets, name: this.#ticketName(url) };
      const isGood = (hub: PeerIdentity): boolean => this.#isTrustedFurther(hub);
      return new ResumingAuthenticator(this.#hubBySignatures(), { crypto, isLasting, taken, isGood });
    }
    const inner = createNewcomerAuthenticator({
      wayIn: this.#wayIn as WayIn,
      key: this.#key,
      clock,
      onBundle: (bundle) => this.#bundle.begin(bundle),
    });
    return new ResumingAuthenticator(inner, { crypto, isLasting, isGood: () => false });
  }

  /**
   * A ticket of the hub at `url`, for the next handshake with it: who has just proven by signatures who it is, `isAnew` in this session, and else
   * in its handshake. Call it once at a time. False: it gives none.
   * @param ask asks it
   * @throws SkeinError what the hub says; SKEIN_IDENTITY when it proves to be another one than `hub`
   */
  async takeTicket(
    url: string,
    hub: PeerIdentity,
    session: SessionProof,
    ask: (credential: string | undefined) => Promise<CallAnswer<'ticket'>>,
    isAnew: boolean,
  ): Promise<boolean> {
    const name = this.#ticketName(url);
    const inner = this.#hubBySignatures();
    const { hash } = session;
    const answer = await ask(isAnew ? toBase64Url(await inner.prove('initiator', hash)) : undefined);
    if (isAnew) session.noteProof();
    if (answer.ticket === undefined) return false;
    const shown = isAnew ? await inner.verify('responder', hash, fromBase64Url(answer.credential ?? '')) : hub;
    if ((shown.grant as Grant).thumbprint !== (hub.grant as Grant).thumbprint)
      throw new SkeinError('SKEIN_IDENTITY', 'Cannot take ticket: the hub proves to be another one');
    const id = fromBase64Url(answer.ticket);
    const { ticketSecret: secret } = session;
    session.note(id);
    const seconds = Math.min(answer.seconds, SEALED_LIFE_MS / 1000);
    this.#hubTickets.keep(name, { id, secret, peer: shown }, seconds * 1000);
    return true;
  }

  /** A handshake with the hub at `url` has failed in which its ticket was named. */
  noteFailedTicket(url: string): void {
    this.#hubTickets.noteFailure(this.#ticketName(url));
  }

  /** Else signatures are asked for, and with them the keys of the issuer. */
  #isTrustedFurther(hub: PeerIdentity): boolean {
    const leftMs = this.#bundle.endsAtMs - this.#options.platform.clock.epochMs();
    return leftMs > BUNDLE_LIFE_MS / 2 && this.whyNot(hub, 'Cannot resume') === undefined;
  }

  #hubBySignatures(): Authenticator {
    return this.#memberAuthenticator(expectHub(this.trustDomain), {
      onBundle: (offered) => this.updateBundle(offered),
      check: (hub) => {
        // It is not this member that is revoked.
        if (this.revocations.has(hub)) throw new SkeinError('SKEIN_IDENTITY', 'Cannot use hub: it has been revoked');
      },
    });
  }

  /** For a session that this end begins with `instance`, whose id is to be `expected`; without them, with whoever proves to be a member. */
  peerAuthenticator(expected?: string, instance = ''): Authenticator {
    const expect = expected === undefined ? expectMember(this.trustDomain) : expectPeer(expected);
    const inner = this.#memberAuthenticator(expect, { auditHeads: this.auditHeads });
    const taken = expected === undefined ? undefined : this.#takenFrom(`${expected} ${instance}`);
    return this.#resuming(inner, expected === undefined ? { given: this.#given } : { taken });
  }

  #takenFrom(peer: string): ResumingOptions['taken'] {
    const book = this.#options.tickets;
    return book && { book, name: this.#ticketName(peer) };
  }

  /** A ticket is good for this SVID alone, and of that peer alone. */
  #ticketName(peer: string): string {
    return `${this.#membership?.text} ${peer}`;
  }

  #resuming(inner: Authenticator, tickets: Pick<ResumingOptions, 'given' | 'taken'>): Authenticator {
    const { crypto } = this.#options.platform;
    const isGood = (peer: PeerIdentity): boolean => this.whyNot(peer, 'Cannot resume') === undefined;
    return new ResumingAuthenticator(inner, { ...tickets, crypto, isGood });
  }

  /**
   * Takes over a WIT-SVID that the hub has issued, and keeps it.
   * @throws SkeinError SKEIN_IDENTITY when it is not for this member's key
   */
  async accept(answer: { readonly wit: string; readonly bundle: unknown }): Promise<void> {
    const { platform } = this.#options;
    const { bundle } = await this.#bundle.choose(parseTrustBundle(answer.bundle));
    // The hub has proven who it is, and has made it just now.
    const issuedAtMs = readClaimedTime(answer.wit);
    if (issuedAtMs !== undefined) this.#hubTime.note(issuedAtMs);
    const wit = await verifyWit(answer.wit, bundle, {
      ...{ clock: platform.clock, trustDomain: this.trustDomain, hubAheadMs: () => this.#hubTime.aheadMs },
    });
    const { x, y } = this.#key.publicJwk;
    if (wit.publicJwk.x !== x || wit.publicJwk.y !== y) throw refused('it names another key');
    const before = this.#membership?.wit.id.uri;
    if (before !== undefined && before !== wit.id.uri) throw refused('it names another identity');
    this.#adopt(answer.wit, wit, platform.clock.epochMs());
    this.#bundle.take(bundle);
    await this.#keep(answer.wit);
    this.#letOthersJoin();
  }

  /** Keys that sign bearer tokens of the trust domain; undefined while there is no bundle. */
  get jwtKeys(): SigningKeys | undefined {
    const { current } = this.#bundle;
    return current && toSigningKeys(current, 'jwt-svid');
  }

  /** Until when the bundle in use may be the newest one, wall time; 0 before there is one. */
  get bundleEndsAtMs(): number {
    return this.#bundle.endsAtMs;
  }

  /**
   * Takes over the keys of the trust domain, if the issuer has signed them and they are not older.
   * @returns why a hub that issues would not have shown them: the issuer has not signed them, or not of late
   */
  async updateBundle(value: unknown): Promise<SkeinError | undefined> {
    const { isTaken, fault } = await this.#bundle.offer(value);
    if (isTaken) await this.#keep(await this.#newestText());
    return fault;
  }

  #memberAuthenticator(
    expect: (wit: Wit) => void,
    more: Pick<MemberOptions, 'check' | 'onBundle' | 'auditHeads'>,
  ): Authenticator {
    return createMemberAuthenticator({
      credential: () => this.credential,
      bundle: () => this.bundle,
      trustDomain: this.trustDomain,
      clock: this.#options.platform.clock,
      hubAheadMs: () => this.#hubTime.aheadMs,
      expect,
      check: (peer) => this.revocations.check(peer),
      ...more,
    });
  }

  get #member(): Membership {
    if (this.#membership === undefined)
      throw new SkeinError('SKEIN_IDENTITY', 'Cannot act: not a member of the mesh yet');
    return this.#membership;
  }

  /** `fromMs`: the hour of its issue by the clock here, which may differ from the one that it tells. */
  #adopt(text: string, wit: Wit, fromMs: number): void {
    const { platform, renewAfterMs } = this.#options;
    const afterMs = Math.min(
      jitter(platform.random, renewAfterMs, RENEWAL_SPREAD),
      (wit.expiresAtMs - wit.issuedAtMs) * RENEWAL_RATIO,
    );
    this.#membership = { text, wit, renewAtMs: fromMs + afterMs };
  }

  /**
   * Takes over a newer SVID for the same key that another process of this identity has kept: several that share a folder need one renewal,
   * not one each. @returns whether there was one
   */
  async takeKept(): Promise<boolean> {
    const { platform } = this.#options;
    const stored = await this.#store.readIdentity().catch(() => undefined); // it is written again by the renewal
    const before = this.#membership?.wit;
    if (before === undefined || stored === undefined || stored.key.thumbprint !== this.#key.thumbprint) return false;
    const { trustDomain } = this;
    const wit = await verifyWit(stored.wit, this.bundle, { clock: platform.clock, trustDomain }).catch(() => undefined);
    if (wit === undefined || wit.issuedAtMs <= before.issuedAtMs || wit.id.uri !== before.id.uri) return false;
    this.#adopt(stored.wit, wit, wit.issuedAtMs);
    return !this.isRenewalDue;
  }

  /** Once more, where the folder did not take it. */
  async keepAgain(): Promise<void> {
    if (!this.#isKept) await this.#keep(await this.#newestText());
  }

  /** What another process of this identity has kept meanwhile stays, if it is newer. */
  async #newestText(): Promise<string> {
    const before = this.#membership;
    const stored = await this.#store.readIdentity().catch(() => undefined); // it is written again
    if (before === undefined || stored?.key.thumbprint !== this.#key.thumbprint) return before?.text ?? '';
    return (readClaimedTime(stored.wit) ?? 0) > before.wit.issuedAtMs ? stored.wit : before.text;
  }

  /** A disk that is full ends nothing that runs: what matters is here. It is told of, and tried again. */
  async #keep(wit: string): Promise<void> {
    const { current: bundle } = this.#bundle;
    if (this.#membership === undefined || bundle === undefined) return;
    const { log, data } = this.#options;
    try {
      await this.#store.writeIdentity({ key: this.#key, wit, bundle });
      if (!this.#isKept) log.log('info', 'identity-kept', { folder: data });
      this.#isKept = true;
    } catch (thrown) {
      const { message, details } = toSkeinError(thrown);
      if (this.#isKept) log.log('error', 'identity-not-kept', { folder: data, error: message, remedy: details.remedy });
      this.#isKept = false;
    }
  }
}

function refused(state: string): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', `Cannot use WIT-SVID of the hub: ${state}`);
}
