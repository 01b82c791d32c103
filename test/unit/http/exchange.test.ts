/** The exchange: a request and its answer over one mux stream, whole or failed and never in between. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HEAD_INFORMATIONAL, HEAD_TRAILERS } from '../../../src/core/byte-stream.ts';
import { concatBytes } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { createStreamHandler, type HttpKind, serveStream } from '../../../src/http/exchange.ts';
import type { HttpHandler, RequestBody } from '../../../src/http/handler.ts';
import { NO_FIELDS, type RequestHead } from '../../../src/http/head.ts';
import { decodeRequestHead, encodeResponseHead } from '../../../src/http/head-codec.ts';
import { createMemoryStreams, type MemoryStream } from '../../../src/testing/memory-stream.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import {
  latin1,
  RecordingHandler,
  ReplyRecorder,
  requestHead,
  responseHead,
  type SeenRequest,
  toText,
} from '../../support/http.ts';
import { fieldList, someBody, someRequest } from '../../support/http-arbitraries.ts';

/** Caller and callee, joined by memory streams. */
class Pair {
  readonly clock = new VirtualClock();
  readonly kinds: HttpKind[] = [];
  readonly streams: [caller: MemoryStream, callee: MemoryStream][] = [];
  readonly callee: RecordingHandler;
  readonly caller: HttpHandler;

  constructor(serve: (request: SeenRequest) => void = () => undefined, windowBytes = 65_536) {
    this.callee = new RecordingHandler(serve);
    this.caller = createStreamHandler((kind, block, length, complete) => {
      const pair = createMemoryStreams(this.clock, { windowBytes });
      this.kinds.push(kind);
      this.streams.push(pair);
      const head = decodeRequestHead(block.slice(0, length), decodeLatin1);
      this.clock.endOfTick(() => serveStream(pair[1], complete, head, this.callee, decodeLatin1));
      if (complete) pair[0].end();
      return pair[0];
    }, decodeLatin1);
  }

  request(head: RequestHead = requestHead(), complete = true): { reply: ReplyRecorder; body: RequestBody } {
    const reply = new ReplyRecorder();
    const body = this.caller.request(head, complete, reply);
    reply.body = body;
    this.run();
    return { reply, body };
  }

  seen(): SeenRequest {
    const request = this.callee.seen.at(-1);
    ok(request !== undefined);
    return request;
  }

  run(): void {
    this.clock.runUntilIdle();
  }
}

test('An exchange carries head, body and trailers both ways', () => {
  const pair = new Pair();
  const head = requestHead({ method: 'POST', path: '/a', fields: ['accept', '*/*'], service: 'api.default:80' });
  const { reply, body } = pair.request(head, false);
  deepEqual(pair.seen().head, head);
  equal(pair.seen().complete, false);
  body.write(latin1('hello'));
  body.end(['x-sum', '1']);
  pair.run();
  equal(pair.seen().text, 'hello');
  deepEqual(pair.seen().trailers, ['x-sum', '1']);
  const answer = pair.seen().reply;
  answer.onInformational(responseHead(103, ['link', 'a']));
  answer.onHead(responseHead(200, ['content-type', 'text/plain']), false);
  answer.onData(latin1('back'));
  answer.onEnd(['x-back', '2']);
  pair.run();
  deepEqual(reply.informational, [responseHead(103, ['link', 'a'])]);
  deepEqual(reply.head, responseHead(200, ['content-type', 'text/plain']));
  equal(reply.text, 'back');
  deepEqual(reply.trailers, ['x-back', '2']);
});

test('An exchange without bodies is complete with its heads', () => {
  const pair = new Pair((request) => request.reply.onHead(responseHead(204), true));
  const { reply } = pair.request();
  equal(pair.seen().complete, true);
  equal(reply.complete, true);
  equal(reply.trailers, undefined);
});

test('An exchange chooses the kind of its stream by the request', () => {
  const pair = new Pair();
  pair.request();
  pair.request(requestHead({ upgrade: 'websocket' }), false);
  for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;a=b', 'application/grpc-web']) {
    pair.request(requestHead({ fields: ['content-type', type] }));
  }
  deepEqual(pair.kinds, [1, 3, 2, 2, 2, 1]);
});

test('An exchange carries any request and answer', () => {
  fc.assert(
    fc.property(someRequest, someBody, fieldList, (head, chunks, trailers) => {
      const pair = new Pair((request) => {
        request.onEnd = () => {
          request.reply.onHead(responseHead(200), false);
          for (const chunk of request.chunks) request.reply.onData(chunk);
          request.reply.onEnd(request.trailers ?? NO_FIELDS);
        };
      });
      const { reply, body } = pair.request(head, false);
      for (const chunk of chunks) body.write(chunk);
      body.end(trailers);
      for (let i = 0; i < 20; i++) pair.run();
      deepEqual(pair.seen().head, head);
      equal(reply.text, toText(concatBytes(...chunks)));
      deepEqual(reply.trailers, trailers);
    }),
    { numRuns: 200 },
  );
});

test('An exchange becomes raw behind a 101', () => {
  const pair = new Pair();
  const { reply, body } = pair.request(requestHead({ upgrade: 'echo' }), false);
  pair.seen().reply.onHead(responseHead(101, [], 'echo'), false);
  pair.seen().reply.onData(latin1('hello'));
  pair.run();
  equal(reply.head?.upgrade, 'echo');
  body.write(latin1('there'));
  body.end(NO_FIELDS);
  pair.run();
  equal(pair.seen().text, 'there');
  deepEqual(pair.seen().trailers, []);
  equal(reply.isOver, false);
  pair.seen().reply.onEnd(NO_FIELDS);
  pair.run();
  deepEqual(reply.trailers, []);
});

test('An exchange fails as a whole when the callee fails, before or behind its head', () => {
  const error = new SkeinError('SKEIN_APP_UNREACHABLE', 'Cannot connect: refused');
  const before = new Pair((request) => request.reply.onAbort(error));
  equal(before.request().reply.error?.code, 'SKEIN_APP_UNREACHABLE');
  const behind = new Pair((request) => {
    request.reply.onHead(responseHead(200), false);
    request.reply.onData(latin1('part'));
  });
  const { reply } = behind.request();
  behind.seen().reply.onAbort(new SkeinError('SKEIN_STREAM_RESET', 'Cannot read answer: reset'));
  behind.run();
  equal(reply.error?.code, 'SKEIN_STREAM_RESET');
  equal(reply.trailers, undefined);
});

test('An exchange answers a request that the callee finds malformed', () => {
  const pair = new Pair((request) =>
    request.reply.onAbort(new SkeinError('SKEIN_BAD_REQUEST', 'Cannot read request: odd')),
  );
  const { reply } = pair.request();
  equal(reply.head?.status, 400);
  match(reply.text, /^Cannot read request: odd\n/);
  deepEqual(reply.trailers, []);
});

test('An exchange survives a callee that throws', () => {
  const pair = new Pair(() => {
    throw new Error('broken');
  });
  equal(pair.request().reply.error?.code, 'SKEIN_INTERNAL');
});

test('An exchange fails when the callee answers what cannot be sent', () => {
  const pair = new Pair();
  const { reply } = pair.request();
  pair.seen().reply.onHead(responseHead(200, ['a', 'b\r\nc']), true);
  pair.run();
  equal(reply.error?.code, 'SKEIN_APP_PROTOCOL');
  ok(pair.seen().aborted !== undefined);
});

test('An exchange carries the caller’s giving up to the callee, and tells the caller nothing more', () => {
  const pair = new Pair();
  const { reply, body } = pair.request(requestHead({ method: 'POST' }), false);
  body.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: caller gave up'));
  pair.run();
  equal(pair.seen().aborted?.code, 'SKEIN_CANCELLED');
  pair.seen().reply.onHead(responseHead(200), true);
  pair.run();
  equal(reply.isOver, false);
});

test('An exchange that is ended behind its whole answer ends the upload that still runs', () => {
  for (const isUploading of [true, false]) {
    const pair = new Pair((request) => request.answer(200, 'early'));
    const { reply, body } = pair.request(requestHead({ method: 'POST' }), false);
    deepEqual([reply.text, reply.trailers], ['early', []]);
    body.write(latin1('some'));
    if (!isUploading) body.end(NO_FIELDS);
    pair.run();
    pair.seen().reply.onAbort(new SkeinError('SKEIN_DENIED', 'Cannot go on: no policy allows it any more'));
    body.write(latin1(' more'));
    pair.run();
    equal(pair.seen().text, 'some');
    equal(reply.error, undefined);
  }
});

test('An exchange that cannot be opened fails later, not at once', async () => {
  const handler = createStreamHandler(() => {
    throw new SkeinError('SKEIN_LIMIT', 'Cannot open stream: too many');
  }, decodeLatin1);
  const reply = new ReplyRecorder();
  const body = handler.request(requestHead(), true, reply);
  equal(reply.isOver, false);
  await reply.done;
  equal(reply.error?.code, 'SKEIN_LIMIT');
  const silent = new ReplyRecorder();
  handler.request(requestHead(), true, silent).abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: caller gave up'));
  await Promise.resolve();
  equal(silent.error, undefined);
  equal(body.write(latin1('a')), true);
});

test('An exchange refuses a request that cannot be sent', async () => {
  const pair = new Pair();
  const { reply } = pair.request(requestHead({ path: '/a\r\nb' }));
  await reply.done;
  equal(reply.error?.code, 'SKEIN_BAD_REQUEST');
  equal(pair.streams.length, 0);
});

test('An exchange returns credit only as bytes are taken, in both directions', () => {
  const pair = new Pair((request) => {
    request.hasRoom = false;
  }, 1000);
  const { reply, body } = pair.request(requestHead({ method: 'POST' }), false);
  const [caller, callee] = pair.streams[0]!;
  body.write(new Uint8Array(600));
  pair.run();
  equal(callee.unconsumedBytes, 600);
  pair.seen().reply.onDrain();
  equal(callee.unconsumedBytes, 0);
  reply.holds = true;
  pair.seen().reply.onHead(responseHead(200), false);
  pair.seen().reply.onData(new Uint8Array(600));
  pair.seen().reply.onData(new Uint8Array(600));
  pair.run();
  equal(caller.unconsumedBytes, 600);
  equal(pair.seen().consumedBytes, 600);
  body.consumed(600);
  pair.run();
  equal(caller.unconsumedBytes, 600);
  body.consumed(600);
  pair.run();
  equal(pair.seen().consumedBytes, 1200);
});

test('An exchange returns the credit of the last bytes at the end, in both directions', () => {
  const pair = new Pair((request) => {
    request.hasRoom = false;
  }, 1000);
  const { reply, body } = pair.request(requestHead({ method: 'POST' }), false);
  body.write(new Uint8Array(600));
  body.end(NO_FIELDS);
  pair.run();
  equal(pair.streams[0]![1].unconsumedBytes, 0);
  reply.holds = true;
  pair.seen().reply.onHead(responseHead(200), false);
  pair.seen().reply.onData(new Uint8Array(2000));
  equal(pair.seen().consumedBytes, 0);
  pair.seen().reply.onEnd(NO_FIELDS);
  equal(pair.seen().consumedBytes, 2000);
});

interface Violation {
  readonly name: string;
  readonly act: (callee: MemoryStream) => void;
}

const block = new Uint8Array(32_768);
function sendHead(stream: MemoryStream, status: number, flags: number): void {
  stream.sendHead(block, encodeResponseHead(block, responseHead(status)), flags);
}

const violations: readonly Violation[] = [
  { name: 'an end before the head', act: (callee) => callee.end() },
  { name: 'data before the head', act: (callee) => void callee.write(latin1('a')) },
  { name: 'trailers before the head', act: (callee) => callee.sendHead(Uint8Array.of(0), 1, HEAD_TRAILERS) },
  { name: 'a final head marked informational', act: (callee) => sendHead(callee, 200, HEAD_INFORMATIONAL) },
  { name: 'a 1xx marked final', act: (callee) => sendHead(callee, 103, 0) },
  { name: 'a block that is none', act: (callee) => callee.sendHead(Uint8Array.of(9, 9, 9), 3, 0) },
  {
    name: 'two heads',
    act: (callee) => {
      sendHead(callee, 200, 0);
      sendHead(callee, 200, 0);
    },
  },
  {
    name: 'two trailer sections',
    act: (callee) => {
      sendHead(callee, 200, 0);
      callee.sendHead(Uint8Array.of(0), 1, HEAD_TRAILERS);
      callee.sendHead(Uint8Array.of(0), 1, HEAD_TRAILERS);
    },
  },
  {
    name: 'data behind the trailers',
    act: (callee) => {
      sendHead(callee, 200, 0);
      callee.sendHead(Uint8Array.of(0), 1, HEAD_TRAILERS);
      callee.write(latin1('a'));
    },
  },
  {
    name: 'nine informational heads',
    act: (callee) => {
      for (let i = 0; i < 9; i++) sendHead(callee, 103, HEAD_INFORMATIONAL);
    },
  },
];

for (const { name, act } of violations) {
  test(`An exchange takes this for a violation by the callee: ${name}`, () => {
    const clock = new VirtualClock();
    const [caller, callee] = createMemoryStreams(clock);
    let resetBy: SkeinError | undefined;
    callee.attach({
      onData: () => undefined,
      onEnd: () => undefined,
      onDrain: () => undefined,
      onReset: (error) => {
        resetBy = error;
      },
    });
    const reply = new ReplyRecorder();
    createStreamHandler(() => caller, decodeLatin1).request(requestHead(), true, reply);
    act(callee);
    clock.runUntilIdle();
    equal(reply.error?.code, 'SKEIN_PROTOCOL');
    equal(resetBy?.code, 'SKEIN_PROTOCOL');
  });
}

test('An exchange takes a second head or data behind trailers for a violation by the caller', () => {
  for (const act of [
    (caller: MemoryStream) => caller.sendHead(Uint8Array.of(0), 1, 0),
    (caller: MemoryStream) => {
      caller.sendHead(Uint8Array.of(0), 1, HEAD_TRAILERS);
      caller.write(latin1('a'));
    },
    (caller: MemoryStream) => caller.sendHead(Uint8Array.of(9), 1, HEAD_TRAILERS),
  ]) {
    const clock = new VirtualClock();
    const [caller, callee] = createMemoryStreams(clock);
    caller.attach({
      onData: () => undefined,
      onEnd: () => undefined,
      onDrain: () => undefined,
      onReset: () => undefined,
    });
    const handler = new RecordingHandler();
    serveStream(callee, false, requestHead({ method: 'POST' }), handler, decodeLatin1);
    act(caller);
    clock.runUntilIdle();
    equal(handler.seen[0]?.aborted?.code, 'SKEIN_PROTOCOL');
    equal(handler.seen[0]?.trailers, undefined);
  }
});
