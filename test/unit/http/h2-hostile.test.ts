/** What a client of HTTP/2 may not do (RFC 9113), and what each costs it: its stream or its connection, and nobody else anything. */
import { equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ByteStream } from '../../../src/core/byte-stream.ts';
import { type Bytes, concatBytes, encodeUtf8 } from '../../../src/core/bytes.ts';
import {
  encodeFrame,
  encodeHeaders,
  encodeNumbers,
  encodeSettings,
  H2_FRAME,
  H2FrameReader,
} from '../../../src/http/h2-frame.ts';
import { H2_PREFACE } from '../../../src/http/h2-preface.ts';
import { serveH2 } from '../../../src/http/h2-server.ts';
import { encodeHpack } from '../../../src/http/hpack.ts';
import { hostPlatform } from '../../../src/runtime/bun/platform.ts';
import { malformedH2 } from '../../support/h2-malformed.ts';
import { RecordingHandler } from '../../support/http.ts';

const platform = hostPlatform();
const { clock, decodeLatin1 } = platform;
const EMPTY = new Uint8Array(0);
const GET = [':method', 'GET', ':scheme', 'http', ':authority', 'api.mesh', ':path', '/'];
const POST = [':method', 'POST', ...GET.slice(2)];
const hello = concatBytes(H2_PREFACE, encodeSettings([]));
const head = (id: number, fields: readonly string[] = GET, isEnd = true): Bytes =>
  concatBytes(...encodeHeaders(id, encodeHpack(fields), isEnd));
const raw = (type: number, flags: number, id: number, ...payload: number[]): Bytes =>
  encodeFrame(type, flags, id, Uint8Array.from(payload));
const repeat = (count: number, make: (i: number) => Bytes): Bytes =>
  concatBytes(...Array.from({ length: count }, (_, i) => make(i)));

interface Frame {
  readonly type: number;
  readonly id: number;
  readonly payload: Bytes;
}

/** Sends `bytes`, then a request on stream 999 unless the connection is over, and tells what came back. */
async function attack(
  t: TestContext,
  bytes: Bytes,
): Promise<{ goAway: number | undefined; resets: Map<number, number>; answered: number[] }> {
  const handler = new RecordingHandler((request) => {
    if (request.complete) request.answer(204);
    else request.onEnd = () => request.answer(204);
    if (request.head.fields.includes('x-hold')) request.hasRoom = false;
  });
  let over = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    over = resolve;
  });
  const listener = await platform.listenTcp!({ host: '127.0.0.1', port: 0 }, (stream) => {
    serveH2(stream, handler, { clock, decodeLatin1 });
  });
  t.after(() => listener.close());
  const frames: Frame[] = [];
  const client: ByteStream = platform.connectTcp!({ host: '127.0.0.1', port: listener.port });
  const reader = new H2FrameReader();
  client.attach({
    onData(chunk) {
      client.consumed(chunk.length);
      reader.push(chunk, {
        isReading: true,
        onFrame(type, _flags, id, payload) {
          frames.push({ type, id, payload: payload.slice() });
          if (type === H2_FRAME.headers && id === 999) client.end();
        },
      });
    },
    onEnd: () => over(), // and it keeps its own half open: the server must see to it that this ends
    onDrain: () => undefined,
    onReset: () => over(),
  });
  client.write(concatBytes(bytes, head(999)));
  await ended;
  const number = ({ payload }: Frame, at: number): number =>
    new DataView(payload.buffer, payload.byteOffset).getUint32(at);
  const goAway = frames.find(({ type }) => type === H2_FRAME.goAway);
  return {
    goAway: goAway && number(goAway, 4),
    resets: new Map(
      frames.filter(({ type }) => type === H2_FRAME.rstStream).map((frame) => [frame.id, number(frame, 0)]),
    ),
    answered: frames.filter(({ type }) => type === H2_FRAME.headers).map(({ id }) => id),
  };
}

const PROTOCOL = 1;
const FLOW = 3;
const CLOSED = 5;
const SIZE = 6;
const COMPRESSION = 9;
const CALM = 11;

const fatal: readonly [what: string, code: number, bytes: Bytes][] = [
  ['another preface', PROTOCOL, encodeUtf8('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n')],
  ['no SETTINGS first', PROTOCOL, concatBytes(H2_PREFACE, raw(6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8))],
  ['a frame larger than allowed', SIZE, concatBytes(hello, encodeFrame(0, 0, 1, new Uint8Array(16_385)))],
  ['SETTINGS of a stream', PROTOCOL, concatBytes(hello, raw(4, 0, 1))],
  ['SETTINGS of five bytes', SIZE, concatBytes(hello, raw(4, 0, 0, 0, 0, 0, 0, 0))],
  ['an acknowledgement with content', SIZE, concatBytes(hello, raw(4, 1, 0, 0, 0, 0, 0, 0, 0))],
  ['ENABLE_PUSH of 2', PROTOCOL, concatBytes(hello, encodeSettings([[2, 2]]))],
  ['a window of 2^31', FLOW, concatBytes(hello, encodeSettings([[4, 2 ** 31]]))],
  ['frames of 16,383 bytes at most', PROTOCOL, concatBytes(hello, encodeSettings([[5, 16_383]]))],
  ['PING of seven bytes', SIZE, concatBytes(hello, raw(6, 0, 0, 1, 2, 3, 4, 5, 6, 7))],
  ['PING of a stream', PROTOCOL, concatBytes(hello, raw(6, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8))],
  ['GOAWAY of a stream', PROTOCOL, concatBytes(hello, raw(7, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0))],
  ['DATA of stream 0', PROTOCOL, concatBytes(hello, raw(0, 0, 0, 1))],
  ['DATA of a stream that was never opened', PROTOCOL, concatBytes(hello, raw(0, 0, 1, 1))],
  ['RST_STREAM of a stream that was never opened', PROTOCOL, concatBytes(hello, encodeNumbers(3, 1, 8))],
  ['RST_STREAM of three bytes', SIZE, concatBytes(hello, head(1, POST, false), raw(3, 0, 1, 0, 0, 0))],
  ['WINDOW_UPDATE of a stream that was never opened', PROTOCOL, concatBytes(hello, encodeNumbers(8, 1, 1))],
  ['WINDOW_UPDATE of nothing for the connection', PROTOCOL, concatBytes(hello, encodeNumbers(8, 0, 0))],
  ['a window of the connection beyond 2^31 - 1', FLOW, concatBytes(hello, encodeNumbers(8, 0, 0x7fffffff))],
  ['HEADERS of stream 0', PROTOCOL, concatBytes(hello, head(0))],
  ['HEADERS of an even stream', PROTOCOL, concatBytes(hello, head(2))],
  ['HEADERS of a stream that has ended', CLOSED, concatBytes(hello, head(1), head(3), head(1))],
  ['more padding than payload', PROTOCOL, concatBytes(hello, head(1, POST, false), raw(0, 8, 1, 5, 0, 0))],
  [
    'a block interrupted by another frame',
    PROTOCOL,
    concatBytes(hello, raw(1, 1, 1, 0x82), raw(6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)),
  ],
  ['CONTINUATION of nothing', PROTOCOL, concatBytes(hello, raw(9, 4, 1, 0x82))],
  ['a block that is no HPACK', COMPRESSION, concatBytes(hello, raw(1, 5, 1, 0x80))],
  ['PUSH_PROMISE', PROTOCOL, concatBytes(hello, raw(5, 4, 1, 0, 0, 0, 2))],
  [
    'an endless block (CVE-2024-27316)',
    CALM,
    concatBytes(
      hello,
      raw(1, 1, 1, 0x82),
      repeat(5, () => encodeFrame(9, 0, 1, new Uint8Array(16_000).fill(0x82))),
    ),
  ],
  ['empty CONTINUATION frames', CALM, concatBytes(hello, raw(1, 1, 1, 0x82), raw(9, 0, 1))],
  [
    'a flood of PING (CVE-2019-9512)',
    CALM,
    concatBytes(
      hello,
      repeat(1_500, () => raw(6, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)),
    ),
  ],
  [
    'a flood of SETTINGS (CVE-2019-9515)',
    CALM,
    concatBytes(
      hello,
      repeat(1_500, () => encodeSettings([])),
    ),
  ],
  [
    'a flood of empty DATA (CVE-2019-9518)',
    CALM,
    concatBytes(
      hello,
      head(1, POST, false),
      repeat(1_500, () => raw(0, 0, 1)),
    ),
  ],
  [
    'rapid reset (CVE-2023-44487)',
    CALM,
    concatBytes(
      hello,
      repeat(300, (i) => concatBytes(head(2 * i + 1, POST, false), encodeNumbers(3, 2 * i + 1, 8))),
    ),
  ],
  [
    'errors that make us reset (CVE-2025-8671)',
    CALM,
    concatBytes(
      hello,
      repeat(150, (i) => concatBytes(head(2 * i + 1, POST, false), encodeNumbers(8, 2 * i + 1, 0))),
    ),
  ],
];
for (const [what, code, bytes] of fatal) {
  test(`${what} ends the connection with code ${code}`, async (t) => {
    const { goAway, answered } = await attack(t, bytes);
    equal(goAway, code);
    ok(!answered.includes(999));
  });
}

for (const { name: what, code, bytes } of malformedH2('api.mesh')) {
  test(`${what} costs the stream, with code ${code}, and the next request is answered`, async (t) => {
    const { goAway, resets, answered } = await attack(t, concatBytes(hello, bytes));
    equal(goAway, undefined);
    equal(resets.get(1), code);
    ok(answered.includes(999));
  });
}

test('The 257th stream at once is refused, and may be tried elsewhere', async (t) => {
  const { resets, answered } = await attack(
    t,
    concatBytes(
      hello,
      repeat(257, (i) => head(2 * i + 1, POST, false)),
      raw(0, 1, 1),
    ),
  );
  equal(resets.get(2 * 256 + 1), 7);
  ok(answered.includes(1));
});

test('Frames and settings of types that nobody knows are ignored', async (t) => {
  const { goAway, answered } = await attack(
    t,
    concatBytes(hello, raw(200, 255, 7, 1, 2), encodeSettings([[0xff, 1]]), raw(2, 0, 1, 0, 0, 0, 0, 1), EMPTY),
  );
  equal(goAway, undefined);
  ok(answered.includes(999));
});
