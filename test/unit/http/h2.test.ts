/** HTTP/2 against the runtime's own: each side of ours with the other side of theirs, on real sockets. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import { H2Client } from '../../../src/http/h2-client.ts';
import { encodeNumbers, encodeSettings, H2_FRAME, H2FrameReader } from '../../../src/http/h2-frame.ts';
import { H2_PREFACE } from '../../../src/http/h2-preface.ts';
import { serveH2 } from '../../../src/http/h2-server.ts';
import type { HttpHandler } from '../../../src/http/handler.ts';
import { getField } from '../../../src/http/head.ts';
import { hostPlatform } from '../../../src/runtime/bun/platform.ts';
import { RecordingHandler, ReplyRecorder, requestHead, send } from '../../support/http.ts';

const platform = hostPlatform();
const { clock, decodeLatin1 } = platform;
const MIB = 1024 * 1024;

/** Our server, their client. */
async function serve(t: TestContext, handler: HttpHandler): Promise<ClientHttp2Session> {
  const listener = await platform.listenTcp!({ host: '127.0.0.1', port: 0 }, (stream) => {
    serveH2(stream, handler, { clock, decodeLatin1 });
  });
  const session = connect(`http://127.0.0.1:${listener.port}`, { maxSessionMemory: 100 });
  session.on('error', () => undefined);
  t.after(async () => {
    session.destroy();
    await listener.close();
  });
  return session;
}

/** Their server, our client. */
async function dial(
  t: TestContext,
  onStream: (stream: ServerHttp2Stream, fields: Record<string, unknown>) => void,
): Promise<{ client: H2Client; server: Http2Server }> {
  const server = createServer();
  server.on('stream', (stream, fields) => {
    stream.on('error', () => undefined);
    onStream(stream, fields as Record<string, unknown>);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new H2Client(platform.connectTcp!({ host: '127.0.0.1', port }), { clock, decodeLatin1 });
  t.after(() => {
    client.close();
    server.close();
  });
  return { client, server };
}

interface Seen {
  readonly fields: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
  readonly body: Buffer;
}

function ask(session: ClientHttp2Session, fields: Record<string, string>, body?: Buffer | string): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const stream = session.request(fields, { endStream: body === undefined });
    let head: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    stream.on('response', (answer) => {
      head = answer;
    });
    stream.on('trailers', (answer) => {
      trailers = answer;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => resolve({ fields: head, trailers, body: Buffer.concat(chunks) }));
    stream.on('error', reject);
    if (body !== undefined) stream.end(body);
  });
}

/** Asks for more when there is room. */
class PumpedReply extends ReplyRecorder {
  onRoom: () => void = () => undefined;

  override onDrain(): void {
    super.onDrain();
    this.onRoom();
  }
}

/** Answers with what it was sent, as it comes. */
const echo: HttpHandler = {
  request(_head, complete, reply) {
    const fields = ['content-type', 'application/octet-stream'];
    clock.endOfTick(() => {
      reply.onHead({ status: 200, fields, upgrade: undefined }, complete);
    });
    return {
      write: (chunk) => {
        clock.endOfTick(() => reply.onData(chunk));
        return true;
      },
      end: (trailers) => clock.endOfTick(() => reply.onEnd(trailers)),
      abort: () => undefined,
      consumed: () => undefined,
    };
  },
};

test('A request arrives with its fields, and its answer with trailers', async (t) => {
  const handler = new RecordingHandler((request) => request.answer(201, 'made'));
  const session = await serve(t, handler);
  const seen = await ask(
    session,
    {
      ':method': 'POST',
      ':path': '/a?b=c',
      ':authority': 'api.mesh',
      'x-one': 'two',
      cookie: 'a=1; b=2',
      te: 'trailers',
    },
    'body',
  );
  equal(seen.fields[':status'], 201);
  equal(seen.body.toString(), 'made');
  const head = handler.seen[0]!.head;
  deepEqual([head.method, head.scheme, head.authority, head.path], ['POST', 'http', 'api.mesh', '/a?b=c']);
  ok(head.fields.includes('two') && head.fields.includes('trailers'));
  equal(getField(head.fields, 'cookie'), 'a=1; b=2');
});

test('200 requests at once on one connection, each with its own answer', async (t) => {
  const session = await serve(t, echo);
  const bodies = Array.from({ length: 200 }, (_, i) => `body ${i} ${'x'.repeat(i * 100)}`);
  const seen = await Promise.all(bodies.map((body) => ask(session, { ':method': 'POST', ':path': '/' }, body)));
  deepEqual(
    seen.map(({ body }) => body.toString()),
    bodies,
  );
});

test('16 MiB each way, through windows that are smaller', async (t) => {
  const session = await serve(t, echo);
  const body = Buffer.alloc(16 * MIB, 'skein ');
  const seen = await ask(session, { ':method': 'PUT', ':path': '/' }, body);
  ok(seen.body.equals(body));
});

test('A head of 30 KiB, in several frames, is read', async (t) => {
  const handler = new RecordingHandler((request) => request.answer(204, ''));
  const session = await serve(t, handler);
  const long = Object.fromEntries(Array.from({ length: 3 }, (_, i) => [`x-${i}`, 'v'.repeat(10_000)]));
  equal((await ask(session, { ':method': 'GET', ':path': '/', ...long })).fields[':status'], 204);
  equal(handler.seen[0]!.head.fields.length, 6);
});

test('What is malformed resets its stream, and the connection goes on', async (t) => {
  const handler = new RecordingHandler((request) => request.answer(200, 'ok'));
  const session = await serve(t, handler);
  await rejects(ask(session, { ':method': 'POST', ':path': '/', 'content-length': '3' }, 'four'));
  equal((await ask(session, { ':method': 'GET', ':path': '/' })).body.toString(), 'ok');
});

test('A failure before the answer is an answer; for gRPC it is a status; behind the head it is a reset', async (t) => {
  const failing = new RecordingHandler((request) =>
    request.reply.onAbort(new SkeinError('SKEIN_NO_ENDPOINT', 'Cannot reach service "api": nobody')),
  );
  const session = await serve(t, failing);
  const plain = await ask(session, { ':method': 'GET', ':path': '/' });
  deepEqual([plain.fields[':status'], plain.fields['x-skein-reason']], [503, 'no-endpoint']);
  const grpc = await ask(session, { ':method': 'POST', ':path': '/p.S/M', 'content-type': 'application/grpc' }, 'x');
  deepEqual([grpc.fields[':status'], grpc.fields['grpc-status']], [200, '14']);
});

test('A client that gives up tells the handler', async (t) => {
  let gaveUp = (_error: SkeinError): void => undefined;
  const aborted = new Promise<SkeinError>((resolve) => {
    gaveUp = resolve;
  });
  const session = await serve(t, {
    request(_head, _complete, reply) {
      clock.endOfTick(() => reply.onHead({ status: 200, fields: [], upgrade: undefined }, false));
      return { write: () => true, end: () => undefined, abort: gaveUp, consumed: () => undefined };
    },
  });
  const stream = session.request({ ':method': 'POST', ':path': '/' }, { endStream: false });
  stream.on('error', () => undefined);
  await once(stream, 'response');
  stream.close(8);
  equal((await aborted).code, 'SKEIN_CANCELLED');
});

test('Our client: request, answer, trailers, and a body of 16 MiB each way', async (t) => {
  const { client } = await dial(t, (stream, fields) => {
    stream.respond({ ':status': 200, 'x-path': String(fields[':path']) }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'done' }));
    stream.pipe(stream);
  });
  const reply = new PumpedReply();
  const body = client.request(requestHead({ method: 'POST', path: '/up' }), false, reply);
  reply.body = body;
  const block = new Uint8Array(64 * 1024).fill(7);
  let sent = 0;
  const pump = (): void => {
    while (sent < 16 * MIB) {
      sent += block.length;
      if (!body.write(block.slice())) return;
    }
    body.end([]);
  };
  reply.onRoom = pump;
  pump();
  await reply.done;
  equal(reply.head?.status, 200);
  deepEqual(reply.trailers, ['x-sum', 'done']);
  equal(
    reply.chunks.reduce((sum, { length }) => sum + length, 0),
    16 * MIB,
  );
});

test('Our client: a refused stream may be tried elsewhere, a cancelled one is over, a lost connection is told to all', async (t) => {
  // By hand, because the servers of the runtimes differ in when they reset.
  const codes = [7, 8];
  const listener = await platform.listenTcp!({ host: '127.0.0.1', port: 0 }, (stream) => {
    const reader = new H2FrameReader();
    let skipped = H2_PREFACE.length;
    stream.write(encodeSettings([]));
    stream.attach({
      onData(chunk) {
        stream.consumed(chunk.length);
        const rest = chunk.subarray(skipped);
        skipped = Math.max(0, skipped - chunk.length);
        reader.push(rest, {
          isReading: true,
          onFrame(type, _flags, id) {
            if (type !== H2_FRAME.headers) return;
            const code = codes[(id - 1) / 2];
            if (code !== undefined) stream.write(encodeNumbers(H2_FRAME.rstStream, id, code));
            else if (id === 7) stream.reset(new SkeinError('SKEIN_CANCELLED', 'Cannot go on: as planned'));
          },
        });
      },
      onEnd: () => undefined,
      onDrain: () => undefined,
      onReset: () => undefined,
    });
  });
  t.after(() => listener.close());
  const to = { host: '127.0.0.1', port: listener.port };
  const client = new H2Client(platform.connectTcp!(to), { clock, decodeLatin1 });
  const outcome = async (): Promise<[string | undefined, boolean | undefined]> => {
    const reply = send(client);
    await reply.done;
    return [reply.error?.code, reply.error?.notProcessed];
  };
  deepEqual(await outcome(), ['SKEIN_REFUSED', true]);
  deepEqual(await outcome(), ['SKEIN_CANCELLED', false]);
  const [hanging, dying] = await Promise.all([outcome(), outcome()]);
  deepEqual([hanging[1], dying[1]], [false, false]);
  equal(client.hasRoom, false);
});
