/** `serveH1`: order, framing, credit, deadlines and endings, on in-memory streams and a virtual clock. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteStream } from '../../../src/core/byte-stream.ts';
import type { Bytes } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { type H1Server, type H1ServerOptions, serveH1 } from '../../../src/http/h1-server.ts';
import type { ConnectRequest } from '../../../src/http/h1-tunnel.ts';
import { createMemoryStreams, type MemoryStream } from '../../../src/testing/memory-stream.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { latin1, RecordingHandler, responseHead, type SeenRequest, toText } from '../../support/http.ts';

const HOST = 'Host: api.mesh\r\n';
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`;
const chunkedPost = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;

/** One connection: what the client received, and the levers of a test. */
class Connection {
  readonly clock = new VirtualClock();
  readonly client: MemoryStream;
  readonly stream: MemoryStream;
  readonly handler: RecordingHandler;
  readonly server: H1Server;
  readonly received: Bytes[] = [];
  holds = false;
  ended = false;
  resetBy: SkeinError | undefined;
  closes = 0;
  drains = 0;

  constructor(
    serve: (request: SeenRequest) => void = () => undefined,
    options: Partial<H1ServerOptions> = {},
    windowBytes = 65_536,
  ) {
    [this.client, this.stream] = createMemoryStreams(this.clock, { windowBytes });
    this.handler = new RecordingHandler(serve);
    this.client.attach({
      onData: (chunk) => {
        this.received.push(chunk);
        if (!this.holds) this.client.consumed(chunk.length);
      },
      onEnd: () => {
        this.ended = true;
      },
      onDrain: () => void this.drains++,
      onReset: (error) => {
        this.resetBy = error;
      },
    });
    this.server = serveH1(this.stream, this.handler, {
      clock: this.clock,
      decodeLatin1,
      onClose: () => void this.closes++,
      ...options,
    });
  }

  get text(): string {
    return toText(...this.received);
  }

  send(text: string): boolean {
    const hasRoom = this.client.write(latin1(text));
    this.clock.runUntilIdle();
    return hasRoom;
  }

  run(): void {
    this.clock.runUntilIdle();
  }

  request(index = 0): SeenRequest {
    const request = this.handler.seen[index];
    ok(request !== undefined, `no request ${index}`);
    return request;
  }
}

/** Answers whole requests in the next turn. */
const answers =
  (text: string) =>
  (request: SeenRequest): void => {
    const answer = (): void => request.answer(200, text);
    if (request.complete) queueMicrotask(answer);
    else request.onEnd = answer;
  };

test('serveH1 answers one request after the other on one connection', async () => {
  const connection = new Connection(answers('a'));
  for (let i = 1; i <= 3; i++) {
    connection.send(GET);
    await connection.clock.settle();
    equal(connection.handler.seen.length, i);
  }
  equal(connection.text, 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na'.repeat(3));
  ok(connection.server.isIdle);
});

test('serveH1 starts a pipelined request only when the answer before it is whole', () => {
  const connection = new Connection();
  connection.send(GET + GET.replace('/ ', '/2 '));
  equal(connection.handler.seen.length, 1);
  const first = connection.request();
  first.reply.onHead(responseHead(200, ['content-length', '2']), false);
  first.reply.onData(latin1('a'));
  connection.run();
  equal(connection.handler.seen.length, 1);
  first.reply.onData(latin1('b'));
  first.reply.onEnd([]);
  connection.run();
  equal(connection.request(1).head.path, '/2');
});

test('serveH1 lets others have their turn between requests that are answered at once', () => {
  const seen: number[] = [];
  const connection: Connection = new Connection(({ reply }) => {
    // Whoever else has something to do asks for the end of the tick as well.
    if (connection.handler.seen.length % 10 === 1) {
      const before = connection.handler.seen.length;
      connection.clock.endOfTick(() => seen.push(connection.handler.seen.length - before));
    }
    reply.onHead(responseHead(404, ['content-length', '0']), true);
  });
  connection.send(GET.repeat(1_000));
  equal(connection.handler.seen.length, 1_000);
  equal(connection.text.split('HTTP/1.1 404').length - 1, 1_000);
  ok(Math.max(...seen) <= 32, `${Math.max(...seen)} requests were served while others waited`);
  connection.client.end();
  connection.run();
  equal(connection.closes, 1);
});

test('serveH1 reads no further than its window while an answer is outstanding', () => {
  const connection = new Connection(undefined, {}, 1000);
  connection.send(GET);
  let hasRoom = true;
  for (let i = 0; i < 100 && hasRoom; i++) hasRoom = connection.send(GET);
  equal(hasRoom, false);
  ok(connection.stream.unconsumedBytes <= 1000);
  equal(connection.handler.seen.length, 1);
});

test('serveH1 writes what the handler knows: length, chunks, or the end of the connection', () => {
  const cases: readonly [request: string, fields: string[], answer: string, ended: boolean][] = [
    [GET, ['content-length', '1'], 'content-length: 1\r\n\r\na', false],
    [GET, [], 'transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n', false],
    ['GET / HTTP/1.0\r\n\r\n', [], 'connection: close\r\n\r\na', true],
    [
      `GET / HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`,
      ['content-length', '1'],
      'content-length: 1\r\nconnection: keep-alive\r\n\r\na',
      false,
    ],
    [
      GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
      ['content-length', '1'],
      'content-length: 1\r\nconnection: close\r\n\r\na',
      true,
    ],
  ];
  for (const [request, fields, answer, ended] of cases) {
    const connection = new Connection();
    connection.send(request);
    const { reply } = connection.request();
    reply.onHead(responseHead(200, fields), false);
    reply.onData(latin1('a'));
    reply.onEnd([]);
    connection.run();
    equal(connection.text, `HTTP/1.1 200 OK\r\n${answer}`);
    equal(connection.ended, ended);
  }
});

test('serveH1 hands on chunks as they come, and trailers', () => {
  const connection = new Connection();
  connection.send(`${chunkedPost}5\r\nhel`);
  const request = connection.request();
  equal(request.text, 'hel');
  connection.send('lo\r\n0\r\nX-Sum: 1\r\n\r\n');
  equal(request.text, 'hello');
  deepEqual(request.trailers, ['x-sum', '1']);
});

test('serveH1 says of a body that turns out malformed that the handler may have seen its request, and of a malformed head that it has not', () => {
  const late = new Connection();
  late.send(`${chunkedPost}5\r\nhello\r\nno chunk\r\n`);
  equal(late.handler.seen.length, 1);
  match(late.text, /^HTTP\/1\.1 400 .*\r\nx-skein-processed: maybe\r\n/s);
  const early = new Connection();
  early.send(`GET / HTTP/1.1\r\n${HOST}a b: c\r\n\r\n`);
  equal(early.handler.seen.length, 0);
  match(early.text, /^HTTP\/1\.1 400 .*\r\nx-skein-processed: no\r\n/s);
});

test('serveH1 returns credit only as the handler takes the body', () => {
  const connection = new Connection((request) => {
    request.hasRoom = false;
  });
  connection.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\n${'x'.repeat(600)}`);
  equal(connection.stream.unconsumedBytes, 600);
  connection.request().reply.onDrain();
  equal(connection.stream.unconsumedBytes, 0);
  connection.request().hasRoom = true;
  connection.send('x'.repeat(400));
  equal(connection.stream.unconsumedBytes, 0);
});

test('serveH1 returns the handler’s credit only as the client takes the answer', () => {
  const connection = new Connection(undefined, {}, 1000);
  connection.holds = true;
  connection.send(GET);
  const request = connection.request();
  request.reply.onHead(responseHead(200, ['content-length', '3000']), false);
  for (let i = 0; i < 3; i++) request.reply.onData(new Uint8Array(1000));
  connection.run();
  equal(request.consumedBytes, 0);
  connection.holds = false;
  connection.client.consumed(connection.client.unconsumedBytes);
  connection.run();
  equal(request.consumedBytes, 3000);
});

test('serveH1 returns the credit of an answer’s last bytes when it ends, and of a body’s when that ends', () => {
  const connection = new Connection(undefined, {}, 1000);
  connection.holds = true;
  connection.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 10\r\n\r\n`);
  const request = connection.request();
  request.hasRoom = false;
  connection.send('0123456789');
  equal(connection.stream.unconsumedBytes, 0);
  request.reply.onHead(responseHead(200, ['content-length', '3000']), false);
  request.reply.onData(new Uint8Array(3000));
  equal(request.consumedBytes, 0);
  request.reply.onEnd([]);
  equal(request.consumedBytes, 3000);
});

test('serveH1 does not begin another request for a client that does not read its answers', () => {
  const connection = new Connection(undefined, {}, 1000);
  connection.holds = true;
  connection.send(GET + GET);
  connection.request().answer(200, 'x'.repeat(3000));
  connection.run();
  equal(connection.handler.seen.length, 1);
  for (let i = 0; i < 5; i++) {
    connection.client.consumed(connection.client.unconsumedBytes);
    connection.run();
  }
  equal(connection.handler.seen.length, 2);
});

test('serveH1 passes 100-continue through, and only to who asked', () => {
  const asking = new Connection();
  asking.send(`POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 1\r\n\r\n`);
  deepEqual(asking.request().head.fields, ['expect', '100-continue', 'content-length', '1']);
  asking.request().reply.onInformational(responseHead(100));
  asking.send('a');
  asking.request().answer(200);
  asking.run();
  equal(asking.text, 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  const other = new Connection();
  other.send(GET);
  other.request().reply.onInformational(responseHead(100));
  other.request().reply.onInformational(responseHead(103, ['link', 'a']));
  other.run();
  equal(other.text, 'HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n');
});

test('serveH1 sends no 1xx to HTTP/1.0', () => {
  const connection = new Connection();
  connection.send('GET / HTTP/1.0\r\n\r\n');
  connection.request().reply.onInformational(responseHead(103));
  connection.run();
  equal(connection.text, '');
});

test('serveH1 closes behind a final answer given instead of 100', () => {
  const connection = new Connection();
  connection.send(`POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 1\r\n\r\n`);
  connection.request().answer(413, 'no');
  connection.run();
  match(connection.text, /^HTTP\/1\.1 413 .*connection: close\r\n\r\nno$/s);
  ok(connection.ended);
  ok(connection.request().aborted !== undefined);
});

test('serveH1 closes behind an answer that came before the body was whole, and drops the rest', () => {
  const connection = new Connection();
  connection.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\nabc`);
  connection.request().answer(200, 'early');
  connection.run();
  ok(connection.ended);
  equal(connection.request().aborted?.code, 'SKEIN_CANCELLED');
  connection.send(`${'x'.repeat(997)}${GET}`);
  equal(connection.handler.seen.length, 1);
  equal(connection.closes, 0);
  connection.client.end();
  connection.run();
  equal(connection.closes, 1);
  equal(connection.resetBy, undefined);
});

test('serveH1 resets a client that goes on sending behind the last answer', () => {
  const connection = new Connection();
  connection.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\nabc`);
  connection.request().answer(200, 'early');
  connection.clock.advance(2000);
  ok(connection.resetBy !== undefined);
  equal(connection.closes, 1);
});

test('serveH1 answers for a handler that fails before its head, and keeps the connection', () => {
  const connection = new Connection();
  connection.send(GET);
  connection.request().reply.onAbort(new SkeinError('SKEIN_NO_ENDPOINT', 'Cannot route request: no endpoint'));
  connection.run();
  match(connection.text, /^HTTP\/1\.1 503 .*x-skein-reason: no-endpoint\r\n/s);
  ok(connection.server.isIdle);
  connection.send(GET);
  equal(connection.handler.seen.length, 2);
});

test('serveH1 breaks the connection for a handler that fails behind its head', () => {
  for (const request of [GET, 'GET / HTTP/1.0\r\n\r\n']) {
    const connection = new Connection();
    connection.send(request);
    const { reply } = connection.request();
    reply.onHead(responseHead(200), false);
    reply.onData(latin1('part'));
    connection.run();
    reply.onAbort(new SkeinError('SKEIN_STREAM_RESET', 'Cannot read answer: stream was reset'));
    connection.run();
    equal(connection.resetBy?.code, 'SKEIN_STREAM_RESET');
    equal(connection.ended, false);
    equal(connection.text.includes('0\r\n\r\n'), false);
    equal(connection.closes, 1);
  }
});

test('serveH1 survives a handler that throws', () => {
  const connection = new Connection(() => {
    throw new Error('broken');
  });
  connection.send(GET);
  match(connection.text, /^HTTP\/1\.1 500 .*x-skein-reason: internal\r\n/s);
});

test('serveH1 answers 502 for a head that cannot be written, and never a part of it', () => {
  const connection = new Connection();
  connection.send(GET);
  connection.request().reply.onHead(responseHead(200, ['x', 'a\r\nset-cookie: evil=1']), true);
  connection.run();
  match(connection.text, /^HTTP\/1\.1 502 .*x-skein-reason: app-protocol\r\n/s);
  equal(connection.text.includes('evil'), false);
  ok(connection.request().aborted !== undefined);
});

test('serveH1 breaks the connection when a body is not as long as its head said', () => {
  for (const body of ['ab', 'abcd']) {
    const connection = new Connection();
    connection.send(GET);
    const { reply } = connection.request();
    reply.onHead(responseHead(200, ['content-length', '3']), false);
    reply.onData(latin1(body));
    reply.onEnd([]);
    connection.run();
    equal(connection.resetBy?.code, 'SKEIN_APP_PROTOCOL');
  }
});

test('serveH1 becomes raw behind a 101, early bytes included, each direction ending by itself', () => {
  const connection = new Connection();
  connection.send(`GET /ws HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: echo\r\n\r\nearly`);
  const request = connection.request();
  equal(request.complete, false);
  equal(request.text, '');
  request.reply.onHead(responseHead(101, [], 'echo'), false);
  connection.run();
  equal(request.text, 'early');
  request.reply.onData(latin1('there'));
  connection.send(' bytes');
  equal(request.text, 'early bytes');
  connection.client.end();
  connection.run();
  deepEqual(request.trailers, []);
  equal(connection.closes, 0);
  request.reply.onData(latin1(' and back'));
  request.reply.onEnd([]);
  connection.run();
  equal(
    connection.text,
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nthere and back',
  );
  ok(connection.ended);
  equal(connection.closes, 1);
});

test('serveH1 returns credit on a raw connection only as bytes are taken', () => {
  const connection = new Connection((request) => {
    request.hasRoom = false;
  });
  connection.send(`GET /ws HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: echo\r\n\r\n`);
  connection.request().reply.onHead(responseHead(101, [], 'echo'), false);
  connection.send('12345');
  equal(connection.stream.unconsumedBytes, 5);
  connection.request().reply.onDrain();
  equal(connection.stream.unconsumedBytes, 0);
});

test('serveH1 takes a 101 that nobody asked for as the application’s failure', () => {
  const connection = new Connection();
  connection.send(GET);
  connection.request().reply.onHead(responseHead(101, [], 'echo'), false);
  connection.run();
  match(connection.text, /^HTTP\/1\.1 502 /);
});

test('serveH1 reads on behind a refused upgrade', () => {
  const connection = new Connection();
  connection.send(`GET /ws HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: echo\r\n\r\n${GET}`);
  connection.request().answer(200, 'no');
  connection.run();
  deepEqual(connection.request().trailers, []);
  equal(connection.handler.seen.length, 2);
});

const CONNECT = `CONNECT db.mesh:5432 HTTP/1.1\r\n${HOST}\r\n`;

test('serveH1 refuses CONNECT where nobody decides over it', () => {
  const connection = new Connection();
  connection.send(CONNECT);
  match(connection.text, /^HTTP\/1\.1 405 .*connection: close\r\n/s);
  equal(connection.handler.seen.length, 0);
  ok(connection.ended);
});

test('serveH1 hands CONNECT over: accepted later, with the early bytes first', () => {
  let pending: ConnectRequest | undefined;
  const connection = new Connection(undefined, {
    onConnect: (request) => {
      pending = request;
    },
  });
  connection.send(`${CONNECT}early`);
  equal(pending?.head.authority, 'db.mesh:5432');
  connection.send(' birds');
  const tunnel: ByteStream = pending!.accept();
  const events: string[] = [];
  tunnel.attach({
    onData: (chunk) => {
      events.push(toText(chunk));
      tunnel.consumed(chunk.length);
    },
    onEnd: () => void events.push('end'),
    onDrain: () => undefined,
    onReset: () => void events.push('reset'),
  });
  connection.run();
  connection.send(' fly');
  tunnel.write(latin1('back'));
  connection.client.end();
  connection.run();
  deepEqual(events, ['early', ' birds', ' fly', 'end']);
  equal(connection.text, 'HTTP/1.1 200 OK\r\n\r\nback');
  equal(connection.stream.unconsumedBytes, 0);
  tunnel.end();
  connection.run();
  ok(connection.ended);
  equal(connection.closes, 1);
});

test('serveH1 answers a CONNECT that is refused, and closes', () => {
  const connection = new Connection(undefined, {
    onConnect: (request) => request.refuse(new SkeinError('SKEIN_DENIED', 'Cannot connect: no policy allows it')),
  });
  connection.send(`${CONNECT}bytes`);
  match(connection.text, /^HTTP\/1\.1 403 .*x-skein-reason: authz\r\n/s);
  ok(connection.ended);
});

const deadlines: readonly [name: string, text: string, afterMs: number, answer: RegExp][] = [
  ['nothing at all, 60 s', '', 60_000, /^$/],
  ['half a head, 10 s', 'GET / HTTP/1.1\r\nHo', 10_000, /^HTTP\/1\.1 408 /],
  ['half a body, 30 s', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nab`, 30_000, /^HTTP\/1\.1 408 /],
  ['half a chunk, 30 s', `${chunkedPost}5\r\nab`, 30_000, /^HTTP\/1\.1 408 /],
];

for (const [name, text, afterMs, answer] of deadlines) {
  test(`serveH1 waits no longer than it should: ${name}`, () => {
    const connection = new Connection();
    if (text !== '') connection.send(text);
    connection.clock.advance(afterMs - 1);
    equal(connection.ended, false);
    connection.clock.advance(1);
    ok(connection.ended);
    match(connection.text, answer);
    connection.clock.advance(2000);
    equal(connection.closes, 1);
    equal(connection.clock.pendingTimers, 0);
  });
}

test('serveH1 counts a head’s time from its first byte, whatever trickles', () => {
  const connection = new Connection();
  connection.clock.advance(50_000);
  for (const character of 'GET / HTTP') {
    connection.send(character);
    connection.clock.advance(999);
  }
  equal(connection.ended, false);
  connection.clock.advance(10);
  ok(connection.ended);
});

test('serveH1 counts a body’s time from its last byte, and not while the handler holds it back', () => {
  const connection = new Connection();
  connection.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\n`);
  for (let i = 0; i < 5; i++) {
    connection.send('x');
    connection.clock.advance(29_000);
  }
  connection.request().hasRoom = false;
  connection.send('x');
  connection.clock.advance(100_000);
  equal(connection.ended, false);
  connection.request().reply.onDrain();
  connection.clock.advance(30_000);
  ok(connection.ended);
});

test('serveH1 lets a handler take its time', () => {
  const connection = new Connection();
  connection.send(GET);
  connection.clock.advance(3_600_000);
  connection.request().answer(200, 'at last');
  connection.run();
  match(connection.text, /at last$/);
});

test('serveH1 gives up on a client that reads nothing for five minutes', () => {
  const connection = new Connection(undefined, {}, 1000);
  connection.holds = true;
  connection.send(GET);
  const request = connection.request();
  request.reply.onHead(responseHead(200), false);
  for (let i = 0; i < 5; i++) request.reply.onData(new Uint8Array(1000));
  connection.clock.advance(299_999);
  equal(connection.closes, 0);
  connection.clock.advance(1);
  equal(connection.closes, 1);
  equal(request.aborted?.code, 'SKEIN_DEADLINE');
});

test('serveH1 cancels the request of a client that is gone', () => {
  const connection = new Connection();
  connection.send(GET);
  connection.client.reset(new SkeinError('SKEIN_STREAM_RESET', 'Cannot go on: gone'));
  connection.run();
  equal(connection.request().aborted?.code, 'SKEIN_STREAM_RESET');
  equal(connection.closes, 1);
});

test('serveH1 cancels within a second when a client has ended its direction and no answer comes', () => {
  const connection = new Connection();
  connection.send(GET);
  connection.client.end();
  connection.clock.advance(999);
  equal(connection.closes, 0);
  connection.clock.advance(1);
  equal(connection.request().aborted?.code, 'SKEIN_CANCELLED');
  equal(connection.closes, 1);
});

test('serveH1 answers a client that has ended its direction as long as the answer goes on', () => {
  const connection = new Connection();
  connection.send(GET);
  connection.client.end();
  const { reply } = connection.request();
  reply.onHead(responseHead(200), false);
  for (let i = 0; i < 5; i++) {
    connection.clock.advance(900);
    reply.onData(latin1('x'));
  }
  reply.onEnd([]);
  connection.run();
  match(connection.text, /0\r\n\r\n$/);
  equal(connection.closes, 1);
});

test('serveH1 drains: an idle connection at once, a busy one behind its answer', () => {
  const idle = new Connection();
  idle.server.drain();
  idle.run();
  ok(idle.ended);
  const busy = new Connection();
  busy.send(GET + GET);
  busy.server.drain();
  equal(busy.ended, false);
  busy.request().answer(200, 'last');
  busy.run();
  match(busy.text, /connection: close\r\n\r\nlast$/);
  ok(busy.ended);
  equal(busy.handler.seen.length, 1);
});

test('serveH1 ignores whatever comes from a request that is over', () => {
  const connection = new Connection();
  connection.send(GET);
  const old = connection.request();
  old.answer(200, 'a');
  connection.run();
  const before = connection.text;
  connection.send(GET);
  old.reply.onHead(responseHead(500), true);
  old.reply.onData(latin1('late'));
  old.reply.onEnd([]);
  old.reply.onAbort(new SkeinError('SKEIN_INTERNAL', 'Cannot go on: late'));
  old.reply.onDrain();
  connection.run();
  equal(connection.text, before);
  connection.request(1).answer(200, 'b');
  connection.run();
  match(connection.text, /b$/);
});

test('serveH1 gives back all credit in the end', async () => {
  const connection = new Connection(answers('a'), {}, 4096);
  for (let i = 0; i < 50; i++) {
    connection.send(`${chunkedPost}3\r\nabc\r\n0\r\n\r\n`.repeat(3) + GET);
    await connection.clock.settle();
  }
  equal(connection.handler.seen.length, 200);
  equal(connection.stream.unconsumedBytes, 0);
  equal(connection.text.split('HTTP/1.1 200 OK').length, 201);
});
