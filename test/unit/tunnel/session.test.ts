/** Session: handshake, streams in both directions, and what an altered, replayed or foreign record does. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeUtf8, encodeUtf8 } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { RECORD_DATA, readRecordSequence, writeRecordHeader } from '../../../src/tunnel/record.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import {
  createLinks,
  createSession,
  createSessions,
  ID_A,
  ID_B,
  PlainAuthenticator,
  Pump,
  RecordingSink,
} from '../../support/tunnel.ts';

const META = encodeUtf8('meta');

describe('Session', () => {
  it('tells each end who the other is', async () => {
    const { initiator, responder } = await createSessions();
    assert.equal(initiator.session.peer?.id.uri, ID_B);
    assert.equal(responder.session.peer?.id.uri, ID_A);
    assert.equal(responder.session.remoteInstance, 'instance-a');
    assert.equal(initiator.session.id, responder.session.id);
    assert.match(initiator.session.id, /^[0-9a-f]{32}$/);
  });

  it('carries a request and its answer with half-close', async () => {
    const { clock, initiator, responder } = await createSessions({ latencyMs: 20 });
    const out = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    const outSink = new RecordingSink(out);
    out.write(encodeUtf8('ping'));
    out.end();
    await clock.advanceAsync(50);
    const incoming = responder.streams[0];
    assert.ok(incoming);
    assert.deepEqual(responder.metas.map(decodeUtf8), ['meta']);
    const inSink = new RecordingSink(incoming);
    await clock.settle();
    assert.equal(decodeUtf8(inSink.bytes), 'ping');
    assert.equal(inSink.ended, true);
    incoming.sendHead(encodeUtf8('head'), 4, 0);
    incoming.write(encodeUtf8('pong'));
    incoming.end();
    await clock.advanceAsync(100);
    assert.deepEqual(
      outSink.heads.map(({ block }) => decodeUtf8(block)),
      ['head'],
    );
    assert.equal(decodeUtf8(outSink.bytes), 'pong');
    assert.equal(outSink.ended, true);
    assert.equal(initiator.session.openStreams, 0);
    assert.equal(responder.session.openStreams, 0);
  });

  it('moves 8 MiB each way in order, and pins nothing when idle', async () => {
    const total = 8 * 1024 * 1024;
    const { clock, initiator, responder } = await createSessions({ latencyMs: 10, bytesPerSecond: 50_000_000 });
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    const pump = new Pump(stream, total);
    await clock.advanceUntil(() => responder.streams.length > 0, 1_000);
    const incoming = responder.streams[0];
    assert.ok(incoming);
    const received = new RecordingSink(incoming);
    assert.ok(await clock.advanceUntil(() => received.ended, 60_000));
    assert.equal(received.length, total);
    let at = 0;
    for (const chunk of received.chunks) for (const byte of chunk) assert.equal(byte, at++ & 255);
    incoming.end();
    await clock.advanceAsync(200);
    assert.equal(pump.ended, true);
    assert.deepEqual(initiator.session.pinnedBytes.unread, 0);
    assert.ok(initiator.session.pinnedBytes.resend < 1024);
    assert.equal(responder.session.pinnedBytes.unread, 0);
  });

  it('carries what one read of a socket brings in one record', async () => {
    const readBytes = 64 * 1024;
    const { clock, initiator, responder, wire } = await createSessions();
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    await clock.settle();
    new RecordingSink(responder.streams[0] ?? assert.fail());
    const sizes: number[] = [];
    const send = wire.a.send.bind(wire.a);
    wire.a.send = (message) => {
      if (message.length > 100) sizes.push(message.length); // an ACK alone is less
      send(message);
    };
    const write = async (): Promise<void> => {
      stream.write(new Uint8Array(readBytes));
      await clock.settle();
      await clock.advanceAsync(50);
    };
    for (let i = 0; i < 8; i++) await write(); // records grow to their full size
    sizes.length = 0;
    await write();
    assert.equal(sizes.length, 1, sizes.join());
  });

  it('falls silent when there is nothing to say: an ACK is not acknowledged', async () => {
    const { clock, initiator, responder } = await createSessions({ latencyMs: 5 });
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, true);
    new RecordingSink(stream);
    await clock.advanceUntil(() => responder.streams.length > 0, 1_000);
    const incoming = responder.streams[0] ?? assert.fail();
    new RecordingSink(incoming);
    incoming.end();
    await clock.advanceAsync(1_000);
    const before = initiator.session.stats.recordsSent + responder.session.stats.recordsSent;
    await clock.advanceAsync(60_000);
    assert.equal(initiator.session.stats.recordsSent + responder.session.stats.recordsSent - before, 0);
  });

  it('resets a stream on both sides and keeps the session', async () => {
    const { clock, initiator, responder } = await createSessions();
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    await clock.advanceAsync(5);
    const incoming = responder.streams[0];
    assert.ok(incoming);
    const sink = new RecordingSink(incoming);
    stream.reset(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: the caller left'));
    await clock.advanceAsync(5);
    assert.equal(sink.error?.code, 'SKEIN_CANCELLED');
    assert.equal(initiator.session.isOpen, true);
    assert.equal(responder.session.openStreams, 0);
  });

  it('never tells the peer of a stream that is reset before its OPEN left', async () => {
    const { clock, initiator, responder } = await createSessions();
    initiator.session
      .openStream(STREAM_KIND.raw, META, META.length, false)
      .reset(new SkeinError('SKEIN_CANCELLED', 'x'));
    const second = initiator.session.openStream(STREAM_KIND.raw, META, META.length, true);
    new RecordingSink(second);
    await clock.advanceAsync(5);
    assert.equal(responder.streams.length, 1);
    assert.equal(responder.session.isOpen, true);
  });

  it('reports a lost link to every stream, and says which were never sent', async () => {
    // the peer admits one stream at a time, so the second is certainly still here when the link dies
    const { clock, wire, initiator, responder } = await createSessions({ limits: { maxStreams: 1 } });
    const sent = new RecordingSink(initiator.session.openStream(STREAM_KIND.raw, META, META.length, false));
    await clock.advanceAsync(5);
    const unsent = new RecordingSink(initiator.session.openStream(STREAM_KIND.raw, META, META.length, false));
    wire.cut();
    await clock.settle();
    assert.equal(sent.error?.code, 'SKEIN_SESSION_LOST');
    assert.equal(sent.error?.notProcessed, false);
    assert.equal(unsent.error?.notProcessed, true);
    assert.ok(initiator.error);
    assert.ok(responder.error);
    assert.throws(() => initiator.session.openStream(STREAM_KIND.raw, META, META.length, false), {
      notProcessed: true,
    });
  });

  it('drains: open streams go on, new ones are refused unprocessed', async () => {
    const { clock, initiator, responder } = await createSessions();
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    const sink = new RecordingSink(stream);
    await clock.advanceAsync(5);
    responder.session.goAway('shutting down');
    await clock.advanceAsync(5);
    assert.throws(() => initiator.session.openStream(STREAM_KIND.raw, META, META.length, false), {
      code: 'SKEIN_DRAINING',
      notProcessed: true,
    });
    const incoming = responder.streams[0];
    assert.ok(incoming);
    new RecordingSink(incoming);
    incoming.write(encodeUtf8('still here'));
    incoming.end();
    await clock.advanceAsync(5);
    assert.equal(decodeUtf8(sink.bytes), 'still here');
  });

  it('tells the peer, sealed, why it closes', async () => {
    const { clock, initiator, responder } = await createSessions();
    responder.session.close(new SkeinError('SKEIN_IDENTITY', 'Cannot keep session: identity revoked'));
    await clock.settle();
    assert.equal(initiator.error?.code, 'SKEIN_IDENTITY');
    assert.match(initiator.error?.message ?? '', /identity revoked/);
  });

  it('rekeys by count without a stream noticing', async () => {
    const { clock, initiator, responder } = await createSessions({ limits: { rekeyAfterRecords: 3 } });
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    new RecordingSink(stream);
    await clock.settle();
    const incoming = responder.streams[0];
    assert.ok(incoming);
    const sink = new RecordingSink(incoming);
    for (let i = 0; i < 300; i++) {
      stream.write(new Uint8Array([i & 255]));
      await clock.settle();
    }
    assert.deepEqual(
      [...sink.bytes],
      Array.from({ length: 300 }, (_, i) => i & 255),
    );
    assert.equal(responder.session.isOpen, true);
  });
});

describe('Session handshake refuses', () => {
  const refusals: { name: string; initiator?: object; responder?: object; code: string; other?: string }[] = [
    { name: 'another trust domain', initiator: { trustDomain: 'other.mesh' }, code: 'SKEIN_HANDSHAKE' },
    {
      name: 'an instance that was not dialled',
      initiator: { remoteInstance: 'somebody-else' },
      code: 'SKEIN_HANDSHAKE',
    },
    {
      name: 'an instance that was not announced',
      responder: { remoteInstance: 'somebody-else' },
      code: 'SKEIN_HANDSHAKE',
    },
    {
      name: 'a different binding to the link',
      responder: { binding: encodeUtf8('another link') },
      code: 'SKEIN_HANDSHAKE',
    },
    {
      name: 'a responder that is not who was dialled',
      initiator: {
        authenticator: new PlainAuthenticator(ID_A, new SkeinError('SKEIN_IDENTITY', 'Cannot trust peer: wrong id')),
      },
      code: 'SKEIN_IDENTITY',
    },
    {
      name: 'an initiator whose token was used, and says so inside the session',
      responder: {
        authenticator: new PlainAuthenticator(
          ID_B,
          new SkeinError('SKEIN_TOKEN_USED', 'Cannot enrol: the token was used'),
        ),
      },
      code: 'SKEIN_TOKEN_USED',
    },
  ];
  for (const { name, initiator, responder, code } of refusals) {
    it(name, async () => {
      const pair = await createSessions({ initiator, responder });
      await pair.clock.advanceAsync(100);
      assert.equal(pair.initiator.error?.code, code);
      assert.ok(pair.responder.error);
      assert.equal(pair.responder.session.isOpen, false);
      assert.equal(pair.initiator.session.isOpen, false);
      await assert.rejects(pair.responder.session.ready);
    });
  }

  it('a peer that stays silent, in time', async () => {
    const links = createLinks({ limits: { handshakeTimeoutMs: 2_000 } });
    const end = createSession('responder', links.b.control, links, { handshakeTimeoutMs: 2_000 });
    await links.clock.advanceAsync(1_999);
    assert.equal(codeOf(end), undefined);
    await links.clock.advanceAsync(2);
    assert.equal(codeOf(end), 'SKEIN_HANDSHAKE');
  });

  for (const step of [0, 1, 2]) {
    it(`any flipped bit in message ${step + 1}`, async () => {
      for (let position = 0; position < 64; position++) {
        const links = createLinks();
        await links.clock.settle();
        flipNth(links, step, position);
        const initiator = createSession('initiator', links.a.control, links, undefined);
        const responder = createSession('responder', links.b.control, links, undefined);
        await links.clock.advanceAsync(15_000);
        assert.ok(!(initiator.session.isOpen && responder.session.isOpen), `position ${position}`);
        assert.equal(responder.streams.length, 0);
      }
    });
  }
});

describe('Session records', () => {
  it('an altered record is never delivered and ends the session', async () => {
    const { clock, a, initiator, responder } = await createSessions();
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    new RecordingSink(stream);
    await clock.settle();
    const sink = new RecordingSink(responder.streams[0] ?? assert.fail());
    await clock.advanceAsync(100);
    alterNext(a, (message) => {
      message[message.length - 20] = (message[message.length - 20] as number) ^ 1;
    });
    stream.write(encodeUtf8('secret'));
    await clock.settle();
    assert.equal(sink.length, 0);
    assert.equal(sink.error?.code, 'SKEIN_SESSION_LOST');
    assert.equal(responder.session.stats.recordsForged, 1);
    assert.equal(responder.error?.code, 'SKEIN_PROTOCOL');
  });

  for (const [name, change] of [
    ['a higher one', (number: number) => number + 1],
    ['a much higher one', (number: number) => number + 2 ** 40],
    ['a lower one', (number: number) => number - 1],
  ] as const) {
    it(`a record whose number became ${name} is missed within seconds, and what it said is never delivered`, async () => {
      const { clock, a, initiator, responder } = await createSessions({ latencyMs: 20 });
      const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
      const far = new RecordingSink(stream);
      await clock.advanceUntil(() => responder.streams.length > 0, 1_000);
      const sink = new RecordingSink(responder.streams[0] ?? assert.fail());
      await clock.advanceAsync(1_000);
      alterNext(a, (message) => {
        const number = readRecordSequence(message, LINK_HEADER_BYTES);
        writeRecordHeader(message, LINK_HEADER_BYTES, RECORD_DATA, 0, change(number));
      });
      stream.write(encodeUtf8('last words'));
      assert.ok(await clock.advanceUntil(() => far.error !== undefined, 6_000), 'nobody noticed');
      assert.equal(sink.length, 0);
      assert.equal(responder.error?.code, 'SKEIN_PROTOCOL');
    });
  }

  it('a peer that acknowledges nothing is given up', async () => {
    const { clock, b, initiator } = await createSessions({ latencyMs: 20 });
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    await clock.advanceAsync(1_000);
    b.control.send = () => undefined; // its link lives, its session does not
    stream.write(encodeUtf8('hello?'));
    assert.ok(await clock.advanceUntil(() => initiator.error !== undefined, 60_000));
    assert.equal(initiator.error?.code, 'SKEIN_PROTOCOL');
  });

  it('a duplicate is dropped and counted', async () => {
    const { clock, a, initiator, responder } = await createSessions();
    const stream = initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
    new RecordingSink(stream);
    await clock.settle();
    const sink = new RecordingSink(responder.streams[0] ?? assert.fail());
    let copy: Uint8Array | undefined;
    alterNext(a, (message) => {
      copy = message.slice();
    });
    stream.write(encodeUtf8('once'));
    await clock.settle();
    a.control.send(copy ?? assert.fail());
    await clock.settle();
    assert.equal(decodeUtf8(sink.bytes), 'once');
    assert.equal(responder.session.stats.recordsDuplicate, 1);
    assert.equal(responder.session.isOpen, true);
  });
});

function codeOf(end: { error: SkeinError | undefined }): string | undefined {
  return end.error?.code;
}

type Sender = { control: { send(message: Uint8Array): void } };

/** Lets `change` see the next DATA message that leaves circuit 0. */
function alterNext(link: Sender, change: (message: Uint8Array) => void): void {
  const { control } = link;
  const send = control.send.bind(control);
  control.send = (message) => {
    control.send = send;
    change(message);
    send(message);
  };
}

function flipNth(links: { a: Sender; b: Sender }, step: number, position: number): void {
  const sender = step === 1 ? links.b : links.a;
  let seen = 0;
  const wanted = step === 2 ? 1 : 0;
  const { control } = sender;
  const send = control.send.bind(control);
  control.send = (message) => {
    if (seen++ === wanted) {
      const at = LINK_HEADER_BYTES + Math.floor(((message.length - LINK_HEADER_BYTES) * position) / 64);
      message[at] = (message[at] as number) ^ (1 << (position % 8));
    }
    send(message);
  };
}
