/**
 * Audit log: the audit chain in the store, in blocks of what came together, each with a head that the issuer has signed. Who writes a block
 * under its number first has made it; hubs that share a store go on from there. Whoever else writes to the store has no such signature.
 * Members follow the stretches in which it ends now and then.
 */

import {
  AuditChain,
  type AuditEntry,
  type AuditHead,
  type ChainedEntry,
  NO_AUDIT,
  type Stretch,
  signHead,
  verifyHead,
} from '../auth/audit-chain.ts';
import type { SignStatement } from '../auth/statement.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import type { Sha256 } from '../catalog/digest.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import { AUDIT_PREFIX, type AuditPage, readBlock, takeBlock, toKey, toSeq, UNREADABLE } from './audit-blocks.ts';
import { AuditMemory } from './audit-memory.ts';
import { AuditStretches, type FollowedPart, lengthOf } from './audit-stretches.ts';
import type { Store, StoreEntry } from './store.ts';

export interface AuditLogOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sha256: Sha256;
  readonly bundle: () => TrustBundle;
  readonly sign: SignStatement;
  /** What is kept, in bytes; the oldest blocks go, and a signed checkpoint says where the rest begins. */
  readonly maxBytes: number;
}

/** `what` is cut where it is too long. */
export type NewEntry = Omit<AuditEntry, 'seq' | 'atMs' | 'root'>;

interface Pending {
  /** undefined: a stretch is to end. */
  readonly entry: NewEntry | undefined;
  readonly resolve: () => void;
  readonly reject: (error: SkeinError) => void;
}

const CHECKPOINT = 'hub/audit';
const MAX_BLOCK = 256;
/** A stretch ends where it holds so many: its tree is made at once, for 10 µs an entry. */
const MAX_STRETCH = 2_048;
/** Of `what`, in characters. */
const MAX_WHAT = 1_024;

export class AuditLog {
  /** The chain has come further, by these entries of this hub or another one. */
  onHead: (entries: readonly ChainedEntry[]) => void = () => undefined;
  readonly #options: AuditLogOptions;
  #pending: Pending[] = [];
  #writing: Promise<void> | undefined;
  #chain: AuditChain;
  #signed = '';
  readonly #stretches: AuditStretches;
  /** Where what is kept begins. */
  #base: AuditHead = NO_AUDIT;
  #bytes = 0;
  #checkpoint = '';
  readonly #memory = new AuditMemory();

  constructor(options: AuditLogOptions) {
    this.#options = options;
    const { sha256, clock } = options;
    this.#chain = new AuditChain(sha256, NO_AUDIT);
    this.#stretches = new AuditStretches({ sha256, clock, page: (after, limit) => this.page(after, limit) });
  }

  /** As far as this hub knows. */
  get head(): AuditHead {
    return this.#chain.head;
  }

  /** The issuer's word on it; empty before the first entry. */
  get signed(): string {
    return this.#signed;
  }

  /** The issuer's word on the last stretch, which members follow; empty before the first. */
  get told(): string {
    return this.#stretches.told;
  }

  /** Entries that belong to no stretch yet. */
  get untold(): number {
    return this.#chain.open;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Follows what is kept. A chain that is broken is told of, and gone on with behind its last signed head. @throws SkeinError SKEIN_STORE */
  async open(): Promise<void> {
    const { store, bundle, log } = this.#options;
    const checkpoint = await store.get(CHECKPOINT);
    const token = checkpoint === undefined ? undefined : tryParseJson(checkpoint.value);
    this.#base = (typeof token === 'string' ? await verifyHead(token, bundle()) : undefined) ?? NO_AUDIT;
    this.#base = { seq: this.#base.seq, hash: this.#base.hash };
    this.#chain = new AuditChain(this.#options.sha256, this.#base);
    this.#checkpoint = typeof token === 'string' ? token : '';
    this.#signed = this.#checkpoint;
    this.#stretches.clear(this.#checkpoint);
    const blocks = await store.list(AUDIT_PREFIX);
    // What is wrong is found block by block, and costs a signature each; what is right costs one.
    if (!(await this.#takeAll(blocks))) for (const block of blocks) await this.#take(block, log);
    await this.#catchUp();
  }

  /** Takes all of it, if it is one chain up to a head that the issuer has signed; else nothing, and false. */
  async #takeAll(stored: readonly StoreEntry[]): Promise<boolean> {
    const { bundle } = this.#options;
    const chain = this.#chain.fork();
    let bytes = 0;
    const entries: ChainedEntry[] = [];
    const stretches: Stretch[] = [];
    let [signed, told] = ['', ''];
    for (const { value } of stored) {
      const block = readBlock(value);
      const last = block?.entries.at(-1);
      if (block === undefined || last === undefined) return false;
      if (last.seq <= chain.head.seq) continue;
      const ended = takeBlock(chain, block);
      if (typeof ended === 'number') return false;
      bytes += value.length;
      for (const entry of block.entries) entries.push(entry);
      signed = block.head;
      if (ended.length > 0) told = block.head;
      for (const stretch of ended) stretches.push(stretch);
    }
    const isNone = signed === '';
    const said = isNone ? chain.head : await verifyHead(signed, bundle());
    if (said?.seq !== chain.head.seq || said.hash !== chain.head.hash) return false;
    this.#chain = chain;
    if (!isNone) this.#signed = signed;
    this.#bytes += bytes;
    this.#memory.add(entries);
    this.#stretches.add(stretches, told);
    return true;
  }

  /** Resolves when it is kept: what was issued is in the log before anybody has it. @throws SkeinError SKEIN_STORE */
  append({ what, ...rest }: NewEntry): Promise<void> {
    const entry = what === undefined ? rest : { ...rest, what: what.slice(0, MAX_WHAT) };
    return new Promise((resolve, reject) => {
      this.#pending.push({ entry, resolve, reject });
      this.#start();
    });
  }

  /**
   * Ends a stretch, if there is anything in it, and no other hub has ended one within the last `leastMs`. Resolves when it is kept.
   * @throws SkeinError SKEIN_STORE
   */
  async endStretch(leastMs: number): Promise<void> {
    if (this.#chain.open === 0 || this.#stretches.sinceOthersMs < leastMs) return;
    await new Promise<void>((resolve, reject) => {
      this.#pending.push({ entry: undefined, resolve, reject });
      this.#start();
    });
  }

  #start(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      // What came while the oldest were removed.
      if (this.#pending.length > 0) this.#start();
    });
  }

  /**
   * Entries behind `after`, at most `limit`, as they stand in the store, whether they are right or not.
   * @throws SkeinError SKEIN_STORE
   */
  async page(after: number, limit: number): Promise<AuditPage> {
    await this.#catchUp();
    const entries: ChainedEntry[] = [];
    let base = this.#base;
    const blocks = await this.#options.store.list(AUDIT_PREFIX);
    // Members ask for this: to read all that is kept for each of them would keep the hub from everybody else.
    let first = Math.max(
      0,
      blocks.findLastIndex(({ key }) => toSeq(key) <= after),
    );
    while (first > 0 && readBlock(blocks[first]?.value ?? '') === undefined) first--;
    for (const { key, value } of blocks.slice(first)) {
      if (entries.length >= limit) break;
      const block = readBlock(value);
      if (block === undefined) {
        // Shown as what it is: an entry that is none.
        entries.push({ ...UNREADABLE, seq: toSeq(key) });
        continue;
      }
      for (const entry of block.entries) {
        if (entry.seq <= after) base = { seq: entry.seq, hash: entry.hash };
        else if (entry.seq > this.#base.seq && entries.length < limit) entries.push(entry);
      }
    }
    const isBase = base.seq === this.#base.seq && this.#base.seq > 0;
    return { base, ...(isBase ? { checkpoint: this.#checkpoint } : {}), entries, head: this.#signed };
  }

  /** How the stretches go on behind entry `after`. @throws SkeinError SKEIN_STORE */
  async follow(after: number): Promise<FollowedPart> {
    await this.#catchUp();
    return this.#stretches.behind(after, this.#base);
  }

  /** What is in a stretch, as it was written. `read`: what has come from the store with it, which is not read again. @throws SkeinError SKEIN_STORE */
  async entriesOf(stretch: Stretch, read?: readonly ChainedEntry[]): Promise<readonly ChainedEntry[]> {
    const { from, end } = stretch;
    if (read !== undefined) return read.filter(({ seq }) => seq > from.seq && seq < end.seq);
    const count = lengthOf(stretch);
    return this.#memory.behind(from.seq, count)?.entries ?? (await this.page(from.seq, count)).entries;
  }

  /** SVIDs of a member's key since then, wall time, as far as memory reaches back. */
  countIssued(key: string, sinceMs: number): number {
    return this.#memory.countIssued(key, sinceMs);
  }

  /** Other hubs may have gone on. @throws SkeinError SKEIN_STORE */
  async #catchUp(): Promise<void> {
    const { store, log } = this.#options;
    for (;;) {
      const next = await store.get(toKey(this.#chain.head.seq + 1));
      if (next === undefined || !(await this.#take(next, log))) return;
    }
  }

  /** Takes a block that goes on from the head, or is behind it and signed; false: it does not. */
  async #take({ key, value }: StoreEntry, log: Logger): Promise<boolean> {
    const block = readBlock(value);
    const last = block?.entries.at(-1);
    if (last !== undefined && last.seq <= this.#chain.head.seq) return true;
    const signed = block === undefined ? undefined : await verifyHead(block.head, this.#options.bundle());
    const chain = this.#chain.fork();
    const ended = block === undefined ? chain.head.seq + 1 : takeBlock(chain, block);
    const isSigned = signed !== undefined && last !== undefined && signed.seq === last.seq && signed.hash === last.hash;
    const isBroken = typeof ended === 'number';
    if (isBroken || !isSigned) {
      log.log('error', 'audit-broken', {
        block: key,
        entry: isBroken ? ended : undefined,
        signed: isSigned,
        remedy: REMEDY,
      });
      if (!isSigned) return false;
    }
    this.#signed = block?.head ?? '';
    this.#bytes += value.length;
    this.#memory.add(block?.entries ?? []);
    if (isBroken) {
      this.#chain = new AuditChain(this.#options.sha256, signed);
      // What members have followed leads nowhere any more, and they are to say so.
      this.#stretches.clear('');
    } else {
      this.#chain = chain;
      this.#stretches.add(ended, this.#signed);
      if (ended.length > 0) this.#stretches.noteOther();
    }
    // Who has written them may be no more, and then this one ends the stretch.
    this.onHead(block?.entries ?? []);
    return true;
  }

  async #write(): Promise<void> {
    while (this.#pending.length > 0) {
      // The end of a stretch is the end of its block, so that there is a signature for it.
      const end = this.#pending.findIndex(({ entry }) => entry === undefined);
      const batch = this.#pending.splice(0, end < 0 ? MAX_BLOCK : Math.min(MAX_BLOCK, end + 1));
      try {
        const entries = await this.#writeBlock(batch.map(({ entry }) => entry));
        for (const { resolve } of batch) resolve();
        this.onHead(entries);
      } catch (thrown) {
        const error = toSkeinError(thrown, 'SKEIN_STORE');
        for (const { reject } of batch) reject(error);
      }
    }
    await this.#trim().catch((thrown) => {
      this.#options.log.log('warn', 'audit-not-trimmed', { error: toSkeinError(thrown).message });
    });
  }

  async #writeBlock(batch: readonly Pending['entry'][]): Promise<readonly ChainedEntry[]> {
    const { store, clock, sign, log } = this.#options;
    for (;;) {
      const chain = this.#chain.fork();
      const atMs = clock.epochMs();
      const entries: ChainedEntry[] = [];
      for (const entry of batch) {
        if (entry !== undefined) entries.push(chain.add({ ...entry, atMs }));
        else if (chain.open > 0) entries.push(chain.end(atMs));
      }
      if (chain.open >= MAX_STRETCH) entries.push(chain.end(atMs));
      if (entries.length === 0) return entries;
      const { ended } = chain;
      const signed = await signHead(chain.head, atMs, ended !== undefined, sign);
      const value = JSON.stringify({ entries, head: signed });
      const key = toKey(this.#chain.head.seq + 1);
      if ((await store.compareAndSet(key, 0, value)) !== undefined) {
        this.#chain = chain;
        this.#signed = signed;
        this.#bytes += value.length;
        this.#memory.add(entries);
        if (ended !== undefined) this.#stretches.add([ended], signed);
        return entries;
      }
      // Another hub was first, or somebody is in the way who is none.
      const other = await store.get(key);
      if (other === undefined || (await this.#take(other, log))) continue;
      throw new SkeinError('SKEIN_STORE', `Cannot go on with audit log: "${key}" was not written by the issuer`, {
        details: { remedy: REMEDY },
      });
    }
  }

  /** The checkpoint first: what is gone must not look like what was taken away. */
  async #trim(): Promise<void> {
    const { store, clock, sign, maxBytes } = this.#options;
    if (this.#bytes <= maxBytes) return;
    const blocks = await store.list(AUDIT_PREFIX);
    let bytes = blocks.reduce((sum, { value }) => sum + value.length, 0);
    let [ahead, count] = [0, 0];
    let last: ChainedEntry | undefined;
    for (const [at, block] of blocks.slice(0, -1).entries()) {
      // A quarter at a time, and whole stretches.
      if (bytes <= maxBytes * 0.75 && last !== undefined) break;
      ahead += block.value.length;
      const entry = readBlock(block.value)?.entries.at(-1);
      if (entry?.kind !== 'stretch') continue;
      [last, count] = [entry, at + 1];
      bytes -= ahead;
      ahead = 0;
    }
    this.#bytes = bytes;
    if (last === undefined) return;
    const base = { seq: last.seq, hash: last.hash };
    const token = await signHead(base, clock.epochMs(), true, sign);
    const before = await store.get(CHECKPOINT);
    await store.compareAndSet(CHECKPOINT, before?.revision ?? 0, JSON.stringify(token));
    this.#base = base;
    this.#checkpoint = token;
    this.#stretches.trim(base);
    for (const { key, revision } of blocks.slice(0, count)) await store.delete(key, revision);
  }
}

const REMEDY =
  'Somebody has written to the store who is no hub of this issuer: `skein audit` names the first bad entry.';
