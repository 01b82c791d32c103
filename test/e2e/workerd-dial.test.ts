import { deepEqual, equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { lacking } from '../runtime/capabilities.ts';
import { Workerd } from '../support/workerd.ts';
import type { Dialled, NotDialled } from '../support/workers/dialler.ts';

const noWorkerd = lacking('workerd');
const KIB = 1024;

/** A server of WebSockets that says what `greet` says, and tells how each was closed. */
class Host {
  readonly #http: Server;
  readonly closes: Promise<{ code: number; reason: string }>;

  constructor(greet: (socket: WebSocket) => void, protocol = 'skein.v1') {
    const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => protocol || false });
    this.#http = createServer().on('upgrade', (request, socket, head) => {
      if (request.url === '/')
        sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened));
      else socket.end('HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n');
    });
    this.closes = new Promise((resolve) => {
      sockets.on('connection', (socket) => {
        socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
        greet(socket);
      });
    });
  }

  async url(): Promise<string> {
    this.#http.listen(0, '127.0.0.1');
    await once(this.#http, 'listening');
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/`;
  }

  close(): void {
    this.#http.close();
    this.#http.closeAllConnections();
  }
}

describe('A WebSocket that a Worker dials', { skip: noWorkerd }, () => {
  let worker: Workerd;
  before(async () => {
    worker = await Workerd.start({ entry: 'test/support/workers/dialler.ts' });
  });
  after(() => worker.close());

  const dial = async <T>(url: string, close?: string): Promise<T> => {
    const query = new URLSearchParams({ url, ...(close === undefined ? {} : { close }) });
    return (await (await fetch(`${worker.url}/?${query}`)).json()) as T;
  };
  const meet = async (greet: (socket: WebSocket) => void, close?: string) => {
    const host = new Host(greet);
    try {
      const seen = await dial<Dialled>(await host.url(), close);
      return { seen, told: await host.closes };
    } finally {
      host.close();
    }
  };

  it('Carries binary messages both ways, and is closed by either end without a wait', async () => {
    const lengths = [0, 1, 65_536, 256 * KIB];
    const echoed: number[] = [];
    const { seen, told } = await meet((socket) => {
      for (const length of lengths) socket.send(new Uint8Array(length));
      socket.on('message', (data: Buffer) => {
        echoed.push(data.length);
        if (echoed.length === lengths.length) socket.close(4002, 'enough');
      });
    });
    deepEqual(seen, { messages: lengths, closed: { code: 4002, reason: 'enough' } });
    deepEqual(echoed, lengths);
    equal(told.code, 4002);
  });

  it('Tells the other end why it closes', async () => {
    const { told } = await meet((socket) => socket.send(new Uint8Array(1)), 'ü'.repeat(200));
    deepEqual(told, { code: 4001, reason: 'ü'.repeat(61) });
  });

  it('Is closed at text where bytes are due (1003)', async () => {
    const { seen, told } = await meet((socket) => {
      socket.send('text');
      socket.send(new Uint8Array(1));
    });
    deepEqual(seen, { messages: [], closed: { code: 1003, reason: 'binary messages only' } });
    deepEqual(told, { code: 1003, reason: 'binary messages only' });
  });

  it('Is closed at a message above the limit (1009)', async () => {
    const { seen, told } = await meet((socket) => socket.send(new Uint8Array(256 * KIB + 1)));
    deepEqual(seen, { messages: [], closed: { code: 1009, reason: 'message too big' } });
    deepEqual(told, { code: 1009, reason: 'message too big' });
  });

  it('Is lost at a message that workerd itself refuses (33 MiB)', async () => {
    const { seen } = await meet((socket) => socket.send(new Uint8Array(33 * KIB * KIB)));
    deepEqual(seen.messages, []);
  });

  it('Is lost when the other end goes without a word', async () => {
    const { seen } = await meet((socket) => socket.terminate());
    equal(seen.closed.code, 1006);
  });

  it('Is not there where no hub is, and the error says what is there instead', async () => {
    const host = new Host(() => undefined, '');
    const url = await host.url();
    try {
      const plain = await dial<NotDialled>(url);
      equal(plain.code, 'SKEIN_HUB_UNREACHABLE');
      match(plain.message, /no skein\.v1 spoken there$/);
      const busy = await dial<NotDialled>(`${url}elsewhere`);
      equal(busy.code, 'SKEIN_HUB_UNREACHABLE');
      deepEqual([busy.details.httpStatus, busy.details.retryAfterMs], [503, 7_000]);
    } finally {
      host.close();
    }
    const closed = await dial<NotDialled>(url);
    equal(closed.code, 'SKEIN_HUB_UNREACHABLE');
    equal((await dial<NotDialled>('http://127.0.0.1/')).code, 'SKEIN_CONFIG');
  });
});
