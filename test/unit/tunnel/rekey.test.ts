/** A session changes its keys while it works: after so many records, or so much time; a million full records are less than 64 GiB. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LINK_HEADER_BYTES } from '../../../src/tunnel/circuit.ts';
import { TUNNEL_DEFAULTS, type TunnelOptions } from '../../../src/tunnel/options.ts';
import { EPOCH_COUNT, RECORD_DATA, readRecordEpoch, readRecordType } from '../../../src/tunnel/record.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { deterministicChunks } from '../../support/deterministic-bytes.ts';
import { printFigures } from '../../support/figures.ts';
import { createSessions, RecordingSink } from '../../support/tunnel.ts';

const META = new Uint8Array([1]);
const MEBIBYTE = 1024 * 1024;
const CHUNK = 64 * 1024;

/** A stream from one end to the other, and the epochs of the records that carry it. */
async function open(limits: Partial<TunnelOptions>) {
  const pair = await createSessions({ limits });
  const seen: number[] = [];
  const { a } = pair.wire;
  const send = a.send.bind(a);
  a.send = (message) => {
    if (readRecordType(message, LINK_HEADER_BYTES) === RECORD_DATA) {
      seen.push(readRecordEpoch(message, LINK_HEADER_BYTES));
    }
    send(message);
  };
  const stream = pair.initiator.session.openStream(STREAM_KIND.raw, META, META.length, false);
  new RecordingSink(stream);
  await pair.clock.settle();
  const [incoming] = pair.responder.streams;
  assert.ok(incoming);
  return { ...pair, stream, sink: new RecordingSink(incoming), seen };
}

/** How often the key changed, each time to the next one. */
function countChanges(epochs: readonly number[]): number {
  let changes = 0;
  for (const [i, epoch] of epochs.entries()) {
    const before = epochs[i - 1];
    if (before === undefined || before === epoch) continue;
    assert.equal(epoch, (before + 1) % EPOCH_COUNT, 'one key after the other');
    changes++;
  }
  return changes;
}

describe('Rekey', () => {
  it('under load, every 8 records: all bytes arrive, in order, at about the same pace', async () => {
    const total = 16 * MEBIBYTE;
    const sent = Buffer.concat([...deterministicChunks(total)]);
    const run = async (limits: Partial<TunnelOptions>) => {
      const { clock, stream, sink, seen, responder } = await open(limits);
      const startMs = performance.now();
      for (let at = 0; at < total; at += CHUNK) {
        stream.write(sent.subarray(at, at + CHUNK));
        await clock.settle();
      }
      await clock.advanceUntil(() => sink.length === total, 60_000);
      const megabytesPerSecond = Math.round(total / 1e6 / ((performance.now() - startMs) / 1000));
      assert.equal(Buffer.compare(sink.bytes, sent), 0);
      assert.equal(responder.session.isOpen, true);
      return { records: seen.length, rekeys: countChanges(seen), megabytesPerSecond };
    };
    await run({}); // so that both are as warm
    const without = await run({});
    const often = await run({ rekeyAfterRecords: 8 });
    printFigures('session rekey under load', { mebibytes: total / MEBIBYTE, without, every8Records: often });
    assert.equal(without.rekeys, 0);
    assert.ok(often.rekeys >= Math.floor(often.records / 8) - 1 && often.rekeys > EPOCH_COUNT / 2, `${often.rekeys}`);
  });

  it('after an hour, and not before', async () => {
    const { clock, stream, sink, seen } = await open({});
    const hours = 3;
    for (let minute = 0; minute < hours * 60; minute += 10) {
      stream.write(new Uint8Array([minute]));
      await clock.advanceAsync(10 * 60_000);
    }
    assert.equal(sink.length, hours * 6);
    assert.equal(countChanges(seen), hours - 1);
  });

  it('by default before 2^20 records and 64 GiB, every hour', () => {
    const { rekeyAfterRecords, rekeyAfterMs, maxRecordBytes } = TUNNEL_DEFAULTS;
    assert.deepEqual([rekeyAfterRecords, rekeyAfterMs], [1_000_000, 3_600_000]);
    assert.ok(rekeyAfterRecords * maxRecordBytes < 64 * 2 ** 30);
  });
});
