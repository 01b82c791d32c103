/** What holds a writer back on HTTP/2, and that it is always let go again. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { H2Stream } from '../../../src/http/h2-stream.ts';

const KIB = 1024;
const ignore = (): void => undefined;

test('A writer that was told to stop and has written on is told of room all the same', () => {
  let drains = 0;
  const stream = new H2Stream(
    1,
    { onReady: ignore, sendFields: ignore, sendReset: ignore, sendCredit: ignore, onOver: ignore },
    { onFields: ignore, onData: ignore, onEnd: ignore, onReset: ignore, onDrain: () => drains++ },
    1024 * KIB,
  );
  equal(stream.write(new Uint8Array(64 * KIB)), false);
  stream.takeData(24 * KIB);
  stream.tellDrained();
  equal(drains, 0);
  // What was under way to the writer when it was told: below the mark again, but nothing has been taken back yet.
  equal(stream.write(new Uint8Array(8 * KIB)), false);
  while (stream.takeData(16 * KIB) !== undefined) stream.tellDrained();
  equal(drains, 1);
  equal(stream.write(new Uint8Array(KIB)), true);
});
