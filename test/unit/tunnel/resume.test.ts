/** Resume: a session outlives its paths, and nobody but its peer can add, shed or move one. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createResumable, forgeAttach, pathsOf } from '../../support/resumable.ts';
import { RecordingSink } from '../../support/tunnel.ts';

const META = encodeUtf8('meta');
const relay = (via: string) => ({ kind: 'relay', via }) as const;

describe('A session with paths', () => {
  it('sheds none of them for a stranger who knows its id', async () => {
    const pair = await createResumable();
    const { clock, responder } = pair;
    for (const via of ['one', 'two', 'three']) {
      pair.offer('initiator', relay(via));
      await clock.advanceAsync(100);
    }
    assert.equal(responder.session.paths.length, 4);
    const links = pair.addLink();
    await clock.settle();
    assert.equal(
      responder.session.acceptPath(links.b.control, relay('stranger'), forgeAttach(responder.session.id)),
      false,
    );
    assert.equal(links.b.control.isClosed, true);
    assert.deepEqual(pathsOf(responder.session.paths, 'standby'), ['one', 'two', 'three']);
  });

  it('survives a long silence: the PINGs of it do not come all at once', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, wire, initiator, responder } = pair;
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    new RecordingSink(stream);
    await clock.advanceAsync(1_000);
    const sink = new RecordingSink(responder.streams[0] ?? assert.fail());
    wire.blackhole();
    stream.write(encodeUtf8('after all'));
    assert.ok(await clock.advanceUntil(() => initiator.session.isDetached, 30_000));
    pair.offer('initiator', relay('second'));
    assert.ok(await clock.advanceUntil(() => sink.length > 0, 5_000), 'nothing came');
    await clock.advanceAsync(1_000);
    assert.deepEqual([initiator.error, responder.error], [undefined, undefined]);
  });
});
