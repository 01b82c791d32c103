/** Ciphers that are made before their record is there: when nobody waits, and not by sessions at rest. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bytes } from '../../../src/core/bytes.ts';
import type { Crypto } from '../../../src/core/platform.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createSessions, RecordingSink } from '../../support/tunnel.ts';

const META = new Uint8Array([1]);

/** The real one, and what it has ready. */
function watched(): { readonly crypto: Crypto; readonly ready: Set<string> } {
  const ready = new Set<string>();
  const note = (what: string, nonce: Bytes | undefined): void => {
    if (nonce === undefined) ready.delete(what);
    else ready.add(what);
  };
  const createAead: Crypto['createAead'] = (key) => {
    const aead = nodeCrypto.createAead(key);
    const name = String(key);
    return {
      seal: (...args) => {
        ready.delete(`seal ${name}`);
        aead.seal(...args);
      },
      open: (...args) => {
        ready.delete(`open ${name}`);
        return aead.open(...args);
      },
      prepareSeal: (nonce) => {
        note(`seal ${name}`, nonce);
        aead.prepareSeal?.(nonce);
      },
      prepareOpen: (nonce) => {
        note(`open ${name}`, nonce);
        aead.prepareOpen?.(nonce);
      },
    };
  };
  return { crypto: { ...nodeCrypto, createAead }, ready };
}

describe('CiphersAhead', () => {
  it('has both ready behind a record that left while much is said, and neither before that and when nothing was sent for a while', async () => {
    const { crypto, ready } = watched();
    const { clock, initiator, responder } = await createSessions({ initiator: { crypto } });
    const ask = async (): Promise<void> => {
      const sink = new RecordingSink(initiator.session.openStream(STREAM_KIND.raw, META, META.length, true));
      await clock.advanceUntil(() => {
        for (const asked of responder.streams.splice(0)) {
          new RecordingSink(asked);
          asked.end();
        }
        return sink.ended;
      }, 1_000);
      assert.ok(sink.ended);
    };
    const askOften = async (): Promise<void> => {
      await ask();
      assert.equal(ready.size, 0, 'one is no reason to expect another');
      for (let i = 0; i < 9; i++) {
        await ask();
        await clock.advanceAsync(100); // its ACK has left
        if (i >= 6) assert.deepEqual([...ready].map((what) => what.slice(0, 4)).sort(), ['open', 'seal']);
      }
    };
    await askOften();
    await clock.advanceAsync(60_000);
    assert.equal(ready.size, 0);
    await askOften();
    assert.equal(initiator.error, undefined);
  });
});
