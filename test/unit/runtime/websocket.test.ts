import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import type { Bytes } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import type { HttpServerOptions, MessagePipe, UpgradeDecision } from '../../../src/core/platform.ts';
import { createHttpListener } from '../../../src/runtime/node/http.ts';
import { createWebSocketDialler } from '../../../src/runtime/node/websocket.ts';
import { lacking } from '../../runtime/capabilities.ts';
import {
  FrameReader,
  frame,
  OPCODE,
  type RawServer,
  rawServer,
  rawUpgrade,
  switchingProtocols,
} from './raw-websocket.ts';
import { PipeRecorder } from './recorder.ts';

const dial = createWebSocketDialler();
const KIB = 1024;
const MAX_PAYLOAD = 256 * KIB;

/** A server for the time of one test; `accepted` resolves with the pipe of its first client. */
async function withServer(
  run: (at: { url: string; port: number; accepted: Promise<PipeRecorder> }) => Promise<void>,
  options: Partial<HttpServerOptions> = {},
): Promise<void> {
  const pipes: MessagePipe[] = [];
  let accept: (recorder: PipeRecorder) => void;
  const accepted = new Promise<PipeRecorder>((resolve) => {
    accept = resolve;
  });
  const listener = await createHttpListener()({
    host: '127.0.0.1',
    port: 0,
    fetch: () => new Response('hello'),
    onWebSocket: (pipe) => {
      pipes.push(pipe);
      accept(new PipeRecorder(pipe));
    },
    ...options,
  });
  try {
    await run({ url: `ws://${listener.address}`, port: listener.port, accepted });
  } finally {
    for (const pipe of pipes) pipe.terminate();
    await listener.close();
  }
}

async function withPair(run: (client: PipeRecorder, server: PipeRecorder) => Promise<void>): Promise<void> {
  await withServer(async ({ url, accepted }) => {
    const client = new PipeRecorder(await dial(url));
    try {
      await run(client, await accepted);
    } finally {
      client.pipe.terminate();
    }
  });
}

function numbered(length: number, seed: number): Bytes {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed) & 255;
  return bytes;
}

describe('WebSocket pipe', () => {
  for (const [from, to] of [
    ['client', 'server'],
    ['server', 'client'],
  ] as const) {
    for (const length of [0, 1, 125, 126, 4096, 65_535, 65_536, 128 * KIB, MAX_PAYLOAD]) {
      it(`carries ${length} bytes from ${from} to ${to}`, async () => {
        await withPair(async (client, server) => {
          const [sender, receiver] = from === 'client' ? [client, server] : [server, client];
          sender.pipe.send(numbered(length, 7));
          await receiver.until(({ messages }) => messages.length === 1);
          assert.deepEqual(receiver.messages[0], numbered(length, 7));
          assert.equal(receiver.messages[0]?.constructor, Uint8Array);
        });
      });
    }
  }

  it('keeps the order of many messages, none lost', async () => {
    await withPair(async (client, server) => {
      for (let i = 0; i < 2_000; i++) {
        client.pipe.send(numbered(i % 700, i));
        server.pipe.send(numbered((i * 7) % 900, i));
      }
      await server.until(({ messages }) => messages.length === 2_000);
      await client.until(({ messages }) => messages.length === 2_000);
      for (let i = 0; i < 2_000; i++) {
        assert.deepEqual(server.messages[i], numbered(i % 700, i));
        assert.deepEqual(client.messages[i], numbered((i * 7) % 900, i));
      }
    });
  });

  it('gives the receiver buffers of its own: patching one leaves the others whole', async () => {
    await withPair(async (client, server) => {
      const count = 500;
      for (let i = 0; i < count; i++) client.pipe.send(numbered(100 + i, i));
      const kept: Bytes[] = [];
      server.onEach = (message) => {
        kept.push(message.slice());
        message.fill(0xff);
      };
      await server.until(({ messages }) => messages.length === count);
      for (let i = 0; i < count; i++) {
        assert.deepEqual(kept[i], numbered(100 + i, i));
        assert.ok(server.messages[i]?.every((byte) => byte === 0xff));
      }
    });
  });

  for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]']) {
    it(`leaves sent buffers as they were (dialled as ${host})`, async () => {
      // The second form is not known as loopback, so its frames carry a real mask.
      await withServer(async ({ port, accepted }) => {
        const client = new PipeRecorder(await dial(`ws://${host}:${port}`));
        const server = await accepted;
        const sent = numbered(5_000, 3);
        client.pipe.send(sent);
        server.pipe.send(sent);
        await server.until(({ messages }) => messages.length === 1);
        await client.until(({ messages }) => messages.length === 1);
        assert.deepEqual(sent, numbered(5_000, 3));
        assert.deepEqual(server.messages[0], sent);
        client.pipe.terminate();
      });
    });
  }

  it('delivers nothing before attach, and everything then', async () => {
    await withServer(async ({ url, accepted }) => {
      const pipe = await dial(url);
      const server = await accepted;
      for (let i = 0; i < 10; i++) server.pipe.send(numbered(10, i));
      await server.until(() => server.pipe.outstandingBytes === 0);
      const client = new PipeRecorder(pipe);
      await client.until(({ messages }) => messages.length === 10);
      assert.deepEqual(client.messages[9], numbered(10, 9));
      pipe.terminate();
    });
  });

  it('counts outstanding bytes of a stalled reader and lets them fall when it reads again', async () => {
    await withServer(async ({ port, accepted }) => {
      const { socket } = await rawUpgrade(port);
      const server = await accepted;
      socket.pause();
      const message = 128 * KIB;
      const total = 256 * message;
      for (let sent = 0; sent < total; sent += message) server.pipe.send(new Uint8Array(message));
      assert.ok(server.pipe.outstandingBytes > total / 2, `${server.pipe.outstandingBytes} outstanding`);
      const before = server.progress;
      socket.resume();
      await server.until(() => server.pipe.outstandingBytes === 0);
      assert.ok(server.progress > before);
      socket.destroy();
    });
  });

  it('has nothing outstanding once it is closed', async () => {
    await withServer(async ({ port, accepted }) => {
      const { socket } = await rawUpgrade(port);
      const server = await accepted;
      socket.pause();
      for (let i = 0; i < 256; i++) server.pipe.send(new Uint8Array(128 * KIB));
      assert.ok(server.pipe.outstandingBytes > 0);
      server.pipe.terminate();
      await server.untilClosed();
      assert.equal(server.pipe.outstandingBytes, 0);
      assert.equal(server.late, 0);
      socket.destroy();
    });
  });

  it('reports close code and reason of the other end, once', async () => {
    await withPair(async (client, server) => {
      client.pipe.send(Uint8Array.of(1));
      client.pipe.close(4001, 'going');
      assert.deepEqual(await server.untilClosed(), { code: 4001, reason: 'going' });
      assert.equal(server.messages.length, 1);
      assert.equal((await client.untilClosed()).code, 4001);
      assert.equal(client.late + server.late, 0);
    });
  });

  it('cuts a close reason to what a frame can hold', async () => {
    await withPair(async (client, server) => {
      server.pipe.close(4002, 'ü'.repeat(200));
      assert.deepEqual(await client.untilClosed(), { code: 4002, reason: 'ü'.repeat(61) });
    });
  });

  it('turns codes that may not be sent into 1000', async () => {
    await withPair(async (client, server) => {
      server.pipe.close(1006, '');
      assert.equal((await client.untilClosed()).code, 1000);
    });
  });

  it('tells 1006 after terminate, and ignores what is sent afterwards', async () => {
    await withPair(async (client, server) => {
      client.pipe.terminate();
      client.pipe.send(new Uint8Array(10));
      client.pipe.close(1000, '');
      assert.equal((await server.untilClosed()).code, 1006);
      assert.equal((await client.untilClosed()).code, 1006);
      assert.equal(client.pipe.outstandingBytes, 0);
    });
  });

  it('tells a close that came before attach', async () => {
    await withServer(async ({ url, accepted }) => {
      const pipe = await dial(url);
      const server = await accepted;
      pipe.terminate();
      await server.untilClosed();
      const client = new PipeRecorder(pipe);
      assert.equal((await client.untilClosed()).code, 1006);
    });
  });

  it('knows the address of the other end', async () => {
    await withPair(async (_client, server) => {
      assert.match(server.pipe.remoteAddress ?? '', /^127\.0\.0\.1:\d+$/);
    });
  });
});

/** What a hostile client sends, and the code with which it is sent away. */
const ATTACKS: readonly {
  readonly name: string;
  readonly code: number;
  readonly write: (socket: Socket) => void;
  readonly skip?: string | false;
}[] = [
  {
    name: 'a message above 256 KiB',
    code: 1009,
    write: (socket) => socket.write(frame({ opcode: OPCODE.binary, length: MAX_PAYLOAD + 1 })),
  },
  {
    name: 'fragments that add up to more than 256 KiB',
    code: 1009,
    write: (socket) => {
      const payload = new Uint8Array(128 * KIB);
      socket.write(frame({ opcode: OPCODE.binary, final: false, payload }));
      socket.write(frame({ opcode: OPCODE.continuation, final: false, payload }));
      socket.write(frame({ opcode: OPCODE.continuation, final: false, payload: Uint8Array.of(1) }));
    },
  },
  {
    name: 'one-byte fragments without end',
    code: 1008,
    skip: lacking('websocket-fragment-limit'),
    write: (socket) => {
      const one = Uint8Array.of(1);
      socket.write(frame({ opcode: OPCODE.binary, final: false, payload: one }));
      socket.write(Buffer.concat(Array(200).fill(frame({ opcode: OPCODE.continuation, final: false, payload: one }))));
    },
  },
  {
    name: 'a message in crumbs',
    code: 1008,
    skip: lacking('websocket-chunk-limit'),
    write: (socket) => {
      const bytes = frame({ opcode: OPCODE.binary, payload: numbered(128 * KIB, 1) });
      const sendNext = (at: number): void => {
        if (!socket.writable || at === bytes.length) return;
        socket.write(bytes.subarray(at, at + 1));
        setImmediate(sendNext, at + 1);
      };
      sendNext(0);
    },
  },
  {
    name: 'pings faster than they can be answered',
    code: 1006,
    skip: lacking('websocket-pong-limit'),
    write: (socket) => socket.write(Buffer.concat(Array(8).fill(frame({ opcode: OPCODE.ping })))),
  },
  {
    name: 'a text message',
    code: 1003,
    write: (socket) => socket.write(frame({ opcode: OPCODE.text, payload: Buffer.from('hello') })),
  },
  {
    name: 'the answer to a text ping that was never sent',
    code: 1003,
    write: (socket) => socket.write(frame({ opcode: OPCODE.text, payload: Buffer.from('pong') })),
  },
  {
    name: 'a frame without mask',
    code: 1002,
    write: (socket) => socket.write(frame({ opcode: OPCODE.binary, masked: false, payload: Uint8Array.of(1) })),
  },
  {
    name: 'a compressed frame that was never negotiated',
    code: 1002,
    write: (socket) => socket.write(frame({ opcode: OPCODE.binary, compressed: true, payload: Uint8Array.of(1) })),
  },
  {
    name: 'an unknown opcode',
    code: 1002,
    write: (socket) => socket.write(frame({ opcode: 3, payload: Uint8Array.of(1) })),
  },
];

describe('WebSocket server', () => {
  for (const { name, code, write, skip = false } of ATTACKS) {
    it(`sends away a client with ${name} (${code})`, { skip }, async () => {
      await withServer(async ({ port, accepted }) => {
        const { socket, reader } = await rawUpgrade(port);
        const server = await accepted;
        socket.on('data', () => {
          if (reader.closeCode !== undefined) socket.write(frame({ opcode: OPCODE.close }));
        });
        write(socket);
        await once(socket, 'close');
        // 1006 stands for no close message at all (RFC 6455 §7.4.1).
        assert.equal(reader.closeCode ?? 1006, code);
        await server.untilClosed();
        assert.equal(server.messages.length, 0);
      });
    });
  }

  it('accepts a message that a proxy has cut into a few fragments', async () => {
    await withServer(async ({ port, accepted }) => {
      const { socket } = await rawUpgrade(port);
      const server = await accepted;
      for (let i = 0; i < 32; i++) {
        const opcode = i === 0 ? OPCODE.binary : OPCODE.continuation;
        socket.write(frame({ opcode, final: i === 31, payload: numbered(2 * KIB, i) }));
      }
      await server.until(({ messages }) => messages.length === 1);
      assert.equal(server.messages[0]?.length, 64 * KIB);
      assert.deepEqual(server.messages[0]?.subarray(62 * KIB), numbered(2 * KIB, 31));
      socket.destroy();
    });
  });

  it('answers pings', async () => {
    await withServer(async ({ port, accepted }) => {
      const { socket, reader } = await rawUpgrade(port);
      await accepted;
      socket.write(frame({ opcode: OPCODE.ping, payload: Buffer.from('x') }));
      while (reader.frames.length === 0) await once(socket, 'data');
      assert.equal(reader.frames[0]?.opcode, OPCODE.pong);
      socket.destroy();
    });
  });

  const refusals = [
    { name: 'no subprotocol', fields: { 'sec-websocket-protocol': undefined }, status: 400 },
    { name: 'another subprotocol', fields: { 'sec-websocket-protocol': 'graphql-ws' }, status: 400 },
    { name: 'another upgrade', fields: { upgrade: 'h2c' }, status: 400 },
    { name: 'another path', path: '/other', status: 404 },
    { name: 'no key', fields: { 'sec-websocket-key': undefined }, status: 400 },
  ];
  for (const { name, fields, path, status } of refusals) {
    it(`refuses an upgrade with ${name} (${status})`, async () => {
      await withServer(async ({ port }) => {
        const { head, socket } = await rawUpgrade(port, fields, path);
        assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `));
        if (!socket.destroyed) await once(socket, 'close');
      });
    });
  }

  it('picks its subprotocol among several, and negotiates no compression', async () => {
    await withServer(async ({ port, accepted }) => {
      const { head, socket } = await rawUpgrade(
        port,
        {
          'sec-websocket-protocol': 'chat, skein.v1',
          'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
        },
        '/skein?x=1',
      );
      await accepted;
      assert.match(head, /^HTTP\/1\.1 101 /);
      assert.match(head, /sec-websocket-protocol: skein\.v1/i);
      assert.doesNotMatch(head, /sec-websocket-extensions/i);
      socket.destroy();
    });
  });

  it('refuses before any state is made when the owner says so', async () => {
    let accepted = 0;
    await withServer(
      async ({ url, port }) => {
        const { head } = await rawUpgrade(port);
        assert.match(head, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
        assert.match(head, /retry-after: 7/i);
        await assert.rejects(dial(url), (error: unknown) => {
          assert.ok(error instanceof SkeinError);
          assert.equal(error.code, 'SKEIN_HUB_UNREACHABLE');
          assert.equal(error.details.httpStatus, 503);
          assert.equal(error.details.retryAfterMs, 7000);
          return true;
        });
      },
      {
        admitWebSocket: () => ({ status: 503, retryAfterSeconds: 7 }),
        onWebSocket: () => {
          accepted++;
        },
      },
    );
    assert.equal(accepted, 0);
  });

  it('answers nothing until the owner has decided, and nobody who has gone meanwhile', async () => {
    const decisions: ((decision: UpgradeDecision) => void)[] = [];
    const accepted: MessagePipe[] = [];
    let wake = (): void => undefined;
    const asked = async (count: number): Promise<void> => {
      while (decisions.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    await withServer(
      async ({ url, port }) => {
        const open = dial(url);
        await asked(1);
        assert.equal(accepted.length, 0);
        decisions[0]?.(undefined);
        (await open).close(1000, 'done');
        assert.equal(accepted.length, 1);
        const refused = rawUpgrade(port);
        await asked(2);
        decisions[1]?.({ status: 503, retryAfterSeconds: 3 });
        assert.match((await refused).head, /^HTTP\/1\.1 503 .*retry-after: 3/is);
        const over = new AbortController();
        const gone = dial(url, { signal: over.signal });
        await asked(3);
        over.abort();
        await assert.rejects(gone);
        decisions[2]?.(undefined);
        const last = dial(url);
        await asked(4);
        decisions[3]?.(undefined);
        (await last).close(1000, 'done');
      },
      {
        admitWebSocket: () =>
          new Promise((resolve) => {
            decisions.push(resolve);
            wake();
          }),
        onWebSocket: (pipe) => {
          accepted.push(pipe);
        },
      },
    );
  });

  it('refuses upgrades where none are served', async () => {
    await withServer(
      async ({ port }) => {
        const { head } = await rawUpgrade(port);
        assert.match(head, /^HTTP\/1\.1 404 /);
      },
      { onWebSocket: undefined } as Partial<HttpServerOptions>,
    );
  });
});

describe('dialWebSocket', () => {
  let open: RawServer[] = [];
  const serve = async (...args: Parameters<typeof rawServer>): Promise<RawServer> => {
    const server = await rawServer(...args);
    open.push(server);
    return server;
  };
  afterEach(() => {
    for (const server of open) server.close();
    open = [];
  });

  it('asks by text whether the host of the other end is there, and takes one answer for each question', async () => {
    const heard: string[] = [];
    let said: number | undefined;
    const server = await serve(switchingProtocols, (socket) => {
      const reader = new FrameReader();
      const pong = frame({ opcode: OPCODE.text, masked: false, payload: Buffer.from('pong') });
      socket.on('data', (bytes) => {
        reader.push(bytes);
        said = reader.closeCode;
        if (said !== undefined) socket.end(frame({ opcode: OPCODE.close, masked: false }));
        const texts = reader.frames.filter(({ opcode }) => opcode === OPCODE.text);
        for (const { payload } of texts.slice(heard.length)) {
          heard.push(payload.toString());
          socket.write(heard.length === 2 ? Buffer.concat([pong, pong]) : pong);
        }
      });
    });
    const client = new PipeRecorder(await dial(server.url));
    client.pipe.sendIdlePing?.();
    await client.until(({ idlePongs }) => idlePongs === 1);
    assert.deepEqual(heard, ['ping']);
    assert.equal(client.closed, undefined);
    client.pipe.sendIdlePing?.();
    await client.until(({ idlePongs }) => idlePongs === 2);
    // One more than it has asked for.
    await client.untilClosed();
    assert.equal(said, 1003);
    assert.equal(client.idlePongs, 2);
  });

  const answers = [
    { name: 'a hub that speaks another subprotocol', answer: (accept: string) => switchingProtocols(accept, 'chat') },
    { name: 'a hub that picks no subprotocol', answer: (accept: string) => switchingProtocols(accept, '') },
    { name: 'a wrong accept key', answer: () => switchingProtocols('AAAAAAAAAAAAAAAAAAAAAAAAAAA=') },
    {
      name: '401',
      answer: () => 'HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n',
      text: /authentication required \(401\)/,
    },
    { name: '403', answer: () => 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n', text: /forbidden \(403\)/ },
    { name: '404', answer: () => 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n', text: /nothing there \(404\)/ },
    { name: '200', answer: () => 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', text: /no WebSocket there \(200\)/ },
    {
      name: 'a redirect',
      answer: () => 'HTTP/1.1 302 Found\r\nlocation: ws://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n',
      text: /redirected \(302\)/,
    },
    { name: 'no HTTP at all', answer: () => 'SSH-2.0-OpenSSH_9.2\r\n' },
  ];
  for (const { name, answer, text } of answers) {
    it(`refuses ${name}`, async () => {
      const server = await serve(answer);
      await assert.rejects(dial(`${server.url}/skein?token=secret`), (error: unknown) => {
        assert.ok(error instanceof SkeinError, String(error));
        assert.equal(error.code, 'SKEIN_HUB_UNREACHABLE');
        assert.match(error.message, /^Cannot reach hub ws:\/\/127\.0\.0\.1:\d+: /);
        if (text !== undefined) assert.match(error.message, text);
        assert.equal(typeof error.details.remedy, 'string');
        assert.doesNotMatch(`${error.message} ${JSON.stringify(error.details)}`, /secret/);
        return true;
      });
    });
  }

  it('says that the connection was refused', async () => {
    const server = await serve(() => '');
    server.close();
    await assert.rejects(dial(server.url), (error: unknown) => {
      assert.ok(error instanceof SkeinError);
      assert.equal(error.code, 'SKEIN_HUB_UNREACHABLE');
      assert.match(error.message, /connection refused$/);
      assert.ok(error.cause instanceof Error);
      return true;
    });
  });

  it('says that the port does not speak TLS', async () => {
    const server = await serve(() => 'HTTP/1.1 400 Bad Request\r\n\r\n');
    server.server.on('connection', (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await assert.rejects(dial(server.url.replace('ws:', 'wss:')), (error: unknown) => {
      assert.ok(error instanceof SkeinError);
      assert.equal(error.code, 'SKEIN_HUB_UNREACHABLE');
      return true;
    });
  });

  it('rejects with the reason of an abort', async () => {
    const server = await serve(() => '');
    const reason = new Error('enough');
    const abort = new AbortController();
    server.server.on('connection', () => abort.abort(reason));
    await assert.rejects(dial(server.url, { signal: abort.signal }), reason);
    await assert.rejects(dial(server.url, { signal: AbortSignal.abort(reason) }), reason);
  });

  for (const url of ['nonsense', 'http://127.0.0.1/', 'ftp://x/']) {
    it(`refuses the URL ${url}`, async () => {
      await assert.rejects(dial(url), { code: 'SKEIN_CONFIG' });
    });
  }

  for (const { name, code, write } of [
    {
      name: 'a message above 256 KiB',
      code: 1009,
      write: (socket: Socket) => socket.write(frame({ opcode: OPCODE.binary, masked: false, length: MAX_PAYLOAD + 1 })),
    },
    {
      name: 'a text message',
      code: 1003,
      write: (socket: Socket) =>
        socket.write(frame({ opcode: OPCODE.text, masked: false, payload: Buffer.from('hi') })),
    },
    {
      name: 'a masked frame',
      code: 1002,
      write: (socket: Socket) => socket.write(frame({ opcode: OPCODE.binary, payload: Buffer.from('hi') })),
    },
  ]) {
    it(`leaves a hub that sends ${name} (${code})`, async () => {
      const reader = new FrameReader();
      const server = await serve(switchingProtocols, (socket) => {
        socket.on('data', (chunk: Buffer) => {
          reader.push(chunk);
          if (reader.closeCode !== undefined) socket.write(frame({ opcode: OPCODE.close, masked: false }));
        });
        write(socket);
      });
      const client = new PipeRecorder(await dial(server.url));
      await client.untilClosed();
      assert.equal(reader.closeCode, code);
      assert.equal(client.messages.length, 0);
    });
  }
});
