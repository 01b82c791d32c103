/**
 * A million hostile messages and frames at the machines that read them, in one process: before authentication at a link with its
 * session, and behind it as frames of a member. Nothing may be thrown, and what a peer at fault gets is its own end.
 */
import assert from 'node:assert/strict';
import process from 'node:process';
import { describe, it } from 'node:test';
import type { Bytes } from '../../src/core/bytes.ts';
import { MemoryLink } from '../../src/testing/memory-pipe.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { LINK_HEADER_BYTES } from '../../src/tunnel/circuit.ts';
import { FrameWriter } from '../../src/tunnel/frame.ts';
import { Link } from '../../src/tunnel/link.ts';
import { TUNNEL_DEFAULTS } from '../../src/tunnel/options.ts';
import { STREAM_KIND } from '../../src/tunnel/stream.ts';
import { printFigures } from '../support/figures.ts';
import { makeNoise, mutate } from '../support/mutants.ts';
import { createRogue, createSession } from '../support/tunnel.ts';

/** As many as were asked for, or as many as a slow machine does in this time. */
const FRAMES = 500_000;
const LIMIT_MS = 45_000;
const seed = Number(process.env.SKEIN_TEST_SEED ?? 4714);

const HELLO = Uint8Array.from([0x10, 0, 0, 0, 0, 1, 0, ...new Uint8Array(16), 0x80, 0x80, 8, 0]);

describe(`Hostile frames, seed ${seed}`, () => {
  const random = new SeededRandom(seed);
  const int = (below: number): number => random.integer(below);

  /** One message of a stranger: of any kind, with any body, or one that was good once. */
  function linkMessage(): Bytes {
    const choice = int(10);
    if (choice < 2) return Uint8Array.from(makeNoise(random, int(100)));
    if (choice < 4) return Uint8Array.from(mutate(random, HELLO));
    const message = new Uint8Array(LINK_HEADER_BYTES + int(choice < 9 ? 60 : 20_000));
    message.set(random.bytes(Math.min(message.length, 200)));
    message[0] = 0x10 | random.pick([0, 2, 2, 2, 5, 6, 7, 8, int(16)]);
    if (int(3) > 0) message.fill(0, 1, LINK_HEADER_BYTES); // circuit 0
    return message;
  }

  it('Before authentication', async () => {
    const startedMs = performance.now();
    const outcomes: Record<string, number> = {};
    let [messages, links] = [0, 0];
    while (messages < FRAMES && performance.now() - startedMs < LIMIT_MS) {
      const clock = new VirtualClock();
      const wire = new MemoryLink(clock);
      let end: string | undefined;
      const link = new Link(wire.a, {
        ...{ role: 'acceptor', clock, random, isStranger: true },
        onClose: ({ code }) => {
          end = code;
        },
      });
      wire.b.attach({ onMessage: () => undefined, onProgress: () => undefined, onClose: () => undefined });
      const responder = createSession('responder', link.control, { clock, random }, undefined);
      links++;
      if (int(4) > 0) wire.b.send(HELLO.slice());
      for (let i = 0; i < 40 && end === undefined && responder.error === undefined; i++) {
        // Some together, as one read brings them.
        for (let batch = 1 + int(4); batch > 0; batch--) {
          wire.b.send(linkMessage());
          messages++;
        }
        await clock.settle();
        assert.ok(link.unreadBytes <= 72 * 1024, `${link.unreadBytes} bytes are held for a stranger`);
        assert.equal(responder.session.isOpen, false, 'a stranger has a session');
      }
      const outcome = end ?? responder.error?.code ?? 'open';
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      link.close(1000, 'over');
    }
    printFigures('hostile frames before authentication', { messages, links, outcomes });
    assert.ok(messages > 10_000);
  });

  /** One frame of a member: with ids and numbers of every size, and now and then a byte that is another. */
  function writeFrame(writer: FrameWriter, next: () => number): void {
    const id = int(3) > 0 ? next() : int(50);
    const some = random.bytes(int(40));
    const size = random.pick([0, 1, 255, 65_536, 2 ** 31, 2 ** 40, int(10_000)]);
    const kinds: readonly (() => void)[] = [
      () => writer.open(id, int(2) === 0, random.pick([...Object.values(STREAM_KIND), int(9)]), size, some),
      () => writer.data(id, int(4) === 0, some, 0, some.length),
      () => writer.headers(id, int(8), some),
      () => writer.credit(int(2) === 0 ? 0 : id, size),
      () => writer.resetStream(id, int(20), size, int(2) === 0),
      () => writer.ping(int(2) === 0, random.bytes(8)),
      () => writer.maxStreams(size),
      () => writer.path(some),
      () => writer.ack(size),
    ];
    random.pick(kinds)();
  }

  /** One that is as it should be, so that a session lives long enough to be reached in all its states. */
  function writeFair(writer: FrameWriter, open: number[], sent: { credit: number }): void {
    const some = random.bytes(int(40));
    const stream = open.length === 0 ? undefined : random.pick(open);
    if (stream === undefined || (open.length < 300 && int(3) === 0)) {
      const id = 1 + 2 * open.length;
      open.push(id);
      writer.open(id, false, random.pick([STREAM_KIND.http, STREAM_KIND.raw]), 65_536, some);
    } else if (int(4) === 0) {
      sent.credit += 100_000;
      writer.credit(0, sent.credit);
    } else writer.data(stream, false, some, 0, some.length);
  }

  it('After authentication', async () => {
    const startedMs = performance.now();
    const outcomes: Record<string, number> = {};
    let [frames, sessions] = [0, 0];
    while (frames < FRAMES && performance.now() - startedMs < LIMIT_MS) {
      const { clock, rogue, responder } = await createRogue(undefined, {
        onStream: (stream) => {
          if (int(3) === 0) stream.reset(responder.error ?? (new Error('refused') as never));
          else if (int(2) === 0) stream.end();
        },
      });
      sessions++;
      const open: number[] = [];
      const sent = { credit: 2_000_000 };
      const next = (): number => (open.at(-1) ?? 1) + 2 * int(2);
      for (let round = 0; round < 50 && responder.error === undefined && rogue.closedBy === undefined; round++) {
        const writer = new FrameWriter(new Uint8Array(TUNNEL_DEFAULTS.maxRecordBytes));
        const count = 1 + int(100);
        for (let i = 0; i < count; i++) {
          if (int(30) > 0) writeFair(writer, open, sent);
          else writeFrame(writer, next);
        }
        const plaintext = writer.bytes.subarray(0, writer.length);
        rogue.sendPlaintext(Uint8Array.from(int(8) === 0 ? mutate(random, plaintext) : plaintext));
        frames += count;
        await clock.settle();
      }
      const outcome = responder.error?.code ?? 'open';
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      rogue.leave();
      await clock.settle();
    }
    printFigures('hostile frames after authentication', { frames, sessions, outcomes });
    assert.ok(frames > 10_000);
  });
});
