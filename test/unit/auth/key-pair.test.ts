/** Identity keys: what leaves one is the key that signs, whole and in the one form, on each runtime. */

import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import {
  createIdentityKey,
  importIdentityKey,
  importPublicKey,
  toPublicJwk,
  toThumbprint,
  verifySignature,
} from '../../../src/auth/key-pair.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';

const DATA = encodeUtf8('data');

test('A key that was stored and read again is the same key, 200 times', async () => {
  for (let round = 0; round < 200; round++) {
    const key = await createIdentityKey();
    const stored = (await key.exportPrivate()).reveal();
    match(stored.d, /^[A-Za-z0-9_-]{43}$/);
    deepEqual(toPublicJwk(stored), key.publicJwk);
    const again = await importIdentityKey(JSON.parse(JSON.stringify(stored)));
    equal(await verifySignature(key.publicJwk, await again.sign(DATA), DATA), true, stored.x);
    deepEqual((await again.exportPrivate()).reveal(), stored);
    deepEqual([again.thumbprint, again.publicJwk], [await toThumbprint(key.publicJwk), key.publicJwk]);
  }
});

test('What is stored is what the runtime itself says of the key', async () => {
  const key = await createIdentityKey();
  const { d, x, y } = await crypto.subtle.exportKey('jwk', key.privateKey);
  deepEqual({ ...key.publicJwk, d }, (await key.exportPrivate()).reveal());
  deepEqual([x, y], [key.publicJwk.x, key.publicJwk.y]);
  equal((await importPublicKey(key.publicJwk)).type, 'public');
});

test('A key that the runtime keeps is not stored', async () => {
  const key = await createIdentityKey(false);
  await rejects(key.exportPrivate(), { code: 'SKEIN_CONFIG' });
  equal(await verifySignature(key.publicJwk, await key.sign(DATA), DATA), true);
});

test('What is no private key of P-256 is not read for one', async () => {
  const stored = (await (await createIdentityKey()).exportPrivate()).reveal();
  const others = [null, 'key', {}, { ...stored, d: undefined }, { ...stored, crv: 'P-384' }, { ...stored, x: 'AAAA' }];
  for (const other of others) await rejects(importIdentityKey(other), { code: 'SKEIN_CONFIG' });
});
