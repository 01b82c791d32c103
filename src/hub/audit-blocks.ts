/** Audit blocks: what came together of the audit log, as it lies in the store under the number of its first entry. */

import * as v from 'valibot';
import { AUDIT_KINDS, type AuditChain, type AuditHead, type ChainedEntry, type Stretch } from '../auth/audit-chain.ts';
import { tryParseJson } from '../core/json.ts';

/** A part of the chain, from `base` on. */
export interface AuditPage {
  readonly base: AuditHead;
  /** Signed, where `base` is where what is kept begins. */
  readonly checkpoint?: string | undefined;
  readonly entries: readonly ChainedEntry[];
  /** Signed: how far the chain has come in all. */
  readonly head: string;
}

export const AUDIT_PREFIX = 'audit/';
const DIGITS = 12;
const ENTRY = v.object({
  seq: v.number(),
  atMs: v.number(),
  kind: v.picklist(AUDIT_KINDS),
  id: v.string(),
  key: v.optional(v.string()),
  by: v.string(),
  what: v.optional(v.string()),
  root: v.optional(v.string()),
  hash: v.string(),
});
const BLOCK = v.object({ entries: v.pipe(v.array(ENTRY), v.minLength(1)), head: v.string() });
export type Block = v.InferOutput<typeof BLOCK>;

/** Stands for a block that cannot be read: an entry that is none. */
export const UNREADABLE = { atMs: 0, kind: 'admin', id: '', by: 'nobody', what: 'unreadable', hash: '' } as const;

export function toKey(seq: number): string {
  return AUDIT_PREFIX + String(seq).padStart(DIGITS, '0');
}

/** Of the first entry of a block. */
export function toSeq(key: string): number {
  return Number(key.slice(AUDIT_PREFIX.length));
}

export function readBlock(value: string): Block | undefined {
  const parsed = v.safeParse(BLOCK, tryParseJson(value));
  return parsed.success ? parsed.output : undefined;
}

/** The stretches that end in it; a number: of the first entry that is not the next one. */
export function takeBlock(chain: AuditChain, { entries }: Block): readonly Stretch[] | number {
  const ended: Stretch[] = [];
  for (const entry of entries) {
    if (!chain.take(entry)) return chain.head.seq + 1;
    if (chain.ended !== undefined) ended.push(chain.ended);
  }
  return ended;
}
