/** Resume: a session outlives its paths, and nobody but its peer can add, shed or move one. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bytes, encodeUtf8 } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { type Circuit, LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { refuseAttach } from '../../../src/tunnel/path-records.ts';
import { RECORD_DATA, writeRecordHeader } from '../../../src/tunnel/record.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import {
  createResumable,
  forgeAttach,
  isPathRecord,
  onFirstRecord,
  pathsOf,
  type ResumablePair,
} from '../../support/resumable.ts';
import { RecordingSink } from '../../support/tunnel.ts';

const META = encodeUtf8('meta');
const relay = (via: string) => ({ kind: 'relay', via }) as const;
const SESSION_LOST = 16;

/** A stream from the initiator to the responder, whose answer is not awaited. */
async function openStream({ clock, initiator, responder }: ResumablePair) {
  const before = responder.streams.length;
  const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
  const near = new RecordingSink(stream);
  assert.ok(await clock.advanceUntil(() => responder.streams.length > before, 5_000));
  const far = new RecordingSink(responder.streams[before] ?? assert.fail());
  return { stream, near, far };
}

/** A record that nobody has sealed, under a number that is not due yet. */
function forgeRecord(sequence: number): Bytes {
  const message = new Uint8Array(LINK_HEADER_BYTES + 100).fill(9);
  writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_DATA, 0, sequence);
  return message;
}

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
    const attach = forgeAttach(responder.session.id);
    assert.equal(responder.session.acceptPath(links.b.control, relay('stranger'), attach), false);
    assert.equal(links.b.control.isClosed, true);
    assert.deepEqual(pathsOf(responder.session.paths, 'standby'), ['one', 'two', 'three']);
  });

  it('is not ended by a refusal on one path while it has another: nobody has signed it', async () => {
    const pair = await createResumable();
    const { clock, initiator } = pair;
    const links = pair.addLink();
    onFirstRecord(links.b.control, (first) => links.b.control.send(refuseAttach(first, SESSION_LOST)));
    initiator.session.offerPath(links.a.control, relay('liar'));
    await clock.advanceAsync(100);
    assert.equal(initiator.error, undefined);
    assert.equal(initiator.session.paths.length, 1);
    assert.equal(links.a.control.isClosed, true);
  });

  it('nor while the path in use is suspect, and another one carries', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, wire, initiator } = pair;
    const { stream } = await openStream(pair);
    pair.offer('initiator', relay('second'), { latencyMs: 5 });
    await clock.advanceAsync(3_000);
    wire.blackhole();
    stream.write(META);
    assert.ok(await clock.advanceUntil(() => initiator.session.isSuspect, 3_000));
    const links = pair.addLink();
    onFirstRecord(links.b.control, (first) => links.b.control.send(refuseAttach(first, SESSION_LOST)));
    initiator.session.offerPath(links.a.control, relay('liar'));
    await clock.advanceAsync(3_000);
    assert.equal(initiator.error, undefined);
    assert.deepEqual(pathsOf(initiator.session.paths, 'active'), ['second']);
  });

  it('ends at once when it has no path, and whoever is asked has it no more', async () => {
    const pair = await createResumable();
    const { clock, initiator, wire } = pair;
    wire.cut();
    await clock.settle();
    const links = pair.addLink();
    onFirstRecord(links.b.control, (first) => links.b.control.send(refuseAttach(first, SESSION_LOST)));
    initiator.session.offerPath(links.a.control, relay('restarted'));
    await clock.advanceAsync(100);
    assert.equal(initiator.error?.code, 'SKEIN_SESSION_LOST');
    assert.equal(initiator.error?.details.reason, 'SKEIN_SESSION_LOST');
  });

  it('loses nothing to whoever makes up records on a path that stands by', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, responder } = pair;
    const { stream, far } = await openStream(pair);
    const links = pair.offer('initiator', relay('liar'));
    await clock.advanceAsync(1_000);
    assert.equal(responder.session.paths.length, 2);
    const due = responder.session.stats.recordsReceived;
    for (let ahead = 1; ahead < 20; ahead++) links.a.control.send(forgeRecord(due + ahead));
    await clock.advanceAsync(20);
    assert.deepEqual(pathsOf(responder.session.paths, 'active'), ['']);
    assert.equal(responder.session.pinnedBytes.reorder, 0);
    for (let i = 0; i < 20; i++) {
      stream.write(Uint8Array.of(i));
      await clock.advanceAsync(300); // longer than a gap may last, in all
    }
    assert.deepEqual([...far.bytes], [...Array(20).keys()]);
    assert.equal(responder.session.stats.recordsForged, 1);
    assert.deepEqual(pathsOf(responder.session.paths, 'active'), [''], 'the path that carried all of it is kept');
  });

  it('is not ended by whoever alters records on every path but one', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, initiator, responder } = pair;
    const { stream, far } = await openStream(pair);
    for (let round = 0; round < 6; round++) {
      const links = pair.offer('initiator', relay(`liar ${round}`));
      await clock.advanceAsync(500);
      links.a.control.send(forgeRecord(responder.session.stats.recordsReceived));
      await clock.advanceAsync(500);
    }
    stream.write(META);
    await clock.advanceAsync(100);
    assert.equal(responder.session.stats.recordsForged, 6);
    assert.equal(far.length, META.length);
    assert.deepEqual([initiator.error, responder.error], [undefined, undefined]);
  });

  it('ends when records are altered on every way there is', async () => {
    const pair = await createResumable({ latencyMs: 5, limits: { maxForgedRecords: 3 } });
    const { clock, a, responder } = pair;
    let last: Circuit = a.control;
    for (let round = 0; round < 3; round++) {
      assert.equal(responder.error, undefined, `after ${round} altered records`);
      last.send(forgeRecord(responder.session.stats.recordsReceived));
      await clock.advanceAsync(100);
      last = pair.offer('initiator', relay(`liar ${round}`)).a.control;
      await clock.advanceAsync(500);
    }
    assert.equal(responder.error?.code, 'SKEIN_PROTOCOL');
  });

  it('takes no record from a path that has not proven itself', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, initiator } = pair;
    const links = pair.addLink();
    onFirstRecord(links.b.control, () => links.b.control.send(forgeRecord(initiator.session.stats.recordsReceived)));
    initiator.session.offerPath(links.a.control, relay('liar'));
    await clock.advanceAsync(100);
    assert.equal(links.a.control.isClosed, true);
    assert.equal(initiator.session.stats.recordsForged, 0);
    assert.equal(initiator.session.paths.length, 1);
  });
});

describe('A record that a relay has swallowed', () => {
  /** Swallows the next records of one end, and goes on as if nothing had been. */
  function swallow(circuit: Circuit, count: number): void {
    const send = circuit.send.bind(circuit);
    let left = count;
    circuit.send = (message) => {
      if (isPathRecord(message) || left-- <= 0) send(message);
    };
  }

  it('is missed soon, though all that stood in it was credit', async () => {
    const pair = await createResumable({
      latencyMs: 5,
      limits: { streamWindowBytes: 4_096, maxStreamWindowBytes: 4_096 },
    });
    const { clock, b, initiator, responder } = pair;
    pair.offer('initiator', relay('second'), { latencyMs: 5 });
    await clock.advanceAsync(3_000);
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    new RecordingSink(stream);
    stream.write(new Uint8Array(8_192));
    await clock.advanceUntil(() => responder.streams.length > 0, 1_000);
    const incoming = responder.streams[0] ?? assert.fail();
    const far = new RecordingSink(incoming, { hold: true });
    await clock.advanceAsync(1_000);
    swallow(b.control, 1);
    incoming.consumed(4_096);
    assert.ok(await clock.advanceUntil(() => far.length === 8_192, 5_000), 'it stands still');
  });
});

describe('A session without a path', () => {
  it('survives a long silence: the PINGs of it do not come all at once', async () => {
    const pair = await createResumable({ latencyMs: 5, limits: { deadAfterMs: 60_000, sendStallMs: 60_000 } });
    const { clock, wire, initiator, responder } = pair;
    const { stream, far } = await openStream(pair);
    wire.blackhole();
    stream.write(encodeUtf8('after all'));
    assert.ok(await clock.advanceUntil(() => initiator.session.isDetached, 30_000));
    pair.offer('initiator', relay('second'));
    assert.ok(await clock.advanceUntil(() => far.length > 0, 5_000), 'nothing came');
    await clock.advanceAsync(1_000);
    assert.deepEqual([initiator.error, responder.error], [undefined, undefined]);
  });

  it('survives that all its streams were reset meanwhile', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, wire, initiator, responder } = pair;
    const streams = Array.from({ length: 256 }, () => {
      const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
      new RecordingSink(stream);
      return stream;
    });
    await clock.advanceAsync(200);
    assert.equal(responder.streams.length, 256);
    wire.cut();
    await clock.advanceAsync(10_000);
    for (const stream of streams) stream.reset(new SkeinError('SKEIN_DEADLINE', 'Cannot wait longer'));
    pair.offer('initiator', relay('second'));
    await clock.advanceAsync(1_000);
    assert.deepEqual([initiator.error, responder.error], [undefined, undefined]);
    assert.equal(responder.session.openStreams, 0);
  });

  it('is suspect after a second, at any fraction of a millisecond, and then ends what the peer has not heard of', async () => {
    for (let fraction = 0; fraction < 10; fraction++) {
      const pair = await createResumable({ latencyMs: 1.1, limits: { maxStreams: 1 } });
      const { clock, wire, initiator } = pair;
      const { near } = await openStream(pair);
      const unsent = new RecordingSink(initiator.session.openStream(STREAM_KIND.raw, META, META.length, false));
      await clock.advanceAsync(fraction * 0.1 + fraction / 7);
      wire.cut();
      await clock.advanceAsync(999);
      assert.equal(initiator.session.isSuspect, false);
      await clock.advanceAsync(2);
      assert.equal(initiator.session.isSuspect, true);
      assert.deepEqual(
        [near.error, unsent.error?.code, unsent.error?.notProcessed],
        [undefined, 'SKEIN_SESSION_LOST', true],
      );
    }
  });
});

describe('A path', () => {
  it('that takes nothing is suspected and left, also when nothing is under way on it', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, a, initiator } = pair;
    pair.offer('initiator', relay('second'));
    await clock.advanceAsync(20_000);
    Object.defineProperty(a.control, 'requestWrite', { value: () => undefined }); // the other end grants no credit any more
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    new RecordingSink(stream);
    assert.ok(await clock.advanceUntil(() => pair.responder.streams.length > 0, 3_000), 'nothing came');
    assert.deepEqual(pathsOf(initiator.session.paths, 'active'), ['second']);
  });

  it('is not suspected for a round trip longer than the time between two probes', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, initiator, responder } = pair;
    pair.offer('initiator', relay('far away'), { latencyMs: 300 });
    const seen = new Set<string>();
    for (let ms = 0; ms < 12_000; ms += 50) {
      await clock.advanceAsync(50);
      for (const { session } of [initiator, responder]) for (const { state } of session.paths) seen.add(state);
    }
    assert.deepEqual([...seen].sort(), ['active', 'proving', 'standby']);
    assert.equal(initiator.session.paths[1]?.rttMs, 600);
  });

  it('that is much slower than the others can still attach: its ATTACH comes behind hundreds of their records', async () => {
    const pair = await createResumable({ latencyMs: 1 });
    const { clock, responder } = pair;
    pair.offer('initiator', relay('slow'), { latencyMs: 1_500 });
    await clock.advanceAsync(1_600); // it is on its way
    for (const via of ['one', 'two']) {
      pair.offer('initiator', relay(via), { latencyMs: 1 });
      await clock.advanceAsync(600);
    }
    await clock.advanceAsync(5_000);
    assert.deepEqual(pathsOf(responder.session.paths, 'standby').sort(), ['one', 'slow', 'two']);
  });

  it('that is better is used, however often others come and go', async () => {
    const pair = await createResumable({ latencyMs: 100 });
    const { clock, initiator } = pair;
    pair.offer('initiator', { kind: 'direct', via: 'better', settleMs: 3_000 }, { latencyMs: 5 });
    for (let second = 0; second < 40; second++) {
      await clock.advanceAsync(1_000);
      initiator.session.offerPath(pair.addLink().a.control, relay('nobody there'));
    }
    assert.deepEqual(pathsOf(initiator.session.paths, 'active'), ['better']);
  });

  it('that carries again is used again, though the one that stood in for it was never measured', async () => {
    const pair = await createResumable({ latencyMs: 100 });
    const { clock, initiator } = pair;
    const direct = pair.offer('initiator', { kind: 'direct', via: 'direct' }, { latencyMs: 5 });
    await clock.advanceAsync(20_000);
    assert.deepEqual(pathsOf(initiator.session.paths, 'active'), ['direct']);
    initiator.session.leavePath(({ via }) => via === '');
    pair.offer('initiator', relay('stand-in'), { latencyMs: 100 });
    await clock.advanceAsync(2_000);
    for (const end of [direct.wire.a, direct.wire.b]) direct.wire.stall(end);
    const { stream } = await openStream(pair);
    await clock.advanceAsync(5_000);
    assert.deepEqual(pathsOf(initiator.session.paths, 'active'), ['stand-in']);
    for (const end of [direct.wire.a, direct.wire.b]) direct.wire.resume(end);
    stream.write(META);
    await clock.advanceAsync(60_000);
    assert.deepEqual(pathsOf(initiator.session.paths, 'active'), ['direct']);
  });

  it('carries messages of any length that is allowed, also where records are small', async () => {
    const heard: number[] = [];
    // Half a second to an ACK: records shrink to 4 KiB.
    const pair = await createResumable({
      latencyMs: 400,
      responder: { onPathMessage: (message) => heard.push(message.length) },
    });
    const { clock, initiator } = pair;
    const { stream } = await openStream(pair);
    for (let i = 0; i < 10; i++) {
      stream.write(META);
      await clock.advanceAsync(1_000);
    }
    for (const bytes of [4_096, 4_092, 1]) initiator.session.sendPathMessage(new Uint8Array(bytes));
    await clock.advanceAsync(5_000);
    assert.deepEqual(heard, [4_096, 4_092, 1]);
    assert.throws(() => initiator.session.sendPathMessage(new Uint8Array(4_097)), { code: 'SKEIN_LIMIT' });
  });

  it('takes sixteen messages while there is none that carries them, and no more', async () => {
    const heard: number[] = [];
    const pair = await createResumable({ responder: { onPathMessage: (message) => heard.push(message.length) } });
    const { clock, wire, initiator } = pair;
    wire.cut();
    await clock.settle();
    for (let n = 1; n <= 16; n++) initiator.session.sendPathMessage(new Uint8Array(n));
    assert.throws(() => initiator.session.sendPathMessage(new Uint8Array(1)), { code: 'SKEIN_LIMIT' });
    pair.offer('initiator', relay('second'));
    await clock.advanceAsync(1_000);
    assert.deepEqual(
      heard,
      Array.from({ length: 16 }, (_, n) => n + 1),
    );
    assert.equal(initiator.error, undefined);
  });

  it('is left at once when it was chosen while it was being left', async () => {
    const pair = await createResumable({ latencyMs: 20 });
    const { clock, initiator } = pair;
    for (const via of ['second', 'third']) pair.offer('initiator', relay(via), { latencyMs: 20 });
    await clock.advanceAsync(2_000);
    initiator.session.preferPath(({ via }) => via === 'second');
    await clock.advanceAsync(1); // the fence is on its way
    initiator.session.leavePath(({ via }) => via === 'second');
    await clock.advanceAsync(1_000);
    assert.deepEqual(initiator.session.paths.map(({ via }) => via).includes('second'), false);
    assert.equal(pathsOf(initiator.session.paths, 'active').length, 1);
  });
});

describe('Path records', () => {
  it('are no use to whoever has heard them', async () => {
    const pair = await createResumable({ latencyMs: 5 });
    const { clock, initiator, responder } = pair;
    const heard: Bytes[] = [];
    const links = pair.addLink({ latencyMs: 5 });
    const { control } = links.a;
    const send = control.send.bind(control);
    control.send = (message) => {
      if (isPathRecord(message)) heard.push(message.slice());
      send(message);
    };
    onFirstRecord(links.b.control, (first) => responder.session.acceptPath(links.b.control, relay('second'), first));
    initiator.session.offerPath(control, relay('second'));
    await clock.advanceAsync(3_000);
    assert.ok(heard.length > 3);
    const state = (): unknown => responder.session.paths.map(({ via, state: each }) => [via, each]);
    const before = state();
    for (const copy of heard) {
      const thief = pair.addLink();
      await clock.advanceAsync(10);
      assert.equal(responder.session.acceptPath(thief.b.control, relay('thief'), copy.slice()), false);
      send(copy.slice()); // and on the circuit where it was heard
      await clock.advanceAsync(10);
    }
    assert.deepEqual(state(), before);
  });
});
