/** A link whose acceptor sleeps: what goes on, what is begun anew, and what no other end can make of it. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bytes } from '../../../src/core/bytes.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import type { MessagePipe } from '../../../src/core/platform.ts';
import { MemoryLink } from '../../../src/testing/memory-pipe.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { type Circuit, LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { Link } from '../../../src/tunnel/link.ts';
import type { LinkPast } from '../../../src/tunnel/link-sleep.ts';
import { TUNNEL_DEFAULTS } from '../../../src/tunnel/options.ts';

const RECORD_BYTES = 1_000;

function record(mark: number): Bytes {
  return new Uint8Array(LINK_HEADER_BYTES + RECORD_BYTES).fill(mark, LINK_HEADER_BYTES);
}

/** Notes the mark of each record that comes, and deals with it at once. */
function note(circuit: Circuit, marks: number[]): void {
  circuit.attach({
    onRecord: (message) => {
      marks.push(message[LINK_HEADER_BYTES] as number);
      circuit.consumed(RECORD_BYTES);
    },
    onWritable: () => undefined,
    onClose: () => undefined,
  });
}

class Pair {
  readonly clock = new VirtualClock();
  readonly wire = new MemoryLink(this.clock, { latencyMs: 5 });
  readonly ends: { dialler?: SkeinError; acceptor?: SkeinError } = {};
  readonly told: string[] = [];
  readonly dialler: Link;
  acceptor: Link;

  constructor({ dialler = {}, canSleep = true }: { dialler?: Partial<MessagePipe>; canSleep?: boolean } = {}) {
    Object.assign(this.wire.a, dialler);
    Object.assign(this.wire.b, { canSleep });
    this.dialler = new Link(this.wire.a, {
      ...{ role: 'dialler', clock: this.clock, random: new SeededRandom(1) },
      onRenewed: () => this.told.push('dialler'),
      onClose: (error) => {
        this.ends.dialler = error;
      },
    });
    this.acceptor = this.#accept();
  }

  /** The acceptor's memory ends, and another one goes on with its link. */
  sleep(change = (past: LinkPast): LinkPast => past): void {
    const past = this.acceptor.rest();
    assert.ok(past !== undefined, 'nothing is under way');
    this.acceptor = this.#accept(change(past));
  }

  #accept(past?: LinkPast): Link {
    return new Link(this.wire.b, {
      ...{ role: 'acceptor', clock: this.clock, random: new SeededRandom(2) },
      ...(past === undefined ? {} : { past }),
      onForgotten: () => this.told.push('forgotten'),
      onRenewed: () => this.told.push('acceptor'),
      onClose: (error) => {
        this.ends.acceptor = error;
      },
    });
  }
}

describe('Link whose acceptor sleeps', () => {
  it('has its whole budget for relayed circuits, however far the window of circuit 0 had grown', async () => {
    const pair = new Pair();
    await pair.clock.advanceAsync(50);
    pair.sleep((past) => ({
      ...past,
      circuits: past.circuits.map((each) => ({ ...each, windowBytes: TUNNEL_DEFAULTS.maxSessionWindowBytes })),
    }));
    const circuit = pair.acceptor.openCircuit();
    assert.equal(circuit.window.windowBytes, TUNNEL_DEFAULTS.circuitWindowBytes);
  });

  it('keeps its circuits: records go on in order, with the credit they had', async () => {
    const pair = new Pair();
    await pair.clock.advanceAsync(20);
    const out = pair.dialler.openCircuit();
    const far = pair.acceptor.adoptCircuit(out.id);
    const marks: number[] = [];
    note(far, marks);
    for (let mark = 0; mark < 200; mark++) {
      out.send(record(mark));
      await pair.clock.advanceAsync(20);
    }
    const sendable = out.sendableBytes;
    pair.sleep();
    const again = pair.acceptor.circuit(out.id) as Circuit;
    assert.equal(pair.acceptor.circuitCount, 1);
    note(again, marks);
    for (let mark = 200; mark < 255; mark++) out.send(record(mark));
    await pair.clock.advanceAsync(100);
    assert.deepEqual(
      marks,
      Array.from({ length: 255 }, (_, mark) => mark),
    );
    assert.ok(out.sendableBytes >= sendable - 55 * RECORD_BYTES);
    const back: number[] = [];
    note(out, back);
    again.send(record(7));
    await pair.clock.advanceAsync(20);
    assert.deepEqual(back, [7]);
    assert.deepEqual(pair.ends, {});
    // Ids go on growing.
    assert.throws(() => pair.acceptor.adoptCircuit(out.id), { code: 'SKEIN_PROTOCOL' });
    assert.equal(pair.acceptor.openCircuit().id, 2);
  });

  it('begins another circuit 0 when something comes for the session that is forgotten', async () => {
    const pair = new Pair();
    await pair.clock.advanceAsync(20);
    const before = pair.dialler.control;
    const ended: string[] = [];
    before.attach({ onRecord: () => undefined, onWritable: () => undefined, onClose: ({ code }) => ended.push(code) });
    pair.sleep();
    before.send(record(1));
    await pair.clock.advanceAsync(20);
    assert.deepEqual(pair.told, ['forgotten']);
    const asked = pair.dialler.transcript.length;
    pair.acceptor.renew();
    pair.acceptor.renew();
    // On its way when the other end hears of it: it is of the session before.
    before.send(record(2));
    await pair.clock.advanceAsync(20);
    assert.deepEqual(pair.told, ['forgotten', 'dialler', 'forgotten', 'acceptor']);
    assert.deepEqual(ended, ['SKEIN_SESSION_LOST']);
    assert.equal(pair.dialler.transcript.length, asked + 1);
    assert.deepEqual(pair.dialler.transcript, pair.acceptor.transcript);
    const marks: number[] = [];
    note(pair.acceptor.control, marks);
    // More than a first window: what was dropped was counted as received.
    for (let mark = 0; mark < 250; mark++) {
      pair.dialler.control.send(record(mark));
      await pair.clock.advanceAsync(20);
    }
    assert.equal(marks.length, 250);
    assert.deepEqual(pair.ends, {});
  });

  it('rests only while nothing is under way, and only with an end that knows of sleep', async () => {
    const pair = new Pair();
    assert.equal(pair.acceptor.rest(), undefined, 'before HELLO');
    await pair.clock.advanceAsync(20);
    assert.ok(pair.acceptor.rest() !== undefined);
    const out = pair.dialler.openCircuit();
    pair.acceptor.adoptCircuit(out.id);
    out.send(record(1));
    await pair.clock.advanceAsync(20);
    assert.equal(pair.acceptor.rest(), undefined, 'a record waits');

    const clock = new VirtualClock();
    const wire = new MemoryLink(clock);
    Object.assign(wire.b, { canSleep: true });
    const acceptor = new Link(wire.b, {
      role: 'acceptor',
      clock,
      random: new SeededRandom(1),
      onClose: () => undefined,
    });
    wire.a.attach({ onMessage: () => undefined, onProgress: () => undefined, onClose: () => undefined });
    wire.a.send(Uint8Array.from([0x10, 0, 0, 0, 0, 1, 0, ...new Uint8Array(16), 0x80, 2, 0, 0]));
    await clock.advanceAsync(20);
    await acceptor.ready;
    assert.equal(acceptor.rest(), undefined, 'of an earlier version');
  });

  it('opens no more circuits than can be left with it, whoever asks, and says so', async () => {
    const pair = new Pair();
    await pair.clock.advanceAsync(20);
    pair.acceptor.limitCircuits(2);
    pair.acceptor.adoptCircuit(pair.dialler.openCircuit().id);
    pair.acceptor.openCircuit();
    const refusal = { code: 'SKEIN_LIMIT', message: 'Cannot open circuit: the link already has 2' };
    assert.throws(() => pair.acceptor.openCircuit(), refusal);
    assert.throws(() => pair.acceptor.adoptCircuit(pair.dialler.openCircuit().id), refusal);
    assert.deepEqual(pair.ends, {});
  });

  const renew = Uint8Array.from([0x19, 0, 0, 0, 0, ...new Uint8Array(16)]);
  const cases: readonly [name: string, canSleep: boolean, from: 'a' | 'b', message: Bytes][] = [
    ['an acceptor that had not said that it may sleep', false, 'b', renew],
    ['a dialler that was not asked', true, 'a', renew],
    ['on another circuit', true, 'b', Uint8Array.from([0x19, 0, 0, 0, 1, ...new Uint8Array(16)])],
    ['of another length', true, 'b', renew.slice(0, 20)],
  ];
  for (const [name, canSleep, from, message] of cases) {
    it(`is ended by RENEW: ${name}`, async () => {
      const pair = new Pair({ canSleep });
      await pair.clock.advanceAsync(20);
      pair.wire[from].send(message.slice());
      await pair.clock.advanceAsync(20);
      const error = from === 'a' ? pair.ends.acceptor : pair.ends.dialler;
      assert.equal(error?.code, 'SKEIN_PROTOCOL');
      assert.deepEqual(pair.told, []);
    });
  }

  it('is ended by an answer to another RENEW', async () => {
    const pair = new Pair();
    await pair.clock.advanceAsync(20);
    pair.sleep();
    pair.acceptor.renew();
    pair.wire.a.send(renew.slice());
    await pair.clock.advanceAsync(6);
    assert.equal(pair.ends.acceptor?.code, 'SKEIN_PROTOCOL');
  });

  it('is asked for a sign of life by text while nothing is owed, and found dead when its host does not answer', async () => {
    let pings = 0;
    const pair = new Pair({ dialler: { sendIdlePing: () => pings++ } });
    await pair.clock.advanceAsync(20);
    const sent = pair.dialler.stats.messagesSent;
    pair.wire.blackhole();
    await pair.clock.advanceAsync(18_100);
    assert.equal(pings, 1);
    assert.equal(pair.dialler.stats.messagesSent, sent);
    await pair.clock.advanceAsync(2_000);
    assert.ok(pair.dialler.isSilent);
    await pair.clock.advanceAsync(13_000);
    assert.equal(pair.dialler.end, 'silent');
  });
});
