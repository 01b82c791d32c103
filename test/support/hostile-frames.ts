/** What a peer at fault says, by seeded chance: messages of a link before anybody knows who it is, and frames inside a session. */
import type { Bytes } from '../../src/core/bytes.ts';
import type { SeededRandom } from '../../src/testing/seeded-random.ts';
import { LINK_HEADER_BYTES } from '../../src/tunnel/circuit.ts';
import type { FrameWriter } from '../../src/tunnel/frame.ts';
import { STREAM_KIND } from '../../src/tunnel/stream.ts';
import { makeNoise, mutate } from './mutants.ts';

/** The first message of a link, as it should be. */
export const HELLO = Uint8Array.from([0x10, 0, 0, 0, 0, 1, 0, ...new Uint8Array(16), 0x80, 0x80, 8, 0]);

/** One message of a stranger: of any kind, with any body, or one that was good once. */
export function makeLinkMessage(random: SeededRandom, maxBytes = 20_000): Bytes {
  const choice = random.integer(10);
  if (choice < 2) return Uint8Array.from(makeNoise(random, random.integer(100)));
  if (choice < 4) return Uint8Array.from(mutate(random, HELLO));
  const message = new Uint8Array(LINK_HEADER_BYTES + random.integer(choice < 9 ? 60 : maxBytes));
  message.set(random.bytes(Math.min(message.length, 200)));
  message[0] = 0x10 | random.pick([0, 2, 2, 2, 5, 6, 7, 8, random.integer(16)]);
  if (random.integer(3) > 0) message.fill(0, 1, LINK_HEADER_BYTES); // circuit 0
  return message;
}

/** One frame of a member: with ids and numbers of every size, and now and then a byte that is another. */
export function writeHostileFrame(random: SeededRandom, writer: FrameWriter, next: () => number): void {
  const int = (below: number): number => random.integer(below);
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
export function writeFairFrame(
  random: SeededRandom,
  writer: FrameWriter,
  open: number[],
  sent: { credit: number },
): void {
  const some = random.bytes(random.integer(40));
  const stream = open.length === 0 ? undefined : random.pick(open);
  if (stream === undefined || (open.length < 300 && random.integer(3) === 0)) {
    const id = 1 + 2 * open.length;
    open.push(id);
    writer.open(id, false, random.pick([STREAM_KIND.http, STREAM_KIND.raw]), 65_536, some);
  } else if (random.integer(4) === 0) {
    sent.credit += 100_000;
    writer.credit(0, sent.credit);
  } else writer.data(stream, false, some, 0, some.length);
}
