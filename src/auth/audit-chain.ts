/**
 * Audit chain: what the issuer has issued and what administrators have changed, one entry after the other, each bound to all before it by
 * a hash. Now and then a stretch of it ends: that entry binds the end of the stretch before, and all entries since by their owners. So who
 * knows the end of one stretch follows the chain from there by a few hashes for each, however many entries it holds. The issuer signs how
 * far it has come. Who knows one head knows whether another one goes on from it.
 */

import { type Sha256, toCanonicalJson } from '../catalog/digest.ts';
import { encodeUtf8, toBase64Url } from '../core/bytes.ts';
import { type AuditLink, OWNER_BYTES, OwnerTree } from './owner-tree.ts';
import { type SignStatement, verifyStatement } from './statement.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { isCount } from './validity.ts';

/**
 * `join` and `renew`: an SVID of a member; `hub`: one of a hub; `keys`: another key signs; `admin`: a change by an administrator;
 * `stretch`: a stretch of the log ends.
 */
export const AUDIT_KINDS = ['join', 'renew', 'hub', 'keys', 'admin', 'stretch'] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

export interface AuditEntry {
  /** 1 for the first of a mesh, then one more each. */
  readonly seq: number;
  /** Wall time of the hub. */
  readonly atMs: number;
  readonly kind: AuditKind;
  /** SPIFFE id that it is about; empty where it is about none. */
  readonly id: string;
  /** RFC 7638 thumbprint of the key that was certified. */
  readonly key?: string | undefined;
  /** By what right: `join-token`, `svid`, `issuer`, `admin-token`. */
  readonly by: string;
  /** More of it, never a secret. */
  readonly what?: string | undefined;
  /** Of a stretch: the root of the tree of its entries (owner-tree.ts). */
  readonly root?: string | undefined;
}

/** An entry with the hash of the chain up to it. */
export interface ChainedEntry extends AuditEntry {
  readonly hash: string;
}

/** How far a chain has come. */
export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
}

/** A head as the issuer has signed it. */
export interface SignedHead extends AuditHead {
  readonly atMs: number;
  /** Here a stretch ends. */
  readonly endsStretch: boolean;
}

/** A stretch that has ended with entry `end`. */
export interface Stretch {
  readonly from: AuditHead;
  readonly end: ChainedEntry;
  readonly tree: OwnerTree;
}

export const NO_AUDIT: AuditHead = { seq: 0, hash: '' };

const TYPE = 'skein-audit+jwt';
const STRETCH = { kind: 'stretch', id: '', by: 'issuer' } as const;

/** Names an identity in the log without saying it. */
export function ownerOf(sha256: Sha256, id: string): string {
  return toBase64Url(sha256(encodeUtf8(`skein/1 audit-owner\n${id}`)).subarray(0, OWNER_BYTES));
}

export function toLink(sha256: Sha256, { seq, atMs, kind, id, key, by, what }: AuditEntry): AuditLink {
  const text = toCanonicalJson({ seq, atMs, kind, id, key, by, what });
  return { owner: ownerOf(sha256, id), digest: toBase64Url(sha256(encodeUtf8(`skein/1 audit-entry\n${text}`))) };
}

/** The head after one more entry that ends no stretch. */
function extendChain(sha256: Sha256, { seq, hash }: AuditHead, { owner, digest }: AuditLink): AuditHead {
  const text = `skein/1 audit-chain\n${seq + 1}\n${hash}\n${owner}\n${digest}`;
  return { seq: seq + 1, hash: toBase64Url(sha256(encodeUtf8(text))) };
}

/** The head with which a stretch ends that goes on from the end of the one before. */
export function endStretch(
  sha256: Sha256,
  from: AuditHead,
  { seq, atMs, root }: { readonly seq: number; readonly atMs: number; readonly root: string },
): AuditHead {
  const text = `skein/1 audit-stretch\n${seq}\n${atMs}\n${from.seq}\n${from.hash}\n${root}`;
  return { seq, hash: toBase64Url(sha256(encodeUtf8(text))) };
}

/** Writes a chain, or follows one, entry by entry. */
export class AuditChain {
  readonly #sha256: Sha256;
  #head: AuditHead;
  /** Where the stretch has begun that has not ended yet. */
  #from: AuditHead;
  #links: AuditLink[] = [];
  #ended: Stretch | undefined;

  /** @param from where a stretch begins */
  constructor(sha256: Sha256, from: AuditHead) {
    this.#sha256 = sha256;
    this.#head = { seq: from.seq, hash: from.hash };
    this.#from = this.#head;
  }

  get head(): AuditHead {
    return this.#head;
  }

  /** Entries since the last stretch has ended. */
  get open(): number {
    return this.#links.length;
  }

  /** What ended with the last entry; undefined: nothing did. */
  get ended(): Stretch | undefined {
    return this.#ended;
  }

  /** One that goes on from here by itself. */
  fork(): AuditChain {
    const fork = new AuditChain(this.#sha256, this.#from);
    fork.#head = this.#head;
    fork.#links = [...this.#links];
    return fork;
  }

  /** The next entry. */
  add(entry: Omit<AuditEntry, 'seq'>): ChainedEntry {
    const numbered = { ...entry, seq: this.#head.seq + 1 };
    const link = toLink(this.#sha256, numbered);
    this.#links.push(link);
    this.#ended = undefined;
    this.#head = extendChain(this.#sha256, this.#head, link);
    return { ...numbered, hash: this.#head.hash };
  }

  /** The next entry, with which the stretch ends; there must be one before it. */
  end(atMs: number): ChainedEntry {
    const tree = new OwnerTree(this.#sha256, this.#links);
    const [from, seq] = [this.#from, this.#head.seq + 1];
    this.#head = endStretch(this.#sha256, from, { seq, atMs, root: tree.root });
    const end: ChainedEntry = { ...STRETCH, seq, atMs, root: tree.root, hash: this.#head.hash };
    this.#from = this.#head;
    this.#links = [];
    this.#ended = { from, end, tree };
    return end;
  }

  /** False: it is not the next one of this chain, which stays where it was. */
  take(entry: ChainedEntry): boolean {
    if (entry.seq !== this.#head.seq + 1) return false;
    const before = [this.#head, this.#from, this.#links, this.#ended] as const;
    const isStretch = entry.kind === 'stretch';
    if (isStretch ? !this.#isEnd(entry) : entry.root !== undefined) return false;
    const { hash: _hash, ...rest } = entry;
    const taken = isStretch ? this.end(entry.atMs) : this.add(rest);
    if (taken.hash === entry.hash && taken.root === entry.root) return true;
    [this.#head, this.#from, this.#links, this.#ended] = before;
    if (!isStretch) this.#links.pop();
    return false;
  }

  #isEnd({ id, by, key, what }: AuditEntry): boolean {
    return this.open > 0 && id === STRETCH.id && by === STRETCH.by && key === undefined && what === undefined;
  }
}

/** @param sign as the issuer signs statements */
export function signHead(
  { seq, hash }: AuditHead,
  atMs: number,
  endsStretch: boolean,
  sign: SignStatement,
): Promise<string> {
  return sign(TYPE, { seq, hash, atMs, ...(endsStretch ? { ends: 'stretch' } : {}) });
}

/** undefined: the issuer has not signed it. */
export async function verifyHead(token: string, bundle: TrustBundle): Promise<SignedHead | undefined> {
  const claims = await verifyStatement(token, TYPE, bundle);
  const { seq, hash, atMs, ends } = claims ?? {};
  if (!isCount(seq) || !isCount(atMs) || typeof hash !== 'string') return undefined;
  return { seq, hash, atMs, endsStretch: ends === 'stretch' };
}
