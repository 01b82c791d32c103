/** What stands in handshake payloads 2 and 3: a credential and its proof, as tagged fields. */

import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from '../core/bytes.ts';
import { SkeinError } from '../core/errors.ts';
import { ByteReader, writeVarint } from '../core/varint.ts';

/*
 * | version u8 = 1 | fields: tag u8, varint length, bytes … |   each tag at most once
 *   1 WIT-SVID (text)   2 proof (64 bytes)   3 trust bundle (JSON text)
 *   4 join token id (text)   5 join token secret   6 public key of a newcomer (JWK text)   7 token of a platform (JWT)
 *   8 head of the audit log (text)
 */
const VERSION = 1;
const TAG_WIT = 1;
const TAG_PROOF = 2;
const TAG_BUNDLE = 3;
const TAG_JOIN_ID = 4;
const TAG_JOIN_SECRET = 5;
const TAG_PUBLIC_KEY = 6;
const TAG_PLATFORM_TOKEN = 7;
const TAG_AUDIT_HEAD = 8;
const MAX_TAG = 8;
const PROOF_BYTES = 64;

export interface Credential {
  readonly wit?: string | undefined;
  readonly proof: Bytes;
  readonly bundle?: string | undefined;
  readonly joinId?: string | undefined;
  readonly joinSecret?: Bytes | undefined;
  readonly publicKey?: string | undefined;
  readonly platformToken?: string | undefined;
  readonly auditHead?: string | undefined;
}

export function encodeCredential(credential: Credential): Bytes {
  const parts: Bytes[] = [new Uint8Array([VERSION])];
  const add = (tag: number, value: string | Bytes | undefined): void => {
    if (value === undefined) return;
    const bytes = typeof value === 'string' ? encodeUtf8(value) : value;
    const head = new Uint8Array(9);
    head[0] = tag;
    parts.push(head.subarray(0, writeVarint(head, 1, bytes.length)), bytes);
  };
  add(TAG_WIT, credential.wit);
  add(TAG_PROOF, credential.proof);
  add(TAG_BUNDLE, credential.bundle);
  add(TAG_JOIN_ID, credential.joinId);
  add(TAG_JOIN_SECRET, credential.joinSecret);
  add(TAG_PUBLIC_KEY, credential.publicKey);
  add(TAG_PLATFORM_TOKEN, credential.platformToken);
  add(TAG_AUDIT_HEAD, credential.auditHead);
  return concatBytes(...parts);
}

/** @throws SkeinError SKEIN_IDENTITY */
export function decodeCredential(payload: Bytes): Credential {
  const reader = new ByteReader(payload);
  const fields = new Map<number, Bytes>();
  let valid = reader.u8() === VERSION;
  while (valid && reader.remaining > 0) {
    const tag = reader.u8();
    if (tag === 0 || tag > MAX_TAG || fields.has(tag)) valid = false;
    fields.set(tag, reader.take(reader.varint()));
  }
  const proof = fields.get(TAG_PROOF);
  if (!valid || reader.failed || proof?.length !== PROOF_BYTES) throw malformed();
  const text = (tag: number): string | undefined => {
    const bytes = fields.get(tag);
    if (bytes === undefined) return undefined;
    try {
      return decodeUtf8(bytes);
    } catch {
      throw malformed();
    }
  };
  return {
    proof,
    wit: text(TAG_WIT),
    bundle: text(TAG_BUNDLE),
    joinId: text(TAG_JOIN_ID),
    joinSecret: fields.get(TAG_JOIN_SECRET),
    publicKey: text(TAG_PUBLIC_KEY),
    platformToken: text(TAG_PLATFORM_TOKEN),
    auditHead: text(TAG_AUDIT_HEAD),
  };
}

function malformed(): SkeinError {
  return new SkeinError('SKEIN_IDENTITY', 'Cannot trust credential: malformed payload');
}
