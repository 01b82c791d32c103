/** Between events and WHATWG streams: credit follows what the application has taken, and nothing is read ahead of it. */

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { toSocket } from '../../../src/agent/connect.ts';
import { createServeHandler } from '../../../src/agent/serve.ts';
import { BodyReader, BodySource } from '../../../src/agent/web-streams.ts';
import type { Bytes } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import { createMemoryStreams } from '../../../src/testing/memory-stream.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { latin1, ReplyRecorder, requestHead, toText } from '../../support/http.ts';

/** A body whose chunks are made when they are asked for. */
function counted(chunks: number, bytes: number): { stream: ReadableStream<Uint8Array>; made: () => number } {
  let made = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        if (made++ === chunks) controller.close();
        else controller.enqueue(new Uint8Array(bytes));
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, made: () => made };
}

const clock = new VirtualClock();

test('BodyReader stops when its sink is full, and goes on when told', async () => {
  const { stream, made } = counted(10, 1);
  let taken = 0;
  let hasRoom = false;
  let ended = false;
  const reader = new BodyReader(stream, {
    write: () => {
      taken++;
      return hasRoom;
    },
    end: () => {
      ended = true;
    },
    fail: () => undefined,
  });
  reader.start();
  for (let n = 1; n <= 3; n++) {
    await clock.settle();
    deepEqual([taken, made()], [n, n]);
    reader.resume();
  }
  hasRoom = true;
  reader.resume();
  await clock.settle();
  deepEqual([taken, ended], [10, true]);
});

test('BodyReader hands on a copy, skips what is empty, and refuses what is no bytes', async () => {
  const shared = Uint8Array.of(1, 2);
  const seen: Bytes[] = [];
  const failures: unknown[] = [];
  const stream = new ReadableStream({
    start: (controller) => {
      for (const chunk of [new Uint8Array(0), shared, 'text']) controller.enqueue(chunk);
    },
  });
  new BodyReader(stream, {
    write: (chunk) => {
      seen.push(chunk);
      return true;
    },
    end: () => undefined,
    fail: (reason) => failures.push(reason),
  }).start();
  await clock.settle();
  shared.fill(9);
  deepEqual(seen, [Uint8Array.of(1, 2)]);
  equal(failures[0] instanceof TypeError, true);
});

test('BodyReader that is cancelled tells its source, and says nothing more', async () => {
  let reason: unknown;
  const told: string[] = [];
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(Uint8Array.of(1)),
    cancel: (why) => {
      reason = why;
    },
  });
  const reader = new BodyReader(stream, {
    write: () => false,
    end: () => told.push('end'),
    fail: () => told.push('fail'),
  });
  reader.start();
  await clock.settle();
  reader.cancel('enough');
  reader.cancel('again');
  await clock.settle();
  deepEqual([reason, told], ['enough', []]);
});

test('BodySource counts bytes as taken when the application reads them, not before', async () => {
  let taken = 0;
  const source = new BodySource({
    onTaken: (bytes) => {
      taken += bytes;
    },
    onCancel: () => undefined,
  });
  for (const text of ['one', 'four']) source.push(latin1(text));
  await clock.settle();
  equal(taken, 0);
  const reader = source.stream.getReader();
  equal(toText((await reader.read()).value as Bytes), 'one');
  equal(taken, 3);
  source.end();
  equal(toText((await reader.read()).value as Bytes), 'four');
  equal(taken, 7);
  equal((await reader.read()).done, true);
});

test('BodySource gives a waiting reader what comes, fails it, and returns the credit of what nobody wants', async () => {
  let taken = 0;
  let cancelled: unknown;
  const make = (): BodySource =>
    new BodySource({
      onTaken: (bytes) => {
        taken += bytes;
      },
      onCancel: (reason) => {
        cancelled = reason;
      },
    });
  const waiting = make();
  const read = waiting.stream.getReader().read();
  waiting.push(latin1('late'));
  equal(toText((await read).value as Bytes), 'late');
  const failed = make();
  const failing = failed.stream.getReader().read();
  failed.fail(new Error('gone'));
  await rejects(failing, { message: 'gone' });
  failed.end();
  taken = 0;
  const unwanted = make();
  await unwanted.stream.cancel('no');
  unwanted.push(latin1('12345'));
  deepEqual([cancelled, taken], ['no', 5]);
});

test('serve: an answer is not read beyond the window of who takes it', async () => {
  const { stream, made } = counted(1000, 1000);
  const handler = createServeHandler(() => new Response(stream), { log: SILENT_LOGGER, windowBytes: 4000 });
  const reply = new ReplyRecorder();
  reply.holds = true;
  const body = handler.request(requestHead(), true, reply);
  await clock.settle();
  equal(reply.chunks.length, 4);
  equal(made() <= 5, true, `${made()} chunks made`);
  body.consumed(2000);
  await clock.settle();
  equal(reply.chunks.length, 6);
  body.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: test'));
  await clock.settle();
  body.consumed(4000);
  await clock.settle();
  equal(reply.chunks.length, 6);
});

test('serve: an upload waits for the handler that reads it', async () => {
  let body: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const handler = createServeHandler(
    (request) => {
      body = request.body?.getReader();
      return new Promise(() => undefined);
    },
    { log: SILENT_LOGGER, windowBytes: 4000 },
  );
  const reply = new ReplyRecorder();
  const upload = handler.request(requestHead({ method: 'POST' }), false, reply);
  await clock.settle();
  deepEqual([upload.write(new Uint8Array(3000)), upload.write(new Uint8Array(3000))], [true, false]);
  await clock.settle();
  equal(reply.drains, 0);
  equal((await body?.read())?.value?.length, 3000);
  equal(reply.drains, 0);
  await body?.read();
  equal(reply.drains, 1);
  // A handler that wants no more of it does not hold the caller.
  equal(upload.write(new Uint8Array(5000)), false);
  await body?.cancel();
  equal(reply.drains, 2);
});

test('serve: what cannot be a Request, or is no Response, is an answer of the mesh', async () => {
  const run = async (handler: () => Response, head = requestHead()): Promise<ReplyRecorder> => {
    const reply = new ReplyRecorder();
    createServeHandler(handler, { log: SILENT_LOGGER, windowBytes: 1 }).request(head, true, reply);
    await clock.settle();
    return reply;
  };
  // The application would see another method than the one that policies have judged.
  for (const method of ['TRACE', 'TRACK', 'CONNECT', 'get', 'Post']) {
    const { error } = await run(() => new Response(), requestHead({ method }));
    deepEqual([error?.code, error?.status], ['SKEIN_BAD_REQUEST', 501], method);
  }
  const own = await run(() => new Response(), requestHead({ method: 'PROPFIND' }));
  equal(own.error?.status ?? own.head?.status, own.error === undefined ? 200 : 501);
  const nothing = await run(() => undefined as unknown as Response);
  equal(nothing.error?.code, 'SKEIN_INTERNAL');
  equal((await run(() => Response.error())).error?.code, 'SKEIN_INTERNAL');
});

test('connect: a write resolves when there is room, and fails with the connection', async () => {
  const memory = new VirtualClock();
  const [near, far] = createMemoryStreams(memory, { windowBytes: 1000 });
  const socket = toSocket(near);
  const remote = toSocket(far);
  const writer = socket.writable.getWriter();
  let written = 0;
  const count = (): void => {
    written++;
  };
  for (let n = 0; n < 4; n++) writer.write(new Uint8Array(600)).then(count, count);
  await memory.settle();
  const before = written;
  equal(before < 4, true, `${before} writes`);
  const reader = remote.readable.getReader();
  for (let bytes = 0; bytes < 2400; ) {
    const read = reader.read();
    await memory.settle();
    bytes += (await read).value?.length ?? 0;
  }
  await memory.settle();
  equal(written, 4);
  const closed = rejects(socket.closed, { name: 'SkeinError' });
  remote.abort(new Error('enough'));
  await memory.settle();
  await rejects(writer.write(new Uint8Array(1)), { name: 'SkeinError' });
  await closed;
});
