import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import type { Crypto } from '../../src/core/platform.ts';
import { CipherState } from '../../src/tunnel/cipher-state.ts';
import { type HandshakeRole, HandshakeState } from '../../src/tunnel/handshake.ts';
import { CRYPTOS } from '../support/cryptos.ts';
import { readText } from '../support/repository.ts';

/** The Noise test vector format, with the sender of each message. */
interface Vector {
  readonly name: string;
  readonly init_prologue: string;
  readonly resp_prologue: string;
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly resp_static: string;
  readonly resp_ephemeral: string;
  readonly handshake_hash?: string;
  readonly messages: readonly {
    readonly from: HandshakeRole;
    readonly payload: string;
    readonly ciphertext: string;
  }[];
}

const HANDSHAKE_MESSAGES = 3;
const SOURCES = { cacophony: 1, snow: 1, flynn: 4 };

function createParty(crypto: Crypto, vector: Vector, role: HandshakeRole): HandshakeState {
  const own = role === 'initiator' ? 'init' : 'resp';
  return new HandshakeState({
    crypto,
    role,
    prologue: fromHex(vector[`${own}_prologue`]),
    staticKey: crypto.createX25519(fromHex(vector[`${own}_static`])),
    ephemeralKey: crypto.createX25519(fromHex(vector[`${own}_ephemeral`])),
  });
}

/** Our `role` against the recording: what it writes must be the recorded bytes, what it reads must give the payloads. */
function shakeHands(crypto: Crypto, vector: Vector, role: HandshakeRole): HandshakeState {
  const party = createParty(crypto, vector, role);
  for (const { from, payload, ciphertext } of vector.messages.slice(0, HANDSHAKE_MESSAGES)) {
    assert.equal(party.isWriter, from === role);
    assert.equal(party.isFinished, false);
    if (from === role) {
      party.beginWrite();
      assert.equal(toHex(party.finishWrite(fromHex(payload))), ciphertext);
    } else {
      party.beginRead(fromHex(ciphertext));
      assert.equal(toHex(party.finishRead()), payload);
    }
  }
  assert.equal(party.isFinished, true);
  return party;
}

for (const { by, crypto } of CRYPTOS) {
  for (const [source, count] of Object.entries(SOURCES)) {
    const { vectors } = JSON.parse(readText(`test/vectors/noise/${source}.json`)) as { vectors: Vector[] };

    describe(`Noise_XX_25519_AESGCM_SHA256 as ${source}, by ${by}`, () => {
      it('has all its vectors', () => {
        assert.equal(vectors.length, count);
        assert.ok(vectors.every(({ messages }) => messages.length >= HANDSHAKE_MESSAGES));
      });

      for (const vector of vectors) {
        for (const role of ['initiator', 'responder'] as const) {
          it(`${vector.name}: handshake and transport as ${role}`, () => {
            const party = shakeHands(crypto, vector, role);
            if (vector.handshake_hash !== undefined) assert.equal(toHex(party.hash), vector.handshake_hash);

            const keys = party.split();
            const sender = new CipherState(crypto, keys.send);
            const receiver = new CipherState(crypto, keys.receive);
            const none = new Uint8Array(0);
            for (const { from, payload, ciphertext } of vector.messages.slice(HANDSHAKE_MESSAGES)) {
              if (from === role) assert.equal(toHex(sender.encryptWithAd(none, fromHex(payload))), ciphertext);
              else {
                const opened = receiver.decryptWithAd(none, fromHex(ciphertext));
                assert.equal(opened && toHex(opened), payload);
              }
            }
          });
        }

        it(`${vector.name}: both roles agree without a recording between them`, () => {
          const initiator = shakeHands(crypto, vector, 'initiator');
          const responder = shakeHands(crypto, vector, 'responder');
          assert.deepEqual(initiator.hash, responder.hash);
          const [ours, theirs] = [initiator.split(), responder.split()];
          assert.deepEqual(ours.send, theirs.receive);
          assert.deepEqual(ours.receive, theirs.send);
        });

        for (const at of [1, 2]) {
          it(`${vector.name}: message ${at} with any byte changed is refused`, () => {
            const role: HandshakeRole = at === 1 ? 'initiator' : 'responder';
            const original = fromHex(vector.messages[at]!.ciphertext);
            for (let i = 0; i < original.length; i++) {
              const party = createParty(crypto, vector, role);
              for (const { from, payload, ciphertext } of vector.messages.slice(0, at)) {
                if (from === role) {
                  party.beginWrite();
                  party.finishWrite(fromHex(payload));
                } else {
                  party.beginRead(fromHex(ciphertext));
                  party.finishRead();
                }
              }
              const changed = original.slice();
              changed[i]! ^= 1;
              const read = () => {
                party.beginRead(changed);
                party.finishRead();
              };
              // X25519 ignores the top bit of a public key only; the lowest bit of any byte changes the transcript.
              assert.throws(read, { code: 'SKEIN_HANDSHAKE' }, `byte ${i}`);
            }
          });
        }

        it(`${vector.name}: another prologue is refused at the first sealed payload`, () => {
          const initiator = createParty(crypto, { ...vector, init_prologue: `${vector.init_prologue}00` }, 'initiator');
          initiator.beginWrite();
          initiator.finishWrite(fromHex(vector.messages[0]!.payload));
          assert.throws(
            () => {
              initiator.beginRead(fromHex(vector.messages[1]!.ciphertext));
              initiator.finishRead();
            },
            { code: 'SKEIN_HANDSHAKE' },
          );
        });
      }
    });
  }
}
