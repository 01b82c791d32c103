/** `H1Client`: one request at a time, when its connection may carry another, and what is known when it fails. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Bytes } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { H1Client, isStaleConnection } from '../../../src/http/h1-client.ts';
import type { RequestBody } from '../../../src/http/handler.ts';
import type { RequestHead } from '../../../src/http/head.ts';
import { createMemoryStreams, type MemoryStream } from '../../../src/testing/memory-stream.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { latin1, ReplyRecorder, requestHead, toText } from '../../support/http.ts';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na';
const POST = requestHead({ method: 'POST' });

/** A client and the application's end of its connection. */
class Connection {
  readonly clock = new VirtualClock();
  readonly stream: MemoryStream;
  readonly app: MemoryStream;
  readonly client: H1Client;
  readonly received: Bytes[] = [];
  holds = false;
  ended = false;
  resetBy: SkeinError | undefined;
  idles = 0;
  closes = 0;

  constructor(windowBytes = 65_536) {
    [this.stream, this.app] = createMemoryStreams(this.clock, { windowBytes });
    this.app.attach({
      onData: (chunk) => {
        this.received.push(chunk);
        if (!this.holds) this.app.consumed(chunk.length);
      },
      onEnd: () => {
        this.ended = true;
      },
      onDrain: () => undefined,
      onReset: (error) => {
        this.resetBy = error;
      },
    });
    this.client = new H1Client(this.stream, {
      decodeLatin1,
      onIdle: () => void this.idles++,
      onClose: () => void this.closes++,
    });
  }

  request(head: RequestHead = requestHead(), complete = true): { reply: ReplyRecorder; body: RequestBody } {
    const reply = new ReplyRecorder();
    const body = this.client.request(head, complete, reply);
    reply.body = body;
    this.run();
    return { reply, body };
  }

  answer(text: string): void {
    this.app.write(latin1(text));
    this.run();
  }

  run(): void {
    this.clock.runUntilIdle();
  }

  get text(): string {
    return toText(...this.received);
  }
}

test('H1Client carries requests one after the other, and says when it is idle', () => {
  const connection = new Connection();
  for (let i = 1; i <= 3; i++) {
    const { reply } = connection.request(requestHead({ path: `/${i}` }));
    equal(connection.client.isIdle, false);
    connection.answer(OK);
    equal(reply.text, 'a');
    deepEqual(reply.trailers, []);
    equal(connection.idles, i);
    equal(connection.client.served, i);
  }
  equal(connection.closes, 0);
});

test('H1Client writes a body of unknown length in chunks, with trailers', () => {
  const connection = new Connection();
  const { body } = connection.request(POST, false);
  body.write(latin1('hello'));
  body.end(['x-sum', '1']);
  connection.run();
  match(connection.text, /transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n$/);
});

const reuse: readonly [name: string, answer: string, head: RequestHead, reusable: boolean][] = [
  ['known length', OK, requestHead(), true],
  ['chunked', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', requestHead(), true],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', requestHead(), true],
  ['HEAD', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n', requestHead({ method: 'HEAD' }), true],
  ['connection: close', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n', requestHead(), false],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n', requestHead(), false],
  ['bytes behind the answer', `${OK}HTTP/1.1 200 OK\r\n`, requestHead(), false],
  ['a body to HEAD', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na', requestHead({ method: 'HEAD' }), false],
  ['a body to 204', 'HTTP/1.1 204 No Content\r\n\r\n5\r\nhello', requestHead(), false],
];

for (const [name, answer, head, reusable] of reuse) {
  test(`H1Client ${reusable ? 'uses' : 'never uses'} a connection again: ${name}`, () => {
    const connection = new Connection();
    const { reply } = connection.request(head);
    connection.answer(answer);
    ok(reply.isOver && reply.error === undefined);
    equal(connection.client.isIdle, reusable);
    equal(connection.closes, reusable ? 0 : 1);
    equal(connection.stream.unconsumedBytes, 0);
  });
}

test('H1Client reads an answer that ends with its connection', () => {
  const connection = new Connection();
  const { reply } = connection.request();
  connection.answer('HTTP/1.1 200 OK\r\n\r\nall of it');
  equal(reply.trailers, undefined);
  connection.app.end();
  connection.run();
  equal(reply.text, 'all of it');
  deepEqual(reply.trailers, []);
  equal(connection.closes, 1);
});

test('H1Client passes 1xx on, eight of them, and waits for the answer', () => {
  const connection = new Connection();
  const { reply } = connection.request();
  connection.answer('HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n'.repeat(12) + OK);
  equal(reply.informational.length, 8);
  equal(reply.head?.status, 200);
});

test('H1Client refuses an application that sends 1xx without end', () => {
  const connection = new Connection();
  const { reply } = connection.request();
  connection.answer('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100));
  equal(reply.error?.code, 'SKEIN_APP_PROTOCOL');
});

test('H1Client gives the answer that comes while the body is on its way, and closes', () => {
  const connection = new Connection();
  const { reply, body } = connection.request(POST, false);
  body.write(latin1('some'));
  connection.answer(OK);
  equal(reply.text, 'a');
  deepEqual(reply.trailers, []);
  equal(connection.client.isClosed, true);
  equal(body.write(latin1('more')), true);
  body.end([]);
  connection.run();
  ok(connection.resetBy !== undefined);
});

test('H1Client reads an answer while the body is still on its way', () => {
  const connection = new Connection();
  const { reply, body } = connection.request(POST, false);
  connection.answer('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
  for (const word of ['one', 'two']) {
    body.write(latin1(word));
    connection.answer(`3\r\n${word}\r\n`);
  }
  body.end([]);
  connection.answer('0\r\n\r\n');
  equal(reply.text, 'onetwo');
  ok(connection.client.isIdle);
});

test('H1Client becomes raw behind a 101, each direction ending by itself', () => {
  const connection = new Connection();
  const { reply, body } = connection.request(requestHead({ upgrade: 'echo' }), false);
  match(connection.text, /connection: upgrade\r\nupgrade: echo\r\n\r\n$/);
  connection.answer('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly');
  equal(reply.head?.status, 101);
  equal(reply.head?.upgrade, 'echo');
  body.write(latin1('there'));
  connection.app.end();
  connection.run();
  equal(reply.text, 'early');
  deepEqual(reply.trailers, []);
  equal(connection.closes, 0);
  body.write(latin1(' and on'));
  body.end([]);
  connection.run();
  match(connection.text, /\r\n\r\nthere and on$/);
  ok(connection.ended);
  equal(connection.closes, 1);
});

test('H1Client ends a refused upgrade as an ordinary answer', () => {
  const connection = new Connection();
  const { reply, body } = connection.request(requestHead({ upgrade: 'echo' }), false);
  connection.answer('HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\n');
  body.end([]);
  connection.answer('no');
  equal(reply.head?.status, 400);
  equal(reply.text, 'no');
  ok(connection.client.isIdle);
});

interface Failure {
  readonly name: string;
  readonly isReused: boolean;
  readonly answer: string;
  readonly end: 'end' | 'reset' | 'nothing';
  readonly code: string;
  readonly isStale: boolean;
}

const failures: readonly Failure[] = [
  {
    name: 'a malformed answer',
    isReused: false,
    answer: 'HTTP/1.1 200 OK\n\n',
    end: 'nothing',
    code: 'SKEIN_APP_PROTOCOL',
    isStale: false,
  },
  {
    name: 'an end before the answer',
    isReused: false,
    answer: '',
    end: 'end',
    code: 'SKEIN_STREAM_RESET',
    isStale: false,
  },
  {
    name: 'an end on a connection used before',
    isReused: true,
    answer: '',
    end: 'end',
    code: 'SKEIN_STREAM_RESET',
    isStale: true,
  },
  {
    name: 'a reset on a connection used before',
    isReused: true,
    answer: '',
    end: 'reset',
    code: 'SKEIN_STREAM_RESET',
    isStale: true,
  },
  {
    name: 'an end within the head',
    isReused: true,
    answer: 'HTTP/1.1 2',
    end: 'end',
    code: 'SKEIN_APP_PROTOCOL',
    isStale: false,
  },
  {
    name: 'an end behind a 1xx',
    isReused: true,
    answer: 'HTTP/1.1 100 Continue\r\n\r\n',
    end: 'end',
    code: 'SKEIN_STREAM_RESET',
    isStale: false,
  },
  {
    name: 'an end within the body',
    isReused: true,
    answer: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc',
    end: 'end',
    code: 'SKEIN_APP_PROTOCOL',
    isStale: false,
  },
  {
    name: 'a reset within a body that ends with the connection',
    isReused: false,
    answer: 'HTTP/1.1 200 OK\r\n\r\nabc',
    end: 'reset',
    code: 'SKEIN_STREAM_RESET',
    isStale: false,
  },
];

for (const { name, isReused, answer, end, code, isStale } of failures) {
  test(`H1Client fails with what is known: ${name}`, () => {
    const connection = new Connection();
    if (isReused) {
      connection.request();
      connection.answer(OK);
    }
    const { reply } = connection.request();
    if (answer !== '') connection.answer(answer);
    if (end === 'end') connection.app.end();
    if (end === 'reset') connection.app.reset(new SkeinError('SKEIN_STREAM_RESET', 'Cannot go on: reset by peer'));
    connection.run();
    ok(reply.error !== undefined);
    equal(reply.error.code, code);
    equal(reply.trailers, undefined);
    deepEqual([reply.error.details.reused, reply.error.details.answered], [isReused, answer !== '']);
    equal(isStaleConnection(reply.error), isStale);
    equal(connection.closes, 1);
  });
}

test('H1Client passes on that an application was never reached', () => {
  const connection = new Connection();
  const { reply } = connection.request();
  connection.app.reset(new SkeinError('SKEIN_APP_UNREACHABLE', 'Cannot connect: refused'));
  connection.run();
  equal(reply.error?.code, 'SKEIN_APP_UNREACHABLE');
  equal(reply.error?.notProcessed, true);
});

test('H1Client refuses a second request while one is on its way, and any behind its end', async () => {
  const connection = new Connection();
  connection.request();
  const second = connection.request().reply;
  await second.done;
  equal(second.error?.code, 'SKEIN_APP_UNREACHABLE');
  equal(second.error?.notProcessed, true);
});

test('H1Client refuses a request it cannot write, and stays idle', async () => {
  const connection = new Connection();
  const { reply } = connection.request(requestHead({ path: '/a b' }));
  await reply.done;
  equal(reply.error?.code, 'SKEIN_BAD_REQUEST');
  ok(connection.client.isIdle);
  equal(connection.text, '');
});

test('H1Client breaks off a request whose body is not as long as said', () => {
  const connection = new Connection();
  const { reply, body } = connection.request(requestHead({ method: 'POST', fields: ['content-length', '3'] }), false);
  body.write(latin1('ab'));
  body.end([]);
  connection.run();
  equal(reply.error?.code, 'SKEIN_BAD_REQUEST');
  ok(connection.resetBy !== undefined);
});

test('H1Client breaks off when its caller gives up, and says nothing more', () => {
  const connection = new Connection();
  const { reply, body } = connection.request();
  body.abort(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: caller gave up'));
  connection.answer(OK);
  equal(reply.isOver, false);
  equal(reply.head, undefined);
  ok(connection.resetBy !== undefined);
  equal(connection.closes, 1);
});

test('H1Client closes an idle connection that speaks or ends', () => {
  for (const act of [(app: MemoryStream) => void app.write(latin1(OK)), (app: MemoryStream) => app.end()]) {
    const connection = new Connection();
    act(connection.app);
    connection.run();
    ok(connection.client.isClosed);
    equal(connection.closes, 1);
  }
});

test('H1Client closes on demand: idle at once, busy behind its answer', () => {
  const idle = new Connection();
  idle.client.close();
  idle.run();
  ok(idle.ended);
  const busy = new Connection();
  const { reply } = busy.request();
  busy.client.close();
  busy.answer(OK);
  equal(reply.text, 'a');
  ok(busy.client.isClosed);
});

test('H1Client returns credit only as its caller takes the answer', () => {
  const connection = new Connection(1000);
  const { reply, body } = connection.request();
  reply.holds = true;
  connection.answer(`HTTP/1.1 200 OK\r\ncontent-length: 600\r\n\r\n${'x'.repeat(600)}`);
  equal(connection.stream.unconsumedBytes, 600);
  body.consumed(600);
  equal(connection.stream.unconsumedBytes, 0);
});

test('H1Client passes back-pressure of the application to its caller', () => {
  const connection = new Connection(1000);
  const { reply, body } = connection.request(POST, false);
  connection.holds = true;
  equal(body.write(new Uint8Array(2000)), false);
  connection.run();
  equal(reply.drains, 0);
  connection.holds = false;
  for (let i = 0; i < 5; i++) {
    connection.app.consumed(connection.app.unconsumedBytes);
    connection.run();
  }
  equal(reply.drains, 1);
});
