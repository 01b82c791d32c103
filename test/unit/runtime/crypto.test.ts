import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bytes, EMPTY, encodeUtf8, fromHex, toHex } from '../../../src/core/bytes.ts';
import { CRYPTOS } from '../../support/cryptos.ts';

const KEY_15 = 'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308';
const PLAINTEXT_15 =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
  '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
const CIPHERTEXT_15 =
  '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
  '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad';

/** McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, which NIST SP 800-38D took over. */
const GCM_CASES = [
  {
    name: '13',
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    aad: '',
    plaintext: '',
    sealed: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    name: '14',
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    aad: '',
    plaintext: '00'.repeat(16),
    sealed: 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    name: '15',
    key: KEY_15,
    nonce: 'cafebabefacedbaddecaf888',
    aad: '',
    plaintext: PLAINTEXT_15,
    sealed: `${CIPHERTEXT_15}b094dac5d93471bdec1a502270e3cc6c`,
  },
  {
    name: '16',
    key: KEY_15,
    nonce: 'cafebabefacedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plaintext: PLAINTEXT_15.slice(0, 120),
    sealed: `${CIPHERTEXT_15.slice(0, 120)}76fc6ece0f4e1768cddf8853bb2d551b`,
  },
];

for (const { by, crypto } of CRYPTOS) {
  describe(`Aead by ${by}`, () => {
    for (const { name, key, nonce, aad, plaintext, sealed } of GCM_CASES) {
      it(`seals and opens GCM test case ${name}`, () => {
        const aead = crypto.createAead(fromHex(key));
        const out = new Uint8Array(sealed.length / 2 + 7).fill(0xee);
        aead.seal(fromHex(nonce), fromHex(aad), fromHex(plaintext), out, 3);
        assert.equal(toHex(out), `eeeeee${sealed}eeeeeeee`);
        const opened = aead.open(fromHex(nonce), fromHex(aad), fromHex(sealed));
        assert.ok(opened !== undefined);
        assert.equal(toHex(opened), plaintext);
      });

      it(`refuses GCM test case ${name} with any bit of its tag, text, nonce or additional data wrong`, () => {
        const aead = crypto.createAead(fromHex(key));
        for (let at = 0; at < sealed.length / 2; at++) {
          assert.equal(aead.open(fromHex(nonce), fromHex(aad), flip(fromHex(sealed), at)), undefined);
        }
        assert.equal(aead.open(flip(fromHex(nonce), 11), fromHex(aad), fromHex(sealed)), undefined);
        assert.equal(aead.open(fromHex(nonce), fromHex(`${aad}00`), fromHex(sealed)), undefined);
      });
    }

    it('gives the same whatever was made ready: for this message, for another one, or let go again', () => {
      const nonces = [0, 1, 2].map((last) => new Uint8Array(12).fill(last, 11));
      const aad = Uint8Array.of(1, 2);
      const text = new Uint8Array(100).fill(9);
      const [plain, ready] = [crypto.createAead(new Uint8Array(32)), crypto.createAead(new Uint8Array(32))];
      const sealed = nonces.map((nonce) => {
        const out = new Uint8Array(116);
        plain.seal(nonce, aad, text, out, 0);
        return out;
      });
      for (const prepared of [...nonces, undefined]) {
        for (const [i, nonce] of nonces.entries()) {
          const out = new Uint8Array(116);
          const expected = sealed[i] as Uint8Array<ArrayBuffer>;
          for (let times = 0; times < 2; times++) {
            const lent = prepared?.slice();
            ready.prepareSeal?.(lent);
            lent?.fill(0xff); // the caller writes the next one into it
            ready.seal(nonce, aad, text, out, 0);
            assert.deepEqual(out, expected);
            ready.seal(nonce, aad, text, out, 0);
            assert.deepEqual(out, expected, 'the second time nothing is ready');
            ready.prepareOpen?.(prepared);
            assert.equal(ready.open(nonce, aad, flip(expected.slice(), 5)), undefined);
            assert.deepEqual(ready.open(nonce, aad, expected), text);
            ready.prepareOpen?.(prepared);
            assert.deepEqual(ready.open(nonce, aad, expected), text);
          }
        }
      }
    });

    it('opens nothing that is shorter than a tag', () => {
      const aead = crypto.createAead(new Uint8Array(32));
      for (let length = 0; length < 16; length++) {
        assert.equal(aead.open(new Uint8Array(12), EMPTY, new Uint8Array(length)), undefined);
      }
    });

    it('reads views inside larger buffers', () => {
      const aead = crypto.createAead(new Uint8Array(32).fill(7));
      const text = encodeUtf8('..hello..').subarray(2, 7);
      const out = new Uint8Array(40);
      aead.seal(new Uint8Array(12), EMPTY, text, out, 10);
      const opened = aead.open(new Uint8Array(12), EMPTY, out.subarray(10, 10 + 5 + 16));
      assert.deepEqual(opened, new Uint8Array(text));
    });

    it('gives plain arrays, so that slice copies', () => {
      const aead = crypto.createAead(new Uint8Array(32));
      const out = new Uint8Array(17);
      aead.seal(new Uint8Array(12), EMPTY, Uint8Array.of(1), out, 0);
      assert.equal(aead.open(new Uint8Array(12), EMPTY, out)?.constructor, Uint8Array);
      assert.equal(crypto.sha256().constructor, Uint8Array);
      assert.equal(crypto.createX25519().publicKey.constructor, Uint8Array);
    });

    it('refuses a key of another length', () => {
      assert.throws(() => crypto.createAead(new Uint8Array(16)), RangeError);
    });

    it('refuses an output without room', () => {
      const aead = crypto.createAead(new Uint8Array(32));
      assert.throws(() => aead.seal(new Uint8Array(12), EMPTY, new Uint8Array(8), new Uint8Array(23), 0), RangeError);
    });
  });
}

/** RFC 4231 §4.2, §4.3, §4.7, §4.8: short, shorter than a block, and longer than a block. */
const HMAC_CASES = [
  {
    name: '4.2',
    key: '0b'.repeat(20),
    data: 'Hi There',
    mac: 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  },
  {
    name: '4.3',
    key: '4a656665',
    data: 'what do ya want for nothing?',
    mac: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  },
  {
    name: '4.7',
    key: 'aa'.repeat(131),
    data: 'Test Using Larger Than Block-Size Key - Hash Key First',
    mac: '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  },
  {
    name: '4.8',
    key: 'aa'.repeat(131),
    data:
      'This is a test using a larger than block-size key and a larger than block-size data. ' +
      'The key needs to be hashed before being used by the HMAC algorithm.',
    mac: '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  },
];

for (const { by, crypto } of CRYPTOS) {
  describe(`hashes by ${by}`, () => {
    it('SHA-256 of FIPS 180-4, in one part and in several', () => {
      const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
      assert.equal(toHex(crypto.sha256(encodeUtf8('abc'))), abc);
      assert.equal(toHex(crypto.sha256(encodeUtf8('a'), EMPTY, encodeUtf8('bc'))), abc);
      const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
      assert.equal(toHex(crypto.sha256()), empty);
    });

    it('gives the same for the same bytes, however many and in whatever parts', () => {
      // In a page both are the same one, and parts are held against the whole.
      const oracle = CRYPTOS.find((other) => other.crypto !== crypto)?.crypto ?? crypto;
      const bytes = new Uint8Array(2_100).map((_, i) => i * 7);
      for (const length of [959, 960, 961, 1023, 1024, 1025, 2_100]) {
        const [whole, parts] = [bytes.subarray(0, length), [bytes.subarray(0, 500), bytes.subarray(500, length)]];
        const expected = [oracle.sha256(whole), oracle.hmacSha256(bytes.subarray(0, 32), whole)];
        assert.deepEqual(
          [crypto.sha256(whole), crypto.hmacSha256(bytes.subarray(0, 32), whole)],
          expected,
          `${length}`,
        );
        assert.deepEqual([crypto.sha256(...parts), crypto.hmacSha256(bytes.subarray(0, 32), ...parts)], expected);
      }
    });

    for (const { name, key, data, mac } of HMAC_CASES) {
      it(`HMAC-SHA-256 of RFC 4231 §${name}`, () => {
        assert.equal(toHex(crypto.hmacSha256(fromHex(key), encodeUtf8(data))), mac);
        assert.equal(
          toHex(crypto.hmacSha256(fromHex(key), encodeUtf8(data.slice(0, 3)), encodeUtf8(data.slice(3)))),
          mac,
        );
      });
    }

    it('HMAC-SHA-256 leaves its key as it was', () => {
      const key = new Uint8Array(32).fill(9);
      crypto.hmacSha256(key, EMPTY);
      assert.deepEqual(key, new Uint8Array(32).fill(9));
    });
  });
}

/** RFC 7748 §5.2. */
const SCALAR_CASES = [
  {
    scalar: 'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
    point: 'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
    product: 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
  },
  {
    scalar: '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
    point: 'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
    product: '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957',
  },
];

/** The points of small order on curve and twist, with their forms above the prime. */
const LOW_ORDER_POINTS = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
];

for (const { by, crypto } of CRYPTOS) {
  describe(`X25519 by ${by}`, () => {
    for (const { scalar, point, product } of SCALAR_CASES) {
      it(`multiplies as RFC 7748 §5.2, scalar ${scalar.slice(0, 8)}…`, () => {
        assert.equal(toHex(crypto.createX25519(fromHex(scalar)).diffieHellman(fromHex(point))), product);
      });
    }

    it('agrees as RFC 7748 §6.1', () => {
      const alice = crypto.createX25519(fromHex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'));
      const bob = crypto.createX25519(fromHex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'));
      assert.equal(toHex(alice.publicKey), '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
      assert.equal(toHex(bob.publicKey), 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
      const secret = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
      assert.equal(toHex(alice.diffieHellman(bob.publicKey)), secret);
      assert.equal(toHex(bob.diffieHellman(alice.publicKey)), secret);
    });

    it('makes a new pair each time', () => {
      const a = crypto.createX25519();
      const b = crypto.createX25519();
      assert.notDeepEqual(a.publicKey, b.publicKey);
      assert.deepEqual(a.diffieHellman(b.publicKey), b.diffieHellman(a.publicKey));
    });

    for (const point of LOW_ORDER_POINTS) {
      it(`refuses the low-order point ${point.slice(0, 8)}…`, () => {
        const pair = crypto.createX25519();
        assert.throws(() => pair.diffieHellman(fromHex(point)), { code: 'SKEIN_HANDSHAKE' });
      });
    }

    it('refuses keys of another length', () => {
      const pair = crypto.createX25519();
      assert.throws(() => pair.diffieHellman(new Uint8Array(31)), { code: 'SKEIN_HANDSHAKE' });
      assert.throws(() => crypto.createX25519(new Uint8Array(33)), RangeError);
    });
  });
}

function flip(bytes: Bytes, at: number): Bytes {
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}
