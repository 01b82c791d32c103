/**
 * Audit log: the audit chain in the store, in blocks of what came together, each with a head that the issuer has signed. Who writes a block
 * under its number first has made it; hubs that share a store go on from there. Whoever else writes to the store has no such signature.
 */

import * as v from 'valibot';
import {
  type AuditEntry,
  type AuditHead,
  type ChainedEntry,
  extendChain,
  followChain,
  NO_AUDIT,
  signHead,
  toLink,
  verifyHead,
} from '../auth/audit-chain.ts';
import type { SignStatement } from '../auth/statement.ts';
import type { TrustBundle } from '../auth/trust-bundle.ts';
import type { Sha256 } from '../catalog/digest.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import { tryParseJson } from '../core/json.ts';
import type { Logger } from '../core/log.ts';
import { AuditMemory } from './audit-memory.ts';
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

/** A part of the chain, from `base` on. */
export interface AuditPage {
  readonly base: AuditHead;
  /** Signed, where `base` is where what is kept begins. */
  readonly checkpoint?: string | undefined;
  readonly entries: readonly ChainedEntry[];
  /** Signed: how far the chain has come in all. */
  readonly head: string;
}

/** `what` is cut where it is too long. */
export type NewEntry = Omit<AuditEntry, 'seq' | 'atMs'>;

interface Pending {
  readonly entry: NewEntry;
  readonly resolve: () => void;
  readonly reject: (error: SkeinError) => void;
}

const PREFIX = 'audit/';
const CHECKPOINT = 'hub/audit';
const DIGITS = 12;
const MAX_BLOCK = 256;
/** Of `what`, in characters. */
const MAX_WHAT = 1_024;
const ENTRY = v.object({
  seq: v.number(),
  atMs: v.number(),
  kind: v.picklist(['join', 'renew', 'hub', 'keys', 'admin']),
  id: v.string(),
  key: v.optional(v.string()),
  by: v.string(),
  what: v.optional(v.string()),
  hash: v.string(),
});
const BLOCK = v.object({ entries: v.pipe(v.array(ENTRY), v.minLength(1)), head: v.string() });
type Block = v.InferOutput<typeof BLOCK>;

export class AuditLog {
  /** The chain has come further, by these entries of this hub. */
  onHead: (entries: readonly ChainedEntry[]) => void = () => undefined;
  readonly #options: AuditLogOptions;
  #pending: Pending[] = [];
  #writing: Promise<void> | undefined;
  #head: AuditHead = NO_AUDIT;
  #signed = '';
  /** Where what is kept begins. */
  #base: AuditHead = NO_AUDIT;
  #bytes = 0;
  #checkpoint = '';
  readonly #memory = new AuditMemory();

  constructor(options: AuditLogOptions) {
    this.#options = options;
  }

  /** As far as this hub knows. */
  get head(): AuditHead {
    return this.#head;
  }

  /** The issuer's word on it; empty before the first entry. */
  get signed(): string {
    return this.#signed;
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
    this.#head = { seq: this.#base.seq, hash: this.#base.hash };
    this.#checkpoint = typeof token === 'string' ? token : '';
    this.#signed = this.#checkpoint;
    const blocks = await store.list(PREFIX);
    // What is wrong is found block by block, and costs a signature each; what is right costs one.
    if (!(await this.#takeAll(blocks))) for (const block of blocks) await this.#take(block, log);
    await this.#catchUp();
  }

  /** Takes all of it, if it is one chain up to a head that the issuer has signed; else nothing, and false. */
  async #takeAll(stored: readonly StoreEntry[]): Promise<boolean> {
    const { sha256, bundle } = this.#options;
    let head = this.#head;
    let bytes = 0;
    const entries: ChainedEntry[] = [];
    let signed = '';
    for (const { value } of stored) {
      const block = readBlock(value);
      const last = block?.entries.at(-1);
      if (block === undefined || last === undefined) return false;
      if (last.seq <= head.seq) continue;
      const followed = followChain(sha256, head, block.entries);
      if (followed.broken !== undefined) return false;
      head = followed.head;
      bytes += value.length;
      for (const entry of block.entries) entries.push(entry);
      signed = block.head;
    }
    const isNone = signed === '';
    const said = isNone ? head : await verifyHead(signed, bundle());
    if (said?.seq !== head.seq || said.hash !== head.hash) return false;
    this.#head = head;
    if (!isNone) this.#signed = signed;
    this.#bytes += bytes;
    this.#memory.add(entries);
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
    const blocks = await this.#options.store.list(PREFIX);
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

  /** The same from memory, as far as it reaches back: what this hub has seen to be right. @throws SkeinError SKEIN_STORE */
  async recent(after: number, limit: number): Promise<AuditPage> {
    await this.#catchUp();
    if (after >= this.#head.seq) return { base: this.#head, entries: [], head: this.#signed };
    const kept = this.#memory.behind(after, limit);
    if (kept === undefined) return this.page(after, limit);
    const { seq, hash } = kept.base;
    return { base: { seq, hash }, entries: kept.entries, head: this.#signed };
  }

  /** SVIDs of a member's key since then, wall time, as far as memory reaches back. */
  countIssued(key: string, sinceMs: number): number {
    return this.#memory.countIssued(key, sinceMs);
  }

  /** Other hubs may have gone on. @throws SkeinError SKEIN_STORE */
  async #catchUp(): Promise<void> {
    const { store, log } = this.#options;
    for (;;) {
      const next = await store.get(toKey(this.#head.seq + 1));
      if (next === undefined || !(await this.#take(next, log))) return;
    }
  }

  /** Takes a block that goes on from the head, or is behind it and signed; false: it does not. */
  async #take({ key, value }: StoreEntry, log: Logger): Promise<boolean> {
    const block = readBlock(value);
    const last = block?.entries.at(-1);
    if (last !== undefined && last.seq <= this.#head.seq) return true;
    const signed = block === undefined ? undefined : await verifyHead(block.head, this.#options.bundle());
    const followed = block === undefined ? undefined : followChain(this.#options.sha256, this.#head, block.entries);
    const isSigned = signed !== undefined && last !== undefined && signed.seq === last.seq && signed.hash === last.hash;
    if (followed?.broken !== undefined || !isSigned) {
      log.log('error', 'audit-broken', { block: key, entry: followed?.broken, signed: isSigned, remedy: REMEDY });
      if (!isSigned) return false;
    }
    this.#head = { seq: signed.seq, hash: signed.hash };
    this.#signed = block?.head ?? '';
    this.#bytes += value.length;
    this.#memory.add(block?.entries ?? []);
    return true;
  }

  async #write(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0, MAX_BLOCK);
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

  async #writeBlock(batch: readonly NewEntry[]): Promise<readonly ChainedEntry[]> {
    const { store, clock, sha256, sign, log } = this.#options;
    for (;;) {
      let head = this.#head;
      const atMs = clock.epochMs();
      const entries = batch.map((entry): ChainedEntry => {
        const numbered: AuditEntry = { ...entry, seq: head.seq + 1, atMs };
        head = extendChain(sha256, head, toLink(sha256, numbered));
        return { ...numbered, hash: head.hash };
      });
      const signed = await signHead(head, atMs, sign);
      const value = JSON.stringify({ entries, head: signed });
      const key = toKey(this.#head.seq + 1);
      if ((await store.compareAndSet(key, 0, value)) !== undefined) {
        this.#head = head;
        this.#signed = signed;
        this.#bytes += value.length;
        this.#memory.add(entries);
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
    const blocks = await store.list(PREFIX);
    const gone: StoreEntry[] = [];
    let bytes = blocks.reduce((sum, { value }) => sum + value.length, 0);
    for (const block of blocks.slice(0, -1)) {
      // A quarter at a time.
      if (bytes <= maxBytes * 0.75) break;
      bytes -= block.value.length;
      gone.push(block);
    }
    const last = readBlock(gone.at(-1)?.value ?? '')?.entries.at(-1);
    this.#bytes = bytes;
    if (last === undefined) return;
    const base = { seq: last.seq, hash: last.hash };
    const token = await signHead(base, clock.epochMs(), sign);
    const before = await store.get(CHECKPOINT);
    await store.compareAndSet(CHECKPOINT, before?.revision ?? 0, JSON.stringify(token));
    this.#base = base;
    this.#checkpoint = token;
    for (const { key, revision } of gone) await store.delete(key, revision);
  }
}

const REMEDY =
  'Somebody has written to the store who is no hub of this issuer: `skein audit` names the first bad entry.';
const UNREADABLE = { atMs: 0, kind: 'admin', id: '', by: 'nobody', what: 'unreadable', hash: '' } as const;

function toKey(seq: number): string {
  return PREFIX + String(seq).padStart(DIGITS, '0');
}

/** Of the first entry of a block. */
function toSeq(key: string): number {
  return Number(key.slice(PREFIX.length));
}

function readBlock(value: string): Block | undefined {
  const parsed = v.safeParse(BLOCK, tryParseJson(value));
  return parsed.success ? parsed.output : undefined;
}
