/** The smuggling corpus: every message is refused, in one piece and byte by byte, and no handler takes it for whole. */
import { equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteSink } from '../../../src/core/byte-stream.ts';
import type { Bytes } from '../../../src/core/bytes.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { serveH1 } from '../../../src/http/h1-server.ts';
import { createMemoryStreams } from '../../../src/testing/memory-stream.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { cut } from '../../support/h1.ts';
import { latin1, RecordingHandler, toText } from '../../support/http.ts';
import { REFUSED_BODIES, REFUSED_HEADS } from './corpus.ts';

/** Sends `text` and then ends, in pieces of `size`; the handler answers only what is whole. */
function send(text: string, size: number): { handler: RecordingHandler; answer: string; isReset: boolean } {
  const clock = new VirtualClock();
  const [client, server] = createMemoryStreams(clock);
  const handler = new RecordingHandler((request) => {
    if (request.complete) clock.endOfTick(() => request.answer(200, 'taken'));
    else request.onEnd = () => request.answer(200, 'taken');
  });
  const received: Bytes[] = [];
  let isReset = false;
  const sink: ByteSink = {
    onData(chunk) {
      received.push(chunk);
      client.consumed(chunk.length);
    },
    onEnd: () => undefined,
    onDrain: () => undefined,
    onReset: () => {
      isReset = true;
    },
  };
  client.attach(sink);
  serveH1(server, handler, { clock, decodeLatin1 });
  for (const piece of cut(latin1(text), size)) {
    client.write(piece);
    clock.runUntilIdle();
  }
  client.end();
  clock.runUntilIdle();
  return { handler, answer: toText(...received), isReset };
}

const ways = (text: string): readonly number[] => [text.length, 1, 5];

for (const { name, text, status } of REFUSED_HEADS) {
  test(`Smuggling: ${name} → ${status}`, () => {
    for (const size of ways(text)) {
      const { handler, answer } = send(text, size);
      equal(handler.seen.length, 0, 'a handler was called');
      match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      match(answer, /\r\nconnection: close\r\n/);
      equal(answer.split('HTTP/1.1 ').length, 2, 'one answer');
    }
  });
}

for (const { name, text, status } of REFUSED_BODIES) {
  test(`Smuggling: ${name} → ${status === 0 ? 'given up' : status}`, () => {
    for (const size of ways(text)) {
      const { handler, answer, isReset } = send(text, size);
      equal(handler.seen.length, 1, 'nothing but the request itself was heard of');
      equal(handler.seen[0]?.trailers, undefined, 'the body must not end as if it were whole');
      ok(handler.seen[0]?.aborted !== undefined);
      if (status === 0) ok(isReset && answer === '');
      else match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    }
  });
}

test('Smuggling: the corpus has not shrunk', () => {
  const names = [...REFUSED_HEADS, ...REFUSED_BODIES].map(({ name }) => name);
  ok(names.length >= 200, `${names.length} messages`);
  equal(new Set(names).size, names.length);
});

test('Smuggling: the same way of sending lets a good message pass', () => {
  for (const text of [
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  ]) {
    for (const size of ways(text)) {
      const { handler, answer } = send(text, size);
      equal(handler.seen.length, 1);
      match(answer, /^HTTP\/1\.1 200 OK\r\n.*taken$/s);
    }
  }
});
