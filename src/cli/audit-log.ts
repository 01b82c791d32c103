/** The audit log as a hub keeps it, read whole and followed from one entry to the next. */

import { AuditChain, type AuditHead, type ChainedEntry, verifyHead } from '../auth/audit-chain.ts';
import { parseTrustBundle } from '../auth/trust-bundle.ts';
import type { Sha256 } from '../catalog/digest.ts';
import { type AdminClient, asRecord, toRecords } from './admin-client.ts';

export interface CheckedLog {
  /** Where what is kept begins. */
  readonly base: AuditHead;
  readonly entries: readonly ChainedEntry[];
  readonly head: AuditHead;
  /** What is wrong, in words; undefined: nothing is. */
  readonly broken?: string;
}

/** @param expected a hash that must be in the chain, as somebody has noted it before */
export async function readAuditLog(admin: AdminClient, sha256: Sha256, expected?: string): Promise<CheckedLog> {
  const bundle = parseTrustBundle(await admin.get('/.well-known/spiffe-bundle'));
  const entries: ChainedEntry[] = [];
  let base: AuditHead | undefined;
  let at: AuditHead = { seq: 0, hash: '' };
  let chain = new AuditChain(sha256, at);
  for (;;) {
    const answer = asRecord(await admin.get(`/v1/audit?after=${at.seq}`));
    const page = toRecords(answer.entries) as unknown as readonly ChainedEntry[];
    const signed = await verifyHead(String(answer.head), bundle);
    if (base === undefined) {
      base = readHead(answer.base);
      at = base;
      chain = new AuditChain(sha256, base);
      const checkpoint = base.seq === 0 ? base : await verifyHead(String(answer.checkpoint), bundle);
      if (checkpoint?.seq !== base.seq || checkpoint.hash !== base.hash) {
        return { base, entries, head: at, broken: `it begins behind entry ${base.seq}, and no issuer has signed that` };
      }
    }
    entries.push(...page);
    const bad = page.find((entry) => !chain.take(entry));
    at = chain.head;
    if (bad !== undefined) {
      return { base, entries, head: at, broken: `entry ${at.seq + 1} is not the one that was written` };
    }
    if (page.length > 0) continue;
    const isWhole = signed === undefined ? at.seq === 0 : signed.seq === at.seq && signed.hash === at.hash;
    if (!isWhole) {
      const state =
        signed === undefined ? 'no issuer has signed its head' : `the issuer has signed ${signed.seq} entries`;
      return { base, entries, head: at, broken: `it ends with entry ${at.seq}, and ${state}` };
    }
    const isKnown = expected === undefined || [base, ...entries].some(({ hash }) => hash === expected);
    return { base, entries, head: at, ...(isKnown ? {} : { broken: `the head ${expected} is not in it` }) };
  }
}

function readHead(value: unknown): AuditHead {
  const { seq, hash } = asRecord(value);
  return { seq: Number(seq), hash: String(hash) };
}
