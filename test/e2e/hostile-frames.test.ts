/**
 * A million hostile messages and frames at the machines that read them, in one process: before authentication at a link with its
 * session, and behind it as frames of a member. Nothing may be thrown, and what a peer at fault gets is its own end.
 */
import assert from 'node:assert/strict';
import process from 'node:process';
import { describe, it } from 'node:test';
import { MemoryLink } from '../../src/testing/memory-pipe.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../src/testing/virtual-clock.ts';
import { FrameWriter } from '../../src/tunnel/frame.ts';
import { Link } from '../../src/tunnel/link.ts';
import { TUNNEL_DEFAULTS } from '../../src/tunnel/options.ts';
import { printFigures } from '../support/figures.ts';
import { HELLO, makeLinkMessage, writeFairFrame, writeHostileFrame } from '../support/hostile-frames.ts';
import { mutate } from '../support/mutants.ts';
import { createRogue, createSession } from '../support/tunnel.ts';

/** As many as were asked for, or as many as a slow machine does in this time. */
const FRAMES = 500_000;
const LIMIT_MS = 20_000;
const seed = Number(process.env.SKEIN_TEST_SEED ?? 4714);

describe(`Hostile frames, seed ${seed}`, () => {
  const random = new SeededRandom(seed);
  const int = (below: number): number => random.integer(below);

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
          wire.b.send(makeLinkMessage(random));
          messages++;
        }
        await clock.settle();
        assert.ok(link.unreadBytes <= 64 * 1024, `${link.unreadBytes} bytes are held for a stranger`);
        assert.equal(responder.session.isOpen, false, 'a stranger has a session');
      }
      const outcome = end ?? responder.error?.code ?? 'open';
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      link.close(1000, 'over');
    }
    printFigures('hostile frames before authentication', { messages, links, outcomes });
    assert.ok(messages > 10_000);
  });

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
          if (int(30) > 0) writeFairFrame(random, writer, open, sent);
          else writeHostileFrame(random, writer, next);
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
