/**
 * The application of the tests: `node origin.js [http port] [tcp port] [name]`, 0 meaning any.
 *
 *   GET  /            a greeting with the name         ANY  /echo           what arrived, as JSON
 *   ANY  /sha256      digest of the body               GET  /bytes/N        N deterministic bytes, ?seconds=S in S seconds
 *   POST /mirror      the body as it comes             ANY  /once/ID        counts the id; GET /once tells all
 *   GET  /sse         events, the next one only after  POST /sse/next
 *   GET  /trailers    a chunked body with trailers     GET  /status/N       that status
 *   GET  /hold?ms=N   answers after N ms               GET  /stats          what was counted
 *   GET  /trouble?ms=N&status=S   from now on `/` and `/once/ID` take N ms and answer S; nothing given: all is well again
 *   upgrade           WebSocket echo                   TCP port: greets first, then echoes, half-closes last
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import process from 'node:process';
import { WebSocketServer } from 'ws';
import { deterministicStream, pacedStream } from '../deterministic-bytes.ts';

const [httpPort = '0', tcpPort = '0', name = 'origin'] = process.argv.slice(2);
const stats = { requests: 0, holding: 0, smuggled: 0, upgrades: 0, tcpConnections: 0 };
/** Sockets that a long download was asked on, with what they had carried before it. */
const downloads = new Map<Socket, number>();
const waitingForEvents = new Set<() => void>();
/** How often each id of `/once` has come. */
const seen = new Map<string, number>();

/** How `/` and `/once/ID` answer. */
const trouble = { ms: 0, status: 200 };
const answer = (response: ServerResponse, text: string) => {
  response.statusCode = trouble.status;
  if (trouble.ms > 0) setTimeout(() => response.end(text), trouble.ms);
  else response.end(text);
};

const routes: Record<string, (request: IncomingMessage, response: ServerResponse, url: URL) => void> = {
  '': (_, response) => answer(response, `hello from ${name}\n`),
  trouble: (_, response, url) => {
    trouble.ms = Number(url.searchParams.get('ms'));
    trouble.status = Number(url.searchParams.get('status') ?? 200);
    response.end();
  },
  echo: (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          name,
          method: request.method,
          url: request.url,
          rawHeaders: request.rawHeaders,
          rawTrailers: request.rawTrailers,
          body: body.toString('latin1'),
        }),
      );
    });
  },
  sha256: (request, response) => {
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => response.end(`${hash.digest('hex')}\n`));
  },
  bytes: (request, response, url) => {
    const length = Number(url.pathname.split('/')[2]);
    if (!url.searchParams.has('chunked')) response.setHeader('content-length', length);
    const seconds = Number(url.searchParams.get('seconds'));
    const stream = seconds > 0 ? pacedStream(length, seconds * 1000) : deterministicStream(length);
    stream.pipe(response);
    const { socket } = request;
    downloads.set(socket, socket.bytesWritten);
    response.on('close', () => downloads.delete(socket));
  },
  mirror: (request, response) => {
    response.flushHeaders();
    request.pipe(response);
    request.on('error', () => response.destroy());
  },
  once: (request, response, url) => {
    const id = url.pathname.split('/')[2];
    if (id === undefined) return void response.end(JSON.stringify([...seen]));
    seen.set(id, (seen.get(id) ?? 0) + 1);
    request.resume();
    request.on('end', () => answer(response, `${name}\n`));
  },
  sse: (request, response, url) => {
    if (url.pathname === '/sse/next') {
      for (const next of waitingForEvents) next();
      response.end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    let count = 0;
    const next = () => response.write(`data: event ${count++}\n\n`);
    next();
    waitingForEvents.add(next);
    request.on('close', () => waitingForEvents.delete(next));
  },
  trailers: (_, response) => {
    response.writeHead(200, { trailer: 'x-checksum' });
    response.write('a body in ');
    response.write('two chunks');
    response.addTrailers({ 'x-checksum': '4711' });
    response.end();
  },
  status: (_, response, url) => {
    response.statusCode = Number(url.pathname.split('/')[2]);
    response.end();
  },
  hold: (_, response, url) => {
    stats.holding++;
    setTimeout(
      () => {
        stats.holding--;
        response.end('held\n');
      },
      Number(url.searchParams.get('ms')),
    );
  },
  stats: (_, response) => {
    // What the kernel took of the download that went farthest.
    const sentOn = ([socket, before]: [Socket, number]) => socket.bytesWritten - before - socket.writableLength;
    const sent = Math.max(0, ...[...downloads].map(sentOn));
    response.end(JSON.stringify({ ...stats, sent }));
  },
};

const server = createServer((request, response) => {
  if (!/^\/(?:stats|trouble)/.test(request.url ?? '')) stats.requests++;
  if (request.url?.includes('smuggled')) stats.smuggled++;
  const url = new URL(request.url ?? '/', 'http://origin');
  const route = routes[url.pathname.split('/')[1] ?? ''];
  if (route !== undefined) route(request, response, url);
  else {
    response.statusCode = 404;
    response.end();
  }
});
server.keepAliveTimeout = 60_000;

const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, socket, head) => {
  stats.upgrades++;
  sockets.handleUpgrade(request, socket, head, (webSocket) => {
    webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }));
  });
});

const tcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
  stats.tcpConnections++;
  socket.on('error', () => socket.destroy());
  socket.write(`220 ${name} ready\r\n`);
  socket.pipe(socket);
});

const listen = (target: typeof server | typeof tcp, port: string) =>
  new Promise<string>((resolve) => {
    target.listen(Number(port), '127.0.0.1', () => resolve(`127.0.0.1:${(target.address() as AddressInfo).port}`));
  });
const addresses = { http: `http://${await listen(server, httpPort)}`, tcp: await listen(tcp, tcpPort) };
process.stdout.write(`${JSON.stringify({ event: 'ready', role: 'origin', addresses })}\n`);
process.on('SIGTERM', () => process.exit(0));
