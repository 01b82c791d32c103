/**
 * Audit watch: the last head of the audit log that this member has followed, whether a hub shows one that goes on from it, and whether what
 * was issued under the own identity was issued to a key that is its own, or may be a replica's.
 */

import { type AuditEntry, type AuditHead, endStretch, ownerOf, toLink, verifyHead } from '../auth/audit-chain.ts';
import type { AuditHeads } from '../auth/authenticator.ts';
import { rootOfProof } from '../auth/owner-tree.ts';
import type { CallAnswer } from '../control/messages.ts';
import type { Timer } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { LimitedLog } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';
import type { Platform } from '../core/platform.ts';
import type { HubConnection } from './hub-connection.ts';
import type { Identity } from './identity.ts';
import { OwnEntries } from './own-entries.ts';
import { PeerHeads } from './peer-heads.ts';

/**
 * What is wrong with a log: no key of the issuer has signed its head; it ends before what was seen; it does not go on from what was seen;
 * an entry about this member is kept back, or is not the one of the chain; another member was shown another one.
 */
export type AuditAlarm = 'forged' | 'rollback' | 'fork' | 'hidden' | 'split';

export interface AuditWatchOptions {
  readonly platform: Platform;
  readonly identity: Identity;
  readonly log: Logger;
  readonly routes: () => readonly HubConnection[];
  /** Is another instance of this identity in the catalogue? */
  readonly hasReplica: () => Promise<boolean>;
}

const ISSUED = new Set(['join', 'renew']);
/** A replica is let in before it registers. */
const PATIENCE_MS = 60_000;
/** A hub that tells of its log for longer keeps others from being followed. */
const FOLLOW_MS = 60_000;
/** Keys that were told of are not told of again. */
const MAX_TOLD = 1_000;

export class AuditWatch {
  readonly alarms: Record<AuditAlarm, number> = { forged: 0, rollback: 0, fork: 0, hidden: 0, split: 0 };
  /** Keys under the own identity that are neither this member's nor, as far as the catalogue tells, a replica's. */
  issuedElsewhere = 0;
  readonly #options: AuditWatchOptions;
  readonly #peers: PeerHeads;
  readonly #splits: LimitedLog;
  readonly #keys = new Set<string>();
  readonly #timers = new Set<Timer>();
  #known: AuditHead | undefined;
  #alarm: { readonly why: AuditAlarm; readonly hub: string } | undefined;
  #following: Promise<void> = Promise.resolve();
  readonly #waiting = new Set<HubConnection>();

  constructor(options: AuditWatchOptions) {
    this.#options = options;
    const { identity, log, platform } = options;
    this.#known = identity.auditHead;
    this.#splits = new LimitedLog(log, platform.clock, SPLITS_LOGGED);
    this.#peers = new PeerHeads({
      verify: (token) => verifyHead(token, identity.bundle),
      onSplit: (split) => {
        this.alarms.split++;
        this.#splits.log('error', 'audit-split', { ...split, remedy: SPLIT });
      },
    });
    if (this.#known !== undefined) this.#peers.follow([this.#known], undefined);
  }

  /** What a member shows that this one has met; and what this one shows. */
  get heads(): AuditHeads {
    const peers = this.#peers;
    return {
      get shown() {
        return peers.shown;
      },
      hear: (head, peer) => void peers.hear(head, peer),
    };
  }

  /** The last head that was followed; undefined before the first. */
  get head(): AuditHead | undefined {
    return this.#known;
  }

  /** What was wrong last; undefined: nothing was. */
  get alarm(): { readonly why: AuditAlarm; readonly hub: string } | undefined {
    return this.#alarm;
  }

  /** The hub has come into use, or says that its log has come further. */
  look(hub: HubConnection): void {
    // Where it waits for its turn, what has come since is looked at with it.
    if (!hub.plays('issuer') || this.#waiting.has(hub)) return;
    this.#waiting.add(hub);
    this.#following = this.#following
      .then(() => {
        this.#waiting.delete(hub);
        return hub.isClosed ? undefined : this.#follow(hub);
      })
      .catch((thrown) => {
        const { log } = this.#options;
        log.log('debug', 'audit-not-followed', { hub: hub.url, error: toSkeinError(thrown).message });
      });
  }

  /** All that is kept of what was issued under the own identity. @throws SkeinError SKEIN_HUB_UNREACHABLE, SKEIN_IDENTITY when it does not add up */
  async mine(): Promise<readonly AuditEntry[]> {
    const hub = this.#options.routes().find((route) => route.plays('issuer'));
    if (hub === undefined)
      throw new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot read audit log: no hub that issues is there');
    const own: AuditEntry[] = [];
    const why = await this.#read(hub, undefined, (entry) => own.push(entry));
    if (typeof why === 'string') {
      this.#raise(why, hub);
      throw new SkeinError('SKEIN_IDENTITY', `Cannot believe audit log of ${hub.url}: ${why}`);
    }
    return own;
  }

  close(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  async #follow(hub: HubConnection): Promise<void> {
    const { identity } = this.#options;
    const known = this.#known;
    if (known === undefined) {
      // From here on: what was before, `mine` tells.
      const { head } = await hub.channel.call('audit', { after: Number.MAX_SAFE_INTEGER });
      const first = await verifyHead(head, identity.bundle);
      if (first?.endsStretch !== true) return this.#raise('forged', hub);
      this.#peers.follow([first], head);
      await this.#keep(first);
      return;
    }
    const passed: AuditHead[] = [];
    const result = await this.#read(hub, known, (entry) => this.#judge(entry), passed);
    if (typeof result === 'string') return this.#raise(result, hub);
    this.#alarm = undefined;
    this.#peers.follow(passed, result.token);
    if (result.head.seq > known.seq) await this.#keep(result.head);
  }

  /** Follows the log from `known`, or from where it begins, to the end of its last stretch; `passed` is told each step of the way. */
  async #read(
    hub: HubConnection,
    known: AuditHead | undefined,
    onOwn: (entry: AuditEntry) => void,
    passed: AuditHead[] = [],
  ): Promise<{ readonly head: AuditHead; readonly token: string } | AuditAlarm> {
    const { identity, platform } = this.#options;
    const { sha256 } = platform.crypto;
    const { uri } = identity.id;
    const owner = ownerOf(sha256, uri);
    const untilMs = platform.clock.monotonicMs() + FOLLOW_MS;
    let at = known;
    /** Told of once the issuer's word on all of it is reached. */
    const own = new OwnEntries(uri);
    if (at !== undefined) passed.push(at);
    for (;;) {
      if (platform.clock.monotonicMs() >= untilMs) {
        const state = `it has not come to its end in ${FOLLOW_MS / 1000} s`;
        throw new SkeinError('SKEIN_HUB_UNREACHABLE', `Cannot follow audit log of ${hub.url}: ${state}`);
      }
      const answer = await hub.channel.call('audit', { after: at?.seq ?? 0, own: own.last });
      const head = await verifyHead(answer.head, identity.bundle);
      // Of a head that is no end members that meet could not say whether theirs are the same.
      if (head?.endsStretch !== true) return 'forged';
      if (known !== undefined && head.seq < known.seq) return 'rollback';
      const base = await this.#baseOf(answer, at);
      if (typeof base === 'string') return base;
      if (base.seq !== at?.seq) {
        // What lies between is gone.
        passed.splice(0, passed.length, base);
        own.forget();
      }
      at = base;
      if (!own.add(answer.own, at.seq)) return 'hidden';
      for (const stretch of answer.stretches) {
        const next = endStretch(sha256, at, stretch);
        if (next.seq <= at.seq || next.seq > head.seq) return 'fork';
        const digests = own.take(next.seq).map((entry) => toLink(sha256, entry).digest);
        if (rootOfProof(sha256, owner, digests, stretch) !== stretch.root) return 'hidden';
        at = next;
        passed.push(at);
        this.#peers.thin(passed);
      }
      if (at.seq === head.seq && at.hash !== head.hash) return 'fork';
      if (at.seq === head.seq) {
        for (const entry of own.found) onOwn(entry);
        return { head: at, token: answer.head };
      }
      if (answer.stretches.length === 0 && answer.own.length === 0) return 'fork';
    }
  }

  /** Where an answer begins: where this member is, or where what is kept begins, if the issuer has signed that. */
  async #baseOf({ base, checkpoint }: CallAnswer<'audit'>, at: AuditHead | undefined): Promise<AuditHead | AuditAlarm> {
    if (at !== undefined && base.seq === at.seq) return base.hash === at.hash ? at : 'fork';
    if (at === undefined && base.seq === 0 && base.hash === '') return base;
    if (at !== undefined && base.seq < at.seq) return 'fork';
    const signed = checkpoint === undefined ? undefined : await verifyHead(checkpoint, this.#options.identity.bundle);
    return signed?.seq === base.seq && signed.hash === base.hash ? base : 'forged';
  }

  #judge({ kind, key, seq, atMs }: AuditEntry): void {
    const { identity, platform, log, hasReplica } = this.#options;
    if (!ISSUED.has(kind) || key === undefined || key === identity.thumbprint || this.#keys.has(key)) return;
    if (this.#keys.size >= MAX_TOLD) return;
    this.#keys.add(key);
    const timer = platform.clock.setTimer(PATIENCE_MS, () => {
      this.#timers.delete(timer);
      const fields = { id: identity.id.uri, key, entry: seq, at: new Date(atMs).toISOString() };
      void hasReplica().then((isReplica) => {
        if (isReplica) return log.log('info', 'identity-issued-to-replica', fields);
        this.issuedElsewhere++;
        log.log('error', 'identity-issued-elsewhere', { ...fields, remedy: ELSEWHERE });
      });
    });
    this.#timers.add(timer);
  }

  #raise(why: AuditAlarm, hub: HubConnection): void {
    this.alarms[why]++;
    const isNews = this.#alarm?.why !== why || this.#alarm.hub !== hub.url;
    this.#alarm = { why, hub: hub.url };
    if (isNews)
      this.#options.log.log('error', 'audit-refused', { why, hub: hub.url, known: this.#known?.seq, remedy: REFUSED });
  }

  async #keep({ seq, hash }: AuditHead): Promise<void> {
    this.#known = { seq, hash };
    await this.#options.identity.keepAudit(this.#known);
  }
}

const SPLITS_LOGGED = { perSecond: 1 / 60, burst: 3 } as const;
const ELSEWHERE =
  'Somebody has an SVID under this identity with a key that is not of this instance. If you know of no such instance: `skein revoke ID --key KEY`, and see who has made its join token with `skein audit --id ID`.';
const SPLIT =
  'The issuer has signed two histories of what it has issued, and each of two members was shown one: whoever has its key hides something. Compare `skein audit --head` at each hub.';
const REFUSED =
  'The log of what was issued is not the one that was shown before. Unless somebody has put back a backup, the issuer or its store is in other hands: `skein audit` shows what it says now.';
