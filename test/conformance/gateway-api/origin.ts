/**
 * The application of the suite. It tells what arrived, as JSON, and behaves as the query of a request asks:
 *
 *   delay=MS            answers so much later         set=NAME:VALUE      a field of the answer; may come again
 *   fail=N&key=K        the first N requests with that key fail: with status `code`, by a reset, or after `slow` ms
 *
 * Speaks HTTP/1.1 (with WebSocket), HTTP/2 by prior knowledge (with gRPC) and TCP, which it begins by its name.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createH2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { WebSocketServer } from 'ws';
import { startHttpApp, startTcpApp } from '../../support/local-sidecars.ts';

/** What arrived. */
export interface Report {
  readonly backend: string;
  readonly protocol: 'http/1.1' | 'h2c';
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly host: string;
  /** By lower-case name; several lines of one are joined. */
  readonly headers: Readonly<Record<string, string>>;
}

export class EchoOrigin {
  readonly name: string;
  /** Everything that arrived, failures included. */
  readonly seen: Report[] = [];
  /** `host:port` */
  http = '';
  h2c = '';
  tcp = '';
  readonly #waiting = new Set<() => void>();
  readonly #counts = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  /** Ends with the test. */
  static async start(t: Pick<TestContext, 'after'>, name: string): Promise<EchoOrigin> {
    const origin = new EchoOrigin(name);
    await origin.#listen(t);
    return origin;
  }

  /** Resolves when so many requests that `matches` takes have arrived. */
  waitFor(count: number, matches: (report: Report) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.seen.filter(matches).length < count) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  async #listen(t: Pick<TestContext, 'after'>): Promise<void> {
    const { address, server } = await startHttpApp(t, (request, response) => this.#answer(request, response));
    const sockets = new WebSocketServer({ noServer: true });
    t.after(() => sockets.close());
    server.on('upgrade', (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }));
      });
    });
    const h2 = createH2Server();
    h2.on('stream', (stream, head) => this.#answerH2(stream, head));
    h2.listen(0, '127.0.0.1');
    await once(h2, 'listening');
    t.after(() => h2.close());
    const tcp = await startTcpApp(t, (socket) => {
      socket.write(`${this.name}\n`);
      socket.pipe(socket);
    });
    this.http = address;
    this.h2c = `127.0.0.1:${(h2.address() as AddressInfo).port}`;
    this.tcp = tcp.address;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers } = request;
    const report = this.#note('http/1.1', method, url, headers.host ?? '', headers);
    const query = new URLSearchParams(url.slice(url.indexOf('?') + 1 || url.length));
    request.resume();
    request.on('end', () => {
      const { code, delayMs } = this.#behave(query);
      if (code === 'reset') return void request.socket.destroy();
      const answer = (): void => {
        for (const each of query.getAll('set')) {
          const colon = each.indexOf(':');
          response.appendHeader(each.slice(0, colon), each.slice(colon + 1));
        }
        response.writeHead(code, { 'content-type': 'application/json' });
        response.end(JSON.stringify(report));
      };
      if (delayMs > 0) setTimeout(answer, delayMs);
      else answer();
    });
    request.on('error', () => undefined);
    response.on('error', () => undefined);
  }

  /** A gRPC call is answered by one message, which is no protobuf; anything else as by HTTP/1.1. */
  #answerH2(stream: ServerHttp2Stream, head: IncomingHttpHeaders & { ':method'?: string; ':path'?: string }): void {
    const report = this.#note(
      'h2c',
      head[':method'] ?? '',
      head[':path'] ?? '',
      String(head[':authority'] ?? ''),
      head,
    );
    const text = Buffer.from(JSON.stringify(report));
    stream.on('error', () => undefined);
    stream.resume();
    if (head['content-type']?.startsWith('application/grpc') !== true) {
      stream.respond({ ':status': 200, 'content-type': 'application/json' });
      stream.end(text);
      return;
    }
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(text.length, 1);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat([prefix, text]));
  }

  #note(protocol: Report['protocol'], method: string, path: string, host: string, all: object): Report {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(all)) {
      if (!name.startsWith(':')) headers[name] = Array.isArray(value) ? value.join(', ') : String(value);
    }
    const report = { backend: this.name, protocol, method, path, host, headers };
    this.seen.push(report);
    for (const look of [...this.#waiting]) look();
    return report;
  }

  #behave(query: URLSearchParams): { code: number | 'reset'; delayMs: number } {
    const delayMs = Number(query.get('delay') ?? 0);
    const key = query.get('key');
    if (key === null) return { code: 200, delayMs };
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    if (count > Number(query.get('fail') ?? 0)) return { code: 200, delayMs };
    const code = query.get('code') ?? '200';
    return { code: code === 'reset' ? 'reset' : Number(code), delayMs: Number(query.get('slow') ?? delayMs) };
  }
}
