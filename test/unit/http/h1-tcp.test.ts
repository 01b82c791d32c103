/** `serveH1` and `H1Client` on TCP against node:http: what the world's clients and servers do passes in both roles. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import * as http from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { ByteStream } from '../../../src/core/byte-stream.ts';
import type { Bytes } from '../../../src/core/bytes.ts';
import { H1Client } from '../../../src/http/h1-client.ts';
import { serveH1 } from '../../../src/http/h1-server.ts';
import type { HttpHandler, RequestBody } from '../../../src/http/handler.ts';
import { hostPlatform } from '../../../src/runtime/bun/platform.ts';

const platform = hostPlatform();
const { clock, decodeLatin1 } = platform;
const LOCAL = { host: '127.0.0.1', port: 0 };

interface Proxy {
  readonly port: number;
  /** TCP connections made to the application. */
  readonly dialled: () => number;
  close(): Promise<void>;
}

/** `serveH1` in front of `H1Client`s: each request passes our parser and writer twice. */
async function startProxy(appPort: number): Promise<Proxy> {
  const { listenTcp, connectTcp } = platform;
  ok(listenTcp !== undefined && connectTcp !== undefined);
  const idle: H1Client[] = [];
  let dialled = 0;
  const handler: HttpHandler = {
    request(head, complete, reply): RequestBody {
      let client = idle.pop();
      while (client !== undefined && !client.isIdle) client = idle.pop();
      if (client === undefined) {
        dialled++;
        client = new H1Client(connectTcp({ host: '127.0.0.1', port: appPort }), {
          decodeLatin1,
          onIdle: (each) => void idle.push(each),
        });
      }
      return client.request(head, complete, reply);
    },
  };
  const streams = new Set<ByteStream>();
  const listener = await listenTcp(LOCAL, (stream) => {
    streams.add(stream);
    serveH1(stream, handler, { clock, decodeLatin1 });
  });
  return {
    port: listener.port,
    dialled: () => dialled,
    close: async () => {
      for (const client of idle) client.close();
      await listener.close();
    },
  };
}

/** A node:http application with our proxy before it, for the time of `run`. */
async function withProxy(
  app: http.RequestListener,
  run: (port: number, proxy: Proxy, server: http.Server) => Promise<void>,
): Promise<void> {
  const server = http.createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await startProxy((server.address() as AddressInfo).port);
  try {
    await run(proxy.port, proxy, server);
  } finally {
    await proxy.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly trailers: NodeJS.Dict<string>;
  readonly text: string;
}

async function read(message: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of message) text += String(chunk);
  return text;
}

function send(
  port: number,
  options: http.RequestOptions,
  body: readonly (string | Uint8Array)[] = [],
  trailers?: http.OutgoingHttpHeaders,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, agent: false, ...options }, (message) => {
      read(message).then(
        (text) =>
          resolve({ status: message.statusCode ?? 0, headers: message.headers, trailers: message.trailers, text }),
        reject,
      );
    });
    request.on('error', reject);
    for (const chunk of body) request.write(chunk);
    if (trailers !== undefined) request.addTrailers(trailers);
    request.end();
  });
}

/** A raw exchange: writes, and reads until the other end closes. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      received += String(chunk);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
  });
}

test('A request and its answer pass between node:http on both sides', async () => {
  await withProxy(
    (request, response) => {
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.end(`${request.method} ${request.url} ${request.headers.host} ${request.headers['x-own']}`);
    },
    async (port) => {
      const answer = await send(port, { path: '/a?b=%20', headers: { 'x-own': 'c' } });
      equal(answer.status, 200);
      equal(answer.text, `GET /a?b=%20 127.0.0.1:${port} c`);
      deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
    },
  );
});

test('Bodies pass chunked and of known length, both ways', async () => {
  await withProxy(
    (request, response) => {
      if (request.headers['content-length'] !== undefined)
        response.setHeader('content-length', request.headers['content-length']);
      request.pipe(response);
    },
    async (port) => {
      const chunked = await send(port, { method: 'POST' }, ['hello ', 'world']);
      equal(chunked.text, 'hello world');
      equal(chunked.headers['transfer-encoding'], 'chunked');
      const known = await send(port, { method: 'PUT', headers: { 'content-length': 11 } }, ['hello ', 'world']);
      equal(known.text, 'hello world');
      equal(known.headers['content-length'], '11');
      equal(known.headers['transfer-encoding'], undefined);
    },
  );
});

test('Trailers pass both ways', async () => {
  await withProxy(
    (request, response) => {
      request.resume().on('end', () => {
        response.writeHead(200, { trailer: 'x-back' });
        response.write('a');
        response.addTrailers({ 'x-back': String(request.trailers['x-there']) });
        response.end();
      });
    },
    async (port) => {
      const answer = await send(
        port,
        { method: 'POST', headers: { trailer: 'x-there', 'transfer-encoding': 'chunked' } },
        ['a'],
        { 'x-there': 'yes' },
      );
      equal(answer.trailers['x-back'], 'yes');
    },
  );
});

test('HEAD keeps the length and has no body', async () => {
  await withProxy(
    (_request, response) => {
      response.setHeader('content-length', 5);
      response.end('hello');
    },
    async (port) => {
      const answer = await send(port, { method: 'HEAD' });
      equal(answer.headers['content-length'], '5');
      equal(answer.text, '');
    },
  );
});

test('204 and 304 have no body', async () => {
  await withProxy(
    (request, response) => {
      response.statusCode = Number(request.url?.slice(1));
      response.end();
    },
    async (port) => {
      for (const status of [204, 304]) {
        const answer = await send(port, { path: `/${status}` });
        equal(answer.status, status);
        equal(answer.text, '');
      }
    },
  );
});

test('100-continue is the application’s, and the body waits for it', async () => {
  await withProxy(
    () => undefined,
    async (port, _proxy, server) => {
      const events: string[] = [];
      server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
        events.push('asked');
        response.writeContinue();
        void read(request).then((text) => response.end(`got ${text}`));
      });
      const text = await new Promise<string>((resolve, reject) => {
        const request = http.request({
          host: '127.0.0.1',
          port,
          method: 'POST',
          agent: false,
          headers: { expect: '100-continue', 'content-length': 5 },
        });
        request.on('continue', () => {
          events.push('continued');
          request.end('hello');
        });
        request.on('response', (message) => void read(message).then(resolve, reject));
        request.on('error', reject);
        request.flushHeaders();
      });
      equal(text, 'got hello');
      deepEqual(events, ['asked', 'continued']);
    },
  );
});

test('A final answer instead of 100 closes the connection', async () => {
  await withProxy(
    () => undefined,
    async (port, _proxy, server) => {
      server.on('checkContinue', (_request: http.IncomingMessage, response: http.ServerResponse) => {
        response.statusCode = 413;
        response.end('too much');
      });
      const answer = await raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
      ok(answer.startsWith('HTTP/1.1 413 '), answer);
      ok(answer.includes('\r\nconnection: close\r\n'));
    },
  );
});

test('103 passes before the answer', async () => {
  await withProxy(
    (_request, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
      response.end('a');
    },
    async (port) => {
      const hints: string[] = [];
      const text = await new Promise<string>((resolve, reject) => {
        const request = http.get(
          { host: '127.0.0.1', port, agent: false },
          (message) => void read(message).then(resolve, reject),
        );
        request.on('information', ({ statusCode, headers }) => hints.push(`${statusCode} ${headers.link}`));
        request.on('error', reject);
      });
      equal(text, 'a');
      deepEqual(hints, ['103 </style.css>; rel=preload; as=style']);
    },
  );
});

test('Connections are kept on both sides', async () => {
  const sockets = new Set<Socket>();
  await withProxy(
    (request, response) => {
      sockets.add(request.socket);
      response.end('a');
    },
    async (port, proxy) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      for (let i = 0; i < 20; i++) equal((await send(port, { agent })).text, 'a');
      agent.destroy();
      equal(sockets.size, 1);
      equal(proxy.dialled(), 1);
    },
  );
});

test('Pipelined requests are answered in order, the quick ones behind the slow', async () => {
  await withProxy(
    (request, response) => {
      const end = (): void => void response.end(`<${request.url}>`);
      if (request.url === '/0') setImmediate(() => setImmediate(end));
      else end();
    },
    async (port) => {
      const requests = Array.from({ length: 50 }, (_, i) => {
        const last = i === 49 ? 'Connection: close\r\n' : '';
        return `GET /${i} HTTP/1.1\r\nHost: a\r\n${last}\r\n`;
      });
      const answer = await raw(port, requests.join(''));
      deepEqual(
        answer.match(/<\/\d+>/g),
        Array.from({ length: 50 }, (_, i) => `</${i}>`),
      );
    },
  );
});

test('The first event of a stream of events is not held back', async () => {
  let sendSecond: () => void = () => undefined;
  await withProxy(
    (_request, response) => {
      response.setHeader('content-type', 'text/event-stream');
      response.write('data: 1\n\n');
      sendSecond = () => void response.end('data: 2\n\n');
    },
    async (port) => {
      const events: string[] = [];
      await new Promise<void>((resolve, reject) => {
        http
          .get({ host: '127.0.0.1', port, agent: false }, (message) => {
            message.on('data', (chunk) => {
              events.push(String(chunk));
              // Only who has seen the first event lets the second be sent.
              if (events.length === 1) sendSecond();
            });
            message.on('end', resolve);
          })
          .on('error', reject);
      });
      deepEqual(events, ['data: 1\n\n', 'data: 2\n\n']);
    },
  );
});

test('An upgrade carries bytes both ways, the early ones included, and half-closes', async () => {
  await withProxy(
    () => undefined,
    async (port, _proxy, server) => {
      server.on('upgrade', (request: http.IncomingMessage, socket: Socket, early: Uint8Array) => {
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\nhello `,
        );
        socket.write(early);
        socket.on('data', (chunk) => socket.write(chunk));
        socket.on('end', () => socket.end('bye'));
      });
      const text = await new Promise<string>((resolve, reject) => {
        const headers = { connection: 'upgrade', upgrade: 'echo' };
        const request = http.get({ host: '127.0.0.1', port, agent: false, headers });
        request.on('error', reject);
        request.on('upgrade', (message, socket, head) => {
          equal(message.headers.upgrade, 'echo');
          let received = String(head);
          socket.on('data', (chunk) => {
            received += String(chunk);
            if (received.endsWith('ping')) socket.end();
          });
          socket.on('end', () => resolve(received));
          socket.write('ping');
        });
      });
      equal(text, 'hello pingbye');
    },
  );
});

test('Bytes behind a refused upgrade are the next request', async () => {
  await withProxy(
    (request, response) => response.end(`<${request.url}>`),
    async (port) => {
      const answer = await raw(
        port,
        'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      );
      deepEqual(answer.match(/<[^>]+>/g), ['</ws>', '</b>']);
    },
  );
});

test('An application that breaks off leaves no answer that looks complete', async () => {
  await withProxy(
    (request, response) => {
      if (request.url === '/known') response.setHeader('content-length', 100);
      response.write('part', () => request.socket.destroy());
    },
    async (port) => {
      for (const path of ['/known', '/chunked']) {
        await send(port, { path }).then(
          () => ok(false, 'it looked complete'),
          (error: NodeJS.ErrnoException) => ok(error.code === 'ECONNRESET', String(error)),
        );
      }
    },
  );
});

test('An application that does not listen is a 502 with its reason', async () => {
  const proxy = await startProxy(1);
  const answer = await send(proxy.port, {});
  equal(answer.status, 502);
  equal(answer.headers['x-skein-reason'], 'app-unreachable');
  await proxy.close();
});

test('A client that goes away takes its request with it', async () => {
  const gone = new Promise<void>((resolve) => {
    void withProxy(
      (request, response) => {
        request.on('close', resolve);
        response.write('first');
      },
      async (port) => {
        await new Promise<void>((closed) => {
          const request = http.get({ host: '127.0.0.1', port, agent: false }, (message) => {
            message.once('data', () => request.destroy());
          });
          request.on('close', closed);
          request.on('error', () => undefined);
        });
        await gone;
      },
    );
  });
  await gone;
});

test('64 MiB pass each way, with little in memory', async (t) => {
  const total = 64 * 1024 * 1024;
  const piece = new Uint8Array(64 * 1024).fill(0x61);
  await withProxy(
    (request, response) => {
      if (request.method === 'POST') {
        let bytes = 0;
        request.on('data', (chunk: Bytes) => {
          bytes += chunk.length;
        });
        request.on('end', () => response.end(String(bytes)));
        return;
      }
      let sent = 0;
      const write = (): void => {
        while (sent < total) {
          sent += piece.length;
          if (!response.write(piece)) {
            response.once('drain', write);
            return;
          }
        }
        response.end();
      };
      write();
    },
    async (port) => {
      const before = process.memoryUsage().arrayBuffers;
      let most = 0;
      const watch = (): void => {
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      };
      const received = await new Promise<number>((resolve, reject) => {
        http
          .get({ host: '127.0.0.1', port, agent: false }, (message) => {
            let bytes = 0;
            message.on('data', (chunk: Bytes) => {
              bytes += chunk.length;
              if (bytes % (1 << 20) < chunk.length) watch();
            });
            message.on('end', () => resolve(bytes));
            message.on('error', reject);
          })
          .on('error', reject);
      });
      equal(received, total);
      const uploaded = await new Promise<string>((resolve, reject) => {
        const request = http.request(
          { host: '127.0.0.1', port, method: 'POST', agent: false },
          (message) => void read(message).then(resolve, reject),
        );
        request.on('error', reject);
        let sent = 0;
        const write = (): void => {
          while (sent < total) {
            sent += piece.length;
            watch();
            if (!request.write(piece)) {
              request.once('drain', write);
              return;
            }
          }
          request.end();
        };
        write();
      });
      equal(uploaded, String(total));
      t.diagnostic(`at most ${(most / 1_048_576).toFixed(1)} MiB of buffers beyond the start`);
    },
  );
});

test('A client that does not read stops the application from sending', async () => {
  let written = 0;
  const piece = new Uint8Array(64 * 1024);
  await withProxy(
    (request, response) => {
      if (request.url === '/ping') {
        response.end('pong');
        return;
      }
      const write = (): void => {
        written += piece.length;
        if (response.write(piece)) setImmediate(write);
        else response.once('drain', write);
      };
      write();
    },
    async (port) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
      socket.pause();
      socket.on('error', () => undefined);
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      // Other requests measure the time: the kernel's buffers take some MiB, and then nothing moves any more.
      let before = -1;
      for (let round = 0; round < 50 && before !== written; round++) {
        before = written;
        for (let i = 0; i < 100; i++) await send(port, { path: '/ping', agent });
      }
      equal(before, written);
      ok(written > 0 && written < 64 * 1024 * 1024, `${written} bytes were taken from the application`);
      agent.destroy();
      socket.destroy();
    },
  );
});
