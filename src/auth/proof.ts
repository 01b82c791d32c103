/** Proof of possession: ES256 over SHA-256("skein/1 wit-proof" ‖ role ‖ handshake hash) by the key a credential names. */

import { type Bytes, encodeUtf8 } from '../core/bytes.ts';
import type { HandshakeRole } from '../tunnel/handshake.ts';
import { type IdentityKey, type PublicJwk, verifySignature } from './key-pair.ts';

const LABEL = 'skein/1 wit-proof';

/** 64 bytes. The handshake hash covers prologue, ephemerals and the sender's static key, so the proof fits no other handshake. */
export function createProof(key: IdentityKey, role: HandshakeRole, handshakeHash: Bytes): Promise<Bytes> {
  return key.sign(toSigned(role, handshakeHash));
}

export function verifyProof(jwk: PublicJwk, proof: Bytes, role: HandshakeRole, handshakeHash: Bytes): Promise<boolean> {
  return verifySignature(jwk, proof, toSigned(role, handshakeHash));
}

/** ES256 hashes what it signs with SHA-256; label and role have a length of their own, so nothing can shift between them. */
function toSigned(role: HandshakeRole, handshakeHash: Bytes): Bytes {
  const label = encodeUtf8(`${LABEL}|${role}|`);
  const signed = new Uint8Array(label.length + handshakeHash.length);
  signed.set(label);
  signed.set(handshakeHash, label.length);
  return signed;
}
