/**
 * Resume under hostile hands: a relay that keeps, copies, cuts and makes up what proves a path, and a peer with real keys
 * that asks without end. For each: who can send it, what it pins at most, and what ends it.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bytes, encodeUtf8 } from '../../../src/core/bytes.ts';
import type { Circuit } from '../../../src/tunnel/circuit.ts';
import { LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { toWireCode } from '../../../src/tunnel/codes.ts';
import { TUNNEL_DEFAULTS } from '../../../src/tunnel/options.ts';
import { readAttach, refuseAttach } from '../../../src/tunnel/path-records.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import {
  createResumable,
  forgeAttach,
  onFirstRecord,
  Probe,
  pathsOf,
  type ResumablePair,
} from '../../support/resumable.ts';
import { createLinks, createRogue, RecordingSink } from '../../support/tunnel.ts';

const META = encodeUtf8('meta');
const relay = (via: string) => ({ kind: 'relay', via }) as const;
const SESSION_LOST = 16;
const { attachTimeoutMs, resumeGraceMs, maxPaths, pathRecordsBurst } = TUNNEL_DEFAULTS;

/** Offers a path to the responder, and keeps the ATTACH away from it. */
async function captureAttach(pair: ResumablePair): Promise<Bytes> {
  const links = pair.addLink();
  let attach: Bytes | undefined;
  onFirstRecord(links.b.control, (first) => {
    attach = first.slice();
  });
  pair.initiator.session.offerPath(links.a.control, relay('kept back'));
  assert.ok(await pair.clock.advanceUntil(() => attach !== undefined, 1_000));
  return attach as Bytes;
}

/** Hands `message` to the responder as the first one on a new circuit. */
async function present(pair: ResumablePair, message: Bytes, via = 'relay'): Promise<{ taken: boolean; far: Probe }> {
  const links = pair.addLink();
  const far = new Probe(links.a.control);
  await pair.clock.settle();
  const taken = pair.responder.session.acceptPath(links.b.control, relay(via), message.slice());
  await pair.clock.settle();
  return { taken, far };
}

describe('An ATTACH', () => {
  it('that nobody answers is given up after attachTimeoutMs, and costs the session nothing', async () => {
    const pair = await createResumable();
    const { clock, initiator } = pair;
    const links = pair.addLink();
    const far = new Probe(links.b.control); // a relay or a peer that takes everything and says nothing
    initiator.session.offerPath(links.a.control, relay('silent'));
    await clock.advanceAsync(attachTimeoutMs - 1);
    assert.deepEqual(pathsOf(initiator.session.paths, 'proving'), ['silent']);
    await clock.advanceAsync(2);
    assert.deepEqual(pathsOf(initiator.session.paths, 'proving'), []);
    assert.equal(far.code, 'SKEIN_PEER_UNREACHABLE');
    assert.equal(far.records.length, 1);
    assert.deepEqual(pathsOf(initiator.session.paths, 'active'), ['']);
  });

  it('and so are those of a session without a path, while its grace goes on', async () => {
    const pair = await createResumable();
    const { clock, wire, initiator } = pair;
    wire.cut();
    await clock.settle();
    const links = pair.addLink();
    initiator.session.offerPath(links.a.control, relay('silent'));
    await clock.advanceAsync(attachTimeoutMs + 1);
    assert.equal(initiator.session.paths.length, 0);
    await clock.advanceAsync(resumeGraceMs - attachTimeoutMs - 3);
    assert.equal(initiator.session.isOpen, true);
    await clock.advanceAsync(3);
    assert.equal(initiator.error?.code, 'SKEIN_SESSION_LOST');
  });

  it('waits for an answer on no more than maxPaths circuits', async () => {
    const pair = await createResumable();
    const { clock, initiator } = pair;
    const links = Array.from({ length: 50 }, () => pair.addLink());
    for (const [n, { a }] of links.entries()) initiator.session.offerPath(a.control, relay(`silent ${n}`));
    await clock.settle();
    assert.equal(initiator.session.paths.length, maxPaths);
    assert.equal(links.filter(({ a }) => !a.control.isClosed).length, maxPaths - 1);
    assert.deepEqual(pathsOf(initiator.session.paths, 'active'), [''], 'the one that carries is not shed');
  });

  it('is good once: a copy on another circuit proves nothing, and one on its own is not heard', async () => {
    const pair = await createResumable();
    const { clock, responder } = pair;
    const attach = await captureAttach(pair);
    const links = pair.addLink();
    new Probe(links.a.control);
    await clock.settle();
    assert.equal(responder.session.acceptPath(links.b.control, relay('first'), attach.slice()), true);
    const before = responder.session.paths.map(({ via, state }) => [via, state]);
    for (let n = 0; n < 100; n++) {
      const { taken, far } = await present(pair, attach, `copy ${n}`);
      assert.deepEqual([taken, far.code, far.records.length], [false, 'SKEIN_HANDSHAKE', 0]);
    }
    for (let n = 0; n < 2 * pathRecordsBurst; n++) links.a.control.send(attach.slice());
    await clock.settle();
    assert.deepEqual(
      responder.session.paths.map(({ via, state }) => [via, state]),
      before,
    );
    assert.equal(responder.error, undefined);
  });

  it('is taken whole or not at all: no part of it, and none with a bit turned, adds or sheds a path', async () => {
    const pair = await createResumable();
    const { responder } = pair;
    const attach = await captureAttach(pair);
    const flipped = (bit: number): Bytes => {
      const copy = attach.slice();
      copy[LINK_HEADER_BYTES + (bit >> 3)] = (copy[LINK_HEADER_BYTES + (bit >> 3)] as number) ^ (1 << (bit & 7));
      return copy;
    };
    const forged = [
      ...Array.from({ length: attach.length - LINK_HEADER_BYTES }, (_, cut) =>
        attach.slice(0, LINK_HEADER_BYTES + cut),
      ),
      ...Array.from({ length: 8 * (attach.length - LINK_HEADER_BYTES) }, (_, bit) => flipped(bit)),
      Uint8Array.of(...attach, 0),
      forgeAttach(responder.session.id),
    ];
    for (const [n, message] of forged.entries()) {
      const { taken, far } = await present(pair, message);
      assert.deepEqual([taken, far.code], [false, 'SKEIN_HANDSHAKE'], `variant ${n}`);
    }
    assert.equal(responder.session.paths.length, 1);
    assert.equal((await present(pair, attach)).taken, true, 'those that were refused have not used it up');
  });

  it('of more bytes than one has is none, so that nobody makes this end hash 64 KiB', async () => {
    const pair = await createResumable();
    const attach = await captureAttach(pair);
    assert.equal(readAttach(attach), pair.responder.session.id);
    assert.equal(readAttach(Uint8Array.of(...attach, ...new Uint8Array(64))), undefined);
  });

  it('that was kept back moves no records any more, once a later one has', async () => {
    const world = await createRogue(undefined, { isResumable: true });
    const { clock, rogue, responder } = world;
    const records = rogue.pathRecords();
    const kept = Array.from({ length: 20 }, () => records.attach(true, 0).message);
    const deliver = async (attach: Bytes, via: string): Promise<Probe> => {
      const links = createLinks({}, clock);
      const far = new Probe(links.a.control);
      await clock.settle();
      responder.session.acceptPath(links.b.control, relay(via), attach);
      await clock.settle();
      return far;
    };
    await deliver(records.attach(true, 0).message, 'latest');
    assert.deepEqual(pathsOf(responder.session.paths, 'active'), ['latest']);
    for (const [n, attach] of kept.entries()) {
      await deliver(attach, `old ${n}`);
      assert.deepEqual(pathsOf(responder.session.paths, 'active'), ['latest'], `after ${n + 1}`);
    }
    assert.ok(responder.session.paths.length <= maxPaths);
    assert.equal(responder.error, undefined);
  });
});

describe('A relay on one path', () => {
  it('cannot end the session by refusals that nobody has signed, however many', async () => {
    const pair = await createResumable();
    const { clock, responder } = pair;
    const links = pair.offer('initiator', relay('liar'));
    await clock.advanceAsync(500);
    const refusal = refuseAttach(forgeAttach(responder.session.id), SESSION_LOST);
    for (let n = 0; n < 5 * pathRecordsBurst; n++) links.a.control.send(refusal.slice());
    await clock.settle();
    assert.equal(responder.error, undefined);
    assert.deepEqual(pathsOf(responder.session.paths, 'active'), ['']);
  });
});

describe('A peer with real keys', () => {
  it('that says more about paths than anybody has to say loses its session', async () => {
    const { clock, rogue, responder } = await createRogue(undefined, { isResumable: true });
    const records = rogue.pathRecords();
    for (let n = 0; n < pathRecordsBurst; n++) rogue.sendMessage(records.probe(new Uint8Array(8)));
    await clock.settle();
    assert.equal(responder.session.isOpen, true);
    for (let n = 0; n < 10; n++) rogue.sendMessage(records.probe(new Uint8Array(8)));
    await clock.settle();
    assert.equal(responder.error?.code, 'SKEIN_LIMIT');
  });

  it('that adds paths without end has maxPaths of them; what carries stays', async () => {
    const pair = await createResumable();
    const { clock, responder } = pair;
    const circuits: Circuit[] = [];
    for (let n = 0; n < 50; n++) {
      circuits.push(pair.offer('initiator', relay(`path ${n}`)).b.control);
      await clock.advanceAsync(20);
      assert.ok(responder.session.paths.length <= maxPaths);
    }
    assert.equal(circuits.filter(({ isClosed }) => !isClosed).length, maxPaths - 1);
    assert.deepEqual(pathsOf(responder.session.paths, 'active'), ['']);
    assert.equal(responder.error, undefined);
  });
});

describe('A session whose grace is over', () => {
  it('tells each stream what is certain: not processed, or perhaps', async () => {
    const pair = await createResumable({ latencyMs: 5, limits: { maxStreams: 2 } });
    const { clock, wire, initiator, responder } = pair;
    const open = (): RecordingSink =>
      new RecordingSink(initiator.session.openStream(STREAM_KIND.raw, META, META.length, false));
    const acknowledged = open();
    await clock.advanceAsync(200);
    wire.blackhole(wire.a);
    const lost = open(); // sealed and sent; nobody knows whether it came
    await clock.advanceAsync(1);
    const waiting = open(); // above the limit of the peer: it has never left
    await clock.advanceAsync(1);
    wire.cut();
    await clock.advanceAsync(resumeGraceMs - 10);
    const told = (sink: RecordingSink) => [sink.error?.code, sink.error?.notProcessed];
    assert.deepEqual(
      [told(acknowledged), told(lost)],
      [
        [undefined, undefined],
        [undefined, undefined],
      ],
    );
    assert.deepEqual(told(waiting), ['SKEIN_SESSION_LOST', true], 'told when there was reason to worry');
    await clock.advanceAsync(20);
    assert.deepEqual(told(acknowledged), ['SKEIN_SESSION_LOST', false]);
    assert.deepEqual(told(lost), ['SKEIN_SESSION_LOST', false]);
    assert.equal(responder.streams.length, 1);
    assert.match(initiator.error?.message ?? '', /no way to the peer for 30 s/);
    assert.equal(initiator.session.pinnedBytes.resend + initiator.session.pinnedBytes.unread, 0);
  });

  it('comes back until its last moment, and not behind it: who asks then is told that it is gone', async () => {
    for (const [waitMs, isBack] of [
      [resumeGraceMs - 500, true],
      [resumeGraceMs + 500, false],
    ] as const) {
      const pair = await createResumable({ latencyMs: 5 });
      const { clock, wire, initiator, responder } = pair;
      const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
      const near = new RecordingSink(stream);
      await clock.advanceAsync(100);
      const far = new RecordingSink(responder.streams[0] ?? assert.fail());
      wire.cut();
      stream.write(encodeUtf8('late'));
      await clock.advanceAsync(waitMs);
      assert.equal(initiator.session.isOpen, isBack);
      const links = pair.addLink({ latencyMs: 5 });
      const closed = new Probe(links.a.control);
      if (isBack) pair.offer('initiator', relay('second'));
      else {
        // The other end of a session that lives there a little longer.
        const attach = forgeAttach(initiator.session.id);
        assert.equal(responder.session.acceptPath(links.b.control, relay('second'), attach), false);
      }
      await clock.advanceAsync(1_000);
      assert.equal(far.length, isBack ? 4 : 0);
      assert.equal(near.error?.code, isBack ? undefined : 'SKEIN_SESSION_LOST');
      assert.equal(
        closed.code === undefined ? undefined : toWireCode('SKEIN_SESSION_LOST'),
        isBack ? undefined : SESSION_LOST,
      );
    }
  });
});
