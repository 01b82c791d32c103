/**
 * Audit chain: what the issuer has issued and what administrators have changed, one entry after the other, each bound to all before it by
 * a hash. The issuer signs how far it has come. Who knows one head knows whether another one goes on from it.
 */

import { type Sha256, toCanonicalJson } from '../catalog/digest.ts';
import { encodeUtf8, toBase64Url } from '../core/bytes.ts';
import { type SignStatement, verifyStatement } from './statement.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { isCount } from './validity.ts';

/** `join` and `renew`: an SVID of a member; `hub`: one of a hub; `keys`: another key signs; `admin`: a change by an administrator. */
export type AuditKind = 'join' | 'renew' | 'hub' | 'keys' | 'admin';

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

/** An entry as those see it whom it does not concern: whom it is about, and what it says, each as a hash. */
export interface AuditLink {
  readonly owner: string;
  readonly digest: string;
}

/** Of a link as members are told it: `owner`, then `digest`, base64url. */
export const OWNER_CHARS = 22;
export const LINK_CHARS = 65;

export function writeLink({ owner, digest }: AuditLink): string {
  return owner + digest;
}

/** Links one behind the other, as `writeLink` writes each. */
export function* readLinks(links: string): IterableIterator<AuditLink> {
  for (let at = 0; at < links.length; at += LINK_CHARS) {
    const digestAt = at + OWNER_CHARS;
    yield { owner: links.slice(at, digestAt), digest: links.slice(digestAt, at + LINK_CHARS) };
  }
}

export const NO_AUDIT: AuditHead = { seq: 0, hash: '' };

const TYPE = 'skein-audit+jwt';
const OWNER_BYTES = 16;

/** Names an identity in the links without saying it. */
export function ownerOf(sha256: Sha256, id: string): string {
  return toBase64Url(sha256(encodeUtf8(`skein/1 audit-owner\n${id}`)).subarray(0, OWNER_BYTES));
}

export function toLink(sha256: Sha256, { seq, atMs, kind, id, key, by, what }: AuditEntry): AuditLink {
  const text = toCanonicalJson({ seq, atMs, kind, id, key, by, what });
  return { owner: ownerOf(sha256, id), digest: toBase64Url(sha256(encodeUtf8(`skein/1 audit-entry\n${text}`))) };
}

/** The head after one more entry. */
export function extendChain(sha256: Sha256, { seq, hash }: AuditHead, { owner, digest }: AuditLink): AuditHead {
  const text = `skein/1 audit-chain\n${seq + 1}\n${hash}\n${owner}\n${digest}`;
  return { seq: seq + 1, hash: toBase64Url(sha256(encodeUtf8(text))) };
}

/** Follows a chain. `broken`: the number of the first entry that is not the next one of it. */
export function followChain(
  sha256: Sha256,
  from: AuditHead,
  entries: Iterable<ChainedEntry>,
): { readonly head: AuditHead; readonly broken?: number } {
  let head = from;
  for (const entry of entries) {
    if (entry.seq !== head.seq + 1) return { head, broken: head.seq + 1 };
    const next = extendChain(sha256, head, toLink(sha256, entry));
    if (next.hash !== entry.hash) return { head, broken: entry.seq };
    head = next;
  }
  return { head };
}

/** @param sign as the issuer signs statements */
export function signHead({ seq, hash }: AuditHead, atMs: number, sign: SignStatement): Promise<string> {
  return sign(TYPE, { seq, hash, atMs });
}

/** undefined: the issuer has not signed it. */
export async function verifyHead(
  token: string,
  bundle: TrustBundle,
): Promise<(AuditHead & { readonly atMs: number }) | undefined> {
  const claims = await verifyStatement(token, TYPE, bundle);
  const { seq, hash, atMs } = claims ?? {};
  if (!isCount(seq) || !isCount(atMs) || typeof hash !== 'string') return undefined;
  return { seq, hash, atMs };
}
