/** Frames: what is written is read back, and 100,000 mutated records end typed, never thrown. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { type FrameHandler, FrameWriter, readFrames } from '../../../src/tunnel/frame.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createRogue, FrameLog } from '../../support/tunnel.ts';

/** Every call as text, in order. */
class Transcript implements FrameHandler {
  readonly isReading = true;
  elicitsAck = false;
  readonly calls: string[] = [];

  onData(id: number, end: boolean, chunk: Uint8Array): void {
    this.calls.push(`data ${id} ${end} ${[...chunk]}`);
  }

  onOpen(
    id: number,
    end: boolean,
    kind: number,
    urgency: number,
    credit: number,
    deadlineMs: number,
    meta: Uint8Array,
  ): void {
    this.calls.push(`open ${id} ${end} ${kind} ${urgency} ${credit} ${deadlineMs} ${[...meta]}`);
  }

  onHeaders(id: number, flags: number, block: Uint8Array): void {
    this.calls.push(`headers ${id} ${flags} ${[...block]}`);
  }

  onCredit(id: number, offset: number): void {
    this.calls.push(`credit ${id} ${offset}`);
  }

  onReset(id: number, code: number, finalSize: number, notProcessed: boolean): void {
    this.calls.push(`reset ${id} ${code} ${finalSize} ${notProcessed}`);
  }

  onStop(id: number, code: number): void {
    this.calls.push(`stop ${id} ${code}`);
  }

  onPing(ack: boolean, body: Uint8Array): void {
    this.calls.push(`ping ${ack} ${[...body]}`);
  }

  onGoAway(code: number, last: number, retry: number, drain: boolean, text: Uint8Array): void {
    this.calls.push(`goaway ${code} ${last} ${retry} ${drain} ${[...text]}`);
  }

  onAck(next: number): void {
    this.calls.push(`ack ${next}`);
  }

  onMaxStreams(count: number): void {
    this.calls.push(`max ${count}`);
  }

  onPath(message: Uint8Array): void {
    this.calls.push(`path ${[...message]}`);
  }

  onFence(): void {
    this.calls.push('fence');
  }
}

function writeAll(writer: FrameWriter, id: number): void {
  writer.ack(id * 3);
  writer.open(id, false, STREAM_KIND.http, 262_144, encodeUtf8('meta'));
  writer.headers(id, 6, encodeUtf8('block'));
  writer.data(id, true, new Uint8Array([1, 2, 3, 4, 5]), 1, 3);
  writer.credit(0, 2 ** 40);
  writer.resetStream(id, 7, 1000, true);
  writer.ping(true, new Uint8Array(8).fill(3));
  writer.goAway(8, id, true, encodeUtf8('bye'));
  writer.maxStreams(70_000);
  writer.path(encodeUtf8('way'));
  writer.fence();
}

describe('FrameWriter and readFrames', () => {
  for (const id of [1, 63, 64, 16_383, 16_384, 2 ** 30 - 1, 2 ** 30, 2 ** 45 + 1]) {
    it(`agree on every frame, stream id ${id}`, () => {
      const writer = new FrameWriter(new Uint8Array(4096));
      writeAll(writer, id);
      const transcript = new Transcript();
      assert.equal(readFrames(writer.bytes.subarray(0, writer.length), transcript), undefined);
      assert.deepEqual(transcript.calls, [
        `ack ${id * 3}`,
        `open ${id} false 1 3 262144 0 ${[...encodeUtf8('meta')]}`,
        `headers ${id} 6 ${[...encodeUtf8('block')]}`,
        `data ${id} true 2,3,4`,
        `credit 0 ${2 ** 40}`,
        `reset ${id} 7 1000 true`,
        'ping true 3,3,3,3,3,3,3,3',
        `goaway 8 ${id} 0 true ${[...encodeUtf8('bye')]}`,
        'max 70000',
        `path ${[...encodeUtf8('way')]}`,
        'fence',
      ]);
    });
  }

  it('every cut of a record is a truncated frame or a shorter list of whole ones', () => {
    const writer = new FrameWriter(new Uint8Array(4096));
    writeAll(writer, 5);
    for (let length = 0; length < writer.length; length++) {
      const transcript = new Transcript();
      const problem = readFrames(writer.bytes.subarray(0, length), transcript);
      assert.ok(problem !== undefined || transcript.calls.length < 11, `${length}`);
    }
  });

  it('throw nothing on 100,000 mutated records', () => {
    const random = new SeededRandom(11);
    const writer = new FrameWriter(new Uint8Array(4096));
    writeAll(writer, 5);
    const whole = writer.bytes.slice(0, writer.length);
    let refused = 0;
    for (let i = 0; i < 100_000; i++) {
      const mutant =
        random.integer(4) === 0 ? random.bytes(random.integer(80)) : whole.slice(0, 1 + random.integer(whole.length));
      for (let n = 1 + random.integer(4); n > 0 && mutant.length > 0; n--)
        mutant[random.integer(mutant.length)] = random.integer(256);
      if (readFrames(mutant, new FrameLog()) !== undefined) refused++;
    }
    assert.ok(refused > 50_000);
  });
});

describe('Session under mutated records', () => {
  it('ends typed or goes on, and pins nothing, in 300 sessions of 30 records', async () => {
    const random = new SeededRandom(5);
    for (let round = 0; round < 300; round++) {
      const { clock, rogue, responder } = await createRogue();
      for (let i = 0; i < 30 && responder.error === undefined; i++) {
        const writer = new FrameWriter(new Uint8Array(4096));
        writeAll(writer, 1 + 2 * i);
        const plaintext = writer.bytes.slice(
          random.integer(3) === 0 ? random.integer(writer.length) : 0,
          writer.length,
        );
        for (let n = random.integer(3); n > 0; n--) plaintext[random.integer(plaintext.length)] = random.integer(256);
        rogue.sendPlaintext(plaintext);
        clock.advance(1);
      }
      await clock.settle();
      if (responder.error !== undefined) {
        assert.ok(
          ['SKEIN_PROTOCOL', 'SKEIN_FLOW_CONTROL', 'SKEIN_LIMIT'].includes(responder.error.code) ||
            responder.error.message.startsWith('The peer ended'),
          `round ${round}: ${responder.error.code} ${responder.error.message}`,
        );
        assert.equal(responder.session.openStreams, 0);
      }
      assert.ok(responder.session.pinnedBytes.unread < 64 * 1024);
    }
  });
});
