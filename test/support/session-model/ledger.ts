/** What must be true of all ciphertexts: no nonce twice under one key, and a record that is sent again is the same one, byte for byte. */

import assert from 'node:assert/strict';
import { type Bytes, toHex } from '../../../src/core/bytes.ts';
import type { Aead, Crypto } from '../../../src/core/platform.ts';
import { LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { RECORD_DATA, readRecordSequence, readRecordType } from '../../../src/tunnel/record.ts';

/** What a record may have; above it is the nonce of REKEY. */
const MAX_COUNTER = 2 ** 48;

/** FNV-1a. */
function hash(bytes: Bytes, from = 0): number {
  let value = 0x811c9dc5;
  for (let i = from; i < bytes.length; i++) value = Math.imul(value ^ (bytes[i] as number), 0x01000193);
  return value;
}

export class NonceLedger {
  readonly #used = new Map<string, Set<number>>();

  /** The same crypto, watched. */
  watch(crypto: Crypto): Crypto {
    return { ...crypto, createAead: (key) => this.#watchAead(crypto.createAead(key), toHex(key)) };
  }

  #watchAead(aead: Aead, key: string): Aead {
    const used = this.#used.get(key) ?? new Set<number>();
    this.#used.set(key, used);
    return {
      seal(nonce, aad, plaintext, out, offset) {
        const view = new DataView(nonce.buffer, nonce.byteOffset);
        const counter = view.getUint32(4) * 0x1_0000_0000 + view.getUint32(8);
        assert.ok(!used.has(counter), `nonce ${counter} was used twice under one key`);
        // REKEY(k) is a function of the key alone (Noise §4.2): it seals the same zeros each time.
        if (counter < MAX_COUNTER) used.add(counter);
        aead.seal(nonce, aad, plaintext, out, offset);
      },
      open: (nonce, aad, sealed) => aead.open(nonce, aad, sealed),
    };
  }
}

/** Records of one end, as they went into its sockets. */
export class RecordLedger {
  readonly #hashes: number[] = [];

  note(message: Bytes): void {
    if (((message[0] as number) & 15) !== 2 || readRecordType(message, LINK_HEADER_BYTES) !== RECORD_DATA) return;
    const sequence = readRecordSequence(message, LINK_HEADER_BYTES);
    const found = hash(message, LINK_HEADER_BYTES);
    const before = this.#hashes[sequence];
    assert.ok(before === undefined || before === found, `record ${sequence} was sent again with other bytes`);
    this.#hashes[sequence] = found;
  }
}
