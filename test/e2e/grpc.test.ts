/** gRPC through real sidecars, with grpc-js at both ends: all four kinds of call, every status, large messages, cancellation and deadlines. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { printFigures } from '../support/figures.ts';
import { TestMesh } from '../support/mesh.ts';
import { root } from '../support/repository.ts';

/* The few shapes of grpc-js that are used here; the package is installed by the test tools, beside the other runtimes. */
interface Call extends AsyncIterable<Buffer> {
  readonly request: Buffer;
  readonly cancelled: boolean;
  write(message: Buffer): boolean;
  end(): void;
  on(event: string, listener: (value: never) => void): this;
  emit(event: string, value: unknown): boolean;
  cancel(): void;
  getDeadline(): number;
}
type Reply = (error: { code: number; details?: string } | null, value?: Buffer) => void;
interface Grpc {
  readonly status: Readonly<Record<string, number>>;
  readonly credentials: { createInsecure(): unknown };
  readonly ServerCredentials: { createInsecure(): unknown };
  readonly Server: new () => {
    addService(definition: object, handlers: object): void;
    bindAsync(address: string, credentials: unknown, done: (error: Error | null, port: number) => void): void;
    forceShutdown(): void;
  };
  makeGenericClientConstructor(
    definition: object,
    name: string,
  ): new (
    address: string,
    credentials: unknown,
    options: object,
  ) => Client;
}
type Unary = (error: { code: number; details: string } | null, value: Buffer) => void;
interface Client {
  unary(message: Buffer, options: object, done: Unary): Call;
  collect(done: Unary): Call;
  expand(message: Buffer): Call;
  chat(): Call;
  close(): void;
}

const require = createRequire(join(root, 'test/runtimes/package.json'));
const grpc = require('@grpc/grpc-js') as Grpc;
const MIB = 1024 * 1024;

const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean, responseStream: boolean): object => ({
  ...{ path: `/skein.test.Echo/${name}`, requestStream, responseStream },
  ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
});
const ECHO = {
  unary: method('unary', false, false),
  collect: method('collect', true, false),
  expand: method('expand', false, true),
  chat: method('chat', true, true),
};

let cancelled = 0;
const HANDLERS = {
  /** `status N` fails with it, `hang` waits for the caller to give up, everything else comes back. */
  unary(call: Call, reply: Reply): void {
    const text = call.request.length < 64 ? String(call.request) : '';
    if (text.startsWith('status ')) reply({ code: Number(text.slice(7)), details: `as asked: ${text}` });
    else if (text === 'hang') call.on('cancelled', () => cancelled++);
    else reply(null, call.request);
  },
  collect(call: Call, reply: Reply): void {
    let bytes = 0;
    call.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    call.on('end', () => reply(null, Buffer.from(String(bytes))));
  },
  expand(call: Call): void {
    for (let i = 0; i < Number(call.request); i++) call.write(Buffer.from(String(i)));
    call.end();
  },
  chat(call: Call): void {
    call.on('data', (chunk: Buffer) => call.write(chunk));
    call.on('end', () => call.end());
    call.on('cancelled', () => cancelled++);
  },
};

describe('gRPC through two sidecars', () => {
  let mesh: TestMesh;
  let client: Client;
  const server = new grpc.Server();

  before(async () => {
    server.addService(ECHO, HANDLERS);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    mesh = await TestMesh.start();
    await mesh.startSidecar({ name: 'b', services: ['echo'], http: false, expose: [`echo=h2c://127.0.0.1:${port}`] });
    const a = await mesh.startSidecar({ name: 'a', services: ['web'], http: false, tcp: ['echo'] });
    const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
    client = new Echo(a.tcp('echo'), grpc.credentials.createInsecure(), {
      'grpc.max_receive_message_length': 8 * MIB,
      'grpc.default_authority': 'echo.mesh',
    });
  });
  after(async () => {
    client?.close();
    server.forceShutdown();
    await mesh?.close();
  });

  const unary = (message: Buffer, options: object = {}): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      client.unary(message, options, (error, value) => (error === null ? resolve(value) : reject(error)));
    });

  it('Unary, client, server and bidirectional streams', async () => {
    assert.equal(String(await unary(Buffer.from('hello'))), 'hello');
    const collected = new Promise<string>((resolve, reject) => {
      const call = client.collect((error, value) => (error === null ? resolve(String(value)) : reject(error)));
      for (let i = 0; i < 100; i++) call.write(Buffer.alloc(1000));
      call.end();
    });
    assert.equal(await collected, '100000');
    const numbers: string[] = [];
    for await (const message of client.expand(Buffer.from('500'))) numbers.push(String(message));
    assert.deepEqual(
      numbers,
      Array.from({ length: 500 }, (_, i) => String(i)),
    );
    const chat = client.chat();
    const said: string[] = [];
    const over = new Promise<void>((resolve, reject) => {
      chat.on('data', (message: Buffer) => {
        said.push(String(message));
        if (said.length === 50) chat.end();
        else chat.write(Buffer.from(`line ${said.length}`));
      });
      chat.on('end', () => resolve());
      chat.on('error', (error: Error) => reject(error));
    });
    chat.write(Buffer.from('line 0'));
    await over;
    assert.equal(said.at(-1), 'line 49');
  });

  it('Every status arrives as the application gave it', async () => {
    const codes = Object.values(grpc.status).filter((code): code is number => typeof code === 'number' && code > 0);
    assert.equal(codes.length, 16);
    for (const code of codes) {
      await assert.rejects(unary(Buffer.from(`status ${code}`)), { code, details: `as asked: status ${code}` });
    }
  });

  it('Messages of 4 MiB, eight at once', async () => {
    const messages = Array.from({ length: 8 }, (_, i) => Buffer.alloc(4 * MIB - 64, i + 1));
    const startedMs = performance.now();
    const answers = await Promise.all(messages.map((message) => unary(message)));
    printFigures('grpc', { messages: 8, mib: 32, ms: Math.round(performance.now() - startedMs) });
    for (const [i, answer] of answers.entries()) assert.ok(answer.equals(messages[i] as Buffer));
  });

  it('A caller that gives up, or whose deadline passes, ends the call at the application', async () => {
    const before = cancelled;
    await assert.rejects(unary(Buffer.from('hang'), { deadline: Date.now() + 300 }), {
      code: grpc.status.DEADLINE_EXCEEDED,
    });
    const call = client.chat();
    const failed = new Promise<{ code: number }>((resolve) =>
      call.on('error', (error: { code: number }) => resolve(error)),
    );
    await new Promise<void>((resolve) => {
      call.on('data', () => resolve());
      call.write(Buffer.from('x'));
    });
    call.cancel();
    assert.equal((await failed).code, grpc.status.CANCELLED);
    // The application hears of both; the next call is behind them on the same connections.
    while (cancelled < before + 2) await unary(Buffer.from('tick'));
  });

  it('What the mesh itself refuses is a status', async () => {
    const a = await mesh.startSidecar({ name: 'c', services: ['other'] });
    const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
    const stranger = new Echo(a.http, grpc.credentials.createInsecure(), { 'grpc.default_authority': 'nobody.mesh' });
    const refused = new Promise((_, reject) => {
      stranger.unary(Buffer.from('x'), {}, (error) => reject(error));
    });
    await assert.rejects(refused, { code: grpc.status.UNIMPLEMENTED });
    stranger.close();
    assert.deepEqual(mesh.accidents(), []);
  });
});
