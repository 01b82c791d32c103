/** A WebSocket peer that breaks the rules: frames written byte by byte over a plain socket. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameOptions {
  readonly opcode: number;
  readonly payload?: Uint8Array;
  readonly final?: boolean;
  readonly masked?: boolean;
  readonly compressed?: boolean;
  /** Said in the header; the payload may be shorter. */
  readonly length?: number;
}

export function frame(options: FrameOptions): Buffer {
  const { opcode, payload = new Uint8Array(0), final = true, masked = true, compressed = false } = options;
  const length = options.length ?? payload.length;
  const first = (final ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode;
  const bit = masked ? 0x80 : 0;
  const extended = length > 0xffff ? Buffer.alloc(8) : length > 125 ? Buffer.alloc(2) : Buffer.alloc(0);
  if (extended.length === 8) extended.writeBigUInt64BE(BigInt(length));
  else if (extended.length === 2) extended.writeUInt16BE(length);
  const short = extended.length === 8 ? 127 : extended.length === 2 ? 126 : length;
  return Buffer.concat([Buffer.of(first, bit | short), extended, Buffer.alloc(masked ? 4 : 0), payload]);
}

/** What a raw peer has received, cut into frames. */
export class FrameReader {
  readonly frames: { opcode: number; payload: Buffer }[] = [];
  #bytes = Buffer.alloc(0);

  push(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const [opcode, second] = this.#bytes;
      if (opcode === undefined || second === undefined) return;
      const short = second & 127;
      let at = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (this.#bytes.length < at) return;
      const length =
        short === 126 ? this.#bytes.readUInt16BE(2) : short === 127 ? Number(this.#bytes.readBigUInt64BE(2)) : short;
      const mask = (second & 128) !== 0 ? this.#bytes.subarray(at, at + 4) : undefined;
      if (mask !== undefined) at += 4;
      if (this.#bytes.length < at + length) return;
      const payload = Buffer.from(this.#bytes.subarray(at, at + length));
      if (mask !== undefined) for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0);
      this.frames.push({ opcode: opcode & 15, payload });
      this.#bytes = this.#bytes.subarray(at + length);
    }
  }

  get closeCode(): number | undefined {
    const close = this.frames.find(({ opcode }) => opcode === OPCODE.close);
    return close === undefined ? undefined : close.payload.length < 2 ? 1005 : close.payload.readUInt16BE(0);
  }
}

/** Opens a raw connection and sends an upgrade request; resolves with the head of the answer. */
export async function rawUpgrade(
  port: number,
  fields: Readonly<Record<string, string | undefined>> = {},
  path = '/',
): Promise<{ readonly socket: Socket; readonly head: string; readonly reader: FrameReader }> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  const all: Record<string, string | undefined> = {
    host: `127.0.0.1:${port}`,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol': 'skein.v1',
    ...fields,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}\r\n`]));
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  const reader = new FrameReader();
  const head = await readHead(socket, reader);
  return { socket, head, reader };
}

function readHead(socket: Socket, reader: FrameReader): Promise<string> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    let done = false;
    const finish = (text: string): void => {
      done = true;
      resolve(text);
    };
    socket.on('data', (chunk: Buffer) => {
      if (done) {
        reader.push(chunk);
        return;
      }
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      finish(received.toString('latin1', 0, end));
      reader.push(received.subarray(end + 4));
    });
    socket.on('close', () => finish(received.toString('latin1')));
  });
}

export interface RawServer {
  readonly url: string;
  readonly server: Server;
  close(): void;
}

/** A server that answers every upgrade with `answer`, then hands the socket over. */
export async function rawServer(
  answer: (accept: string) => string,
  onOpen: (socket: Socket) => void = () => undefined,
): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let head = '';
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', onData);
      const key = /sec-websocket-key: (.*)\r\n/i.exec(head)?.[1] ?? '';
      socket.write(
        answer(
          createHash('sha1')
            .update(key + GUID)
            .digest('base64'),
        ),
      );
      onOpen(socket);
    };
    socket.on('data', onData);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `ws://127.0.0.1:${port}`,
    server,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export function switchingProtocols(accept: string, protocol = 'skein.v1'): string {
  return (
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n' +
    `sec-websocket-accept: ${accept}\r\n${protocol === '' ? '' : `sec-websocket-protocol: ${protocol}\r\n`}\r\n`
  );
}
