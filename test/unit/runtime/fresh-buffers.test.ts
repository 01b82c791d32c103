import assert from 'node:assert/strict';
import process from 'node:process';
import { describe, it } from 'node:test';
import { EMPTY } from '../../../src/core/bytes.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { freeLargeBuffersEarly } from '../../../src/runtime/node-compat/fresh-buffers.ts';
import { lacking } from '../../runtime/capabilities.ts';

const skip = lacking('buffers of V8');
const MIB = 1024 * 1024;
const RECORD_BYTES = 64 * 1024;
const RECORDS = 1024;

/** By how much memory outside of the heap grows at most, while nothing but `step` is done. */
function growth(step: () => void): number {
  step(); // what is made once
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let i = 0; i < RECORDS; i++) {
    step();
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  return most;
}

describe('Large buffers of node:crypto', () => {
  const aead = nodeCrypto.createAead(new Uint8Array(32));
  const nonce = new Uint8Array(12);
  const plaintext = new Uint8Array(RECORD_BYTES).fill(7);
  const sealed = new Uint8Array(RECORD_BYTES + 16);
  aead.seal(nonce, EMPTY, plaintext, sealed, 0);

  it('are left to V8 where the process is not our own', { skip }, () => {
    const most = growth(() => aead.seal(nonce, EMPTY, plaintext, sealed, 0));
    assert.ok(most >= 4 * MIB, `${most} bytes`);
    freeLargeBuffersEarly(); // from here on
  });

  it('are freed when a record is sealed', { skip }, () => {
    const most = growth(() => aead.seal(nonce, EMPTY, plaintext, sealed, 0));
    assert.ok(most < 4 * MIB, `${most} bytes`);
  });

  // V8 by itself lets 32 MiB come together.
  it('are collected, those of opened records, before there are many', { skip }, () => {
    const most = growth(() => assert.equal(aead.open(nonce, EMPTY, sealed)?.[0], 7));
    assert.ok(most < 10 * MIB, `${most} bytes`);
  });
});
