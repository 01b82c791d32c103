/**
 * `count-work.js`: a hub, two sidecars with a direct path, an application and its clients in one process and one thread, so that
 * the same things happen in the same order on any machine; prints what 1,000 requests take of each thing that can be counted.
 * To be started with the flags of bench/guard/count.ts: compiled as little as possible, and nothing collected meanwhile.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PerformanceObserver } from 'node:perf_hooks';
import process from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';
import { createHub, createSidecar, type Sidecar } from '../../src/node.ts';
import { ask as askOnce } from '../../test/support/load.ts';
import type { Work } from '../guard/count.ts';

const REQUEST = Buffer.from('GET / HTTP/1.1\r\nHost: app.mesh\r\nUser-Agent: count\r\nAccept: */*\r\n\r\n');
const BODY = 'skein'.repeat(20);
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
);
const END = Buffer.from('\r\n\r\n');
const WARM_WAVES = 20;
const WAVES = 10;
const AT_ONCE = 64;
const SINGLE_REQUESTS = 200;
/** So much less time passes here than elsewhere: on a slow machine a wave takes longer than an ACK waits for company. */
const TIME_SLOWER = 100;

const collect = (globalThis as { gc?: () => void }).gc;
if (collect === undefined) throw new Error('Cannot count: start it with --expose-gc');
let collections = 0;
new PerformanceObserver((list) => {
  collections += list.getEntries().length;
}).observe({ entryTypes: ['gc'] });

/** Each call is one system call that writes. */
let writes = 0;

function countWrites(socket: Socket): void {
  const { _handle: handle } = socket as unknown as { _handle: object };
  const methods = Object.getPrototypeOf(Object.getPrototypeOf(handle)) as Record<
    string,
    (...args: unknown[]) => unknown
  >;
  for (const name of ['writev', 'writeBuffer', 'writeLatin1String', 'writeUtf8String', 'writeAsciiString']) {
    const write = methods[name];
    if (write === undefined) throw new Error(`Cannot count: a socket has no ${name}`);
    methods[name] = function (this: unknown, ...args: unknown[]) {
      writes++;
      return write.apply(this, args);
    };
  }
}

async function startOrigin(): Promise<string> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', (chunk) => {
      if (chunk.subarray(-4).equals(END)) socket.write(ANSWER);
    });
    socket.on('error', () => undefined); // the sidecar's question whether it is well
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Asks one request at a time. */
class Client {
  readonly #socket: Socket;
  #answered: (() => void) | undefined;
  #received = 0;
  #length = 0;

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.on('data', (chunk) => this.#read(chunk));
  }

  get socket(): Socket {
    return this.#socket;
  }

  ask(answered: () => void): void {
    this.#answered = answered;
    this.#socket.write(REQUEST);
  }

  /** The first answer says how long they are. */
  #read(chunk: Buffer): void {
    this.#received += chunk.length;
    if (this.#length === 0) {
      const end = chunk.indexOf(END);
      if (!chunk.toString('latin1', 0, 12).endsWith(' 200') || end < 0) throw new Error(`Answered: ${chunk}`);
      this.#length = end + END.length + BODY.length;
    }
    if (this.#received < this.#length) return;
    this.#received = 0;
    this.#answered?.();
  }
}

function ask(clients: readonly Client[]): Promise<void> {
  return new Promise((resolve) => {
    let left = clients.length;
    for (const client of clients) client.ask(() => --left === 0 && resolve());
  });
}

async function readCounter(sidecar: Sidecar, name: string): Promise<number> {
  const text = await (await fetch(`${sidecar.addresses.admin}/metrics`)).text();
  const [, value] = new RegExp(`^${name} (\\d+)`, 'm').exec(text) ?? [];
  if (value === undefined) throw new Error(`There is no metric ${name}`);
  return Number(value);
}

async function main(): Promise<Readonly<Record<string, Work>>> {
  const hub = await createHub();
  const origin = await startOrigin();
  const join = async (service: string, options: object): Promise<Sidecar> => {
    const { text: token } = await hub.createJoinToken({ services: [service] });
    return createSidecar({ hub: hub.url, token, admin: '127.0.0.1:0', ...options });
  };
  await join('app', { expose: [{ service: 'app', target: `http://${origin}` }] });
  const caller = await join('client', { listen: { http: '127.0.0.1:0' } });
  const port = Number(new URL(caller.addresses.http ?? '').port);
  const [first, ...others] = Array.from({ length: AT_ONCE }, () => new Client(port)) as [Client, ...Client[]];
  const all = [first, ...others];
  await ask(all);
  countWrites(first.socket);
  await untilDirect(`127.0.0.1:${port}`);
  slowTime();
  for (let i = 0; i < WARM_WAVES; i++) await ask(all);
  const count = async (requests: number, run: () => Promise<void>): Promise<Work> => {
    const perThousand = (value: number) => Math.round((value / requests) * 1_000);
    const records = () => readCounter(caller, 'skein_session_records_sent_total');
    const recordsBefore = await records();
    for (let i = 0; i < 3; i++) await turn();
    collect?.();
    const before = { ...process.memoryUsage(), writes, collections };
    await run();
    const after = process.memoryUsage();
    const written = writes - before.writes;
    await turn();
    if (collections > before.collections + 1) throw new Error('Cannot count: something was collected meanwhile');
    return {
      heapBytesPerRequest: Math.round((after.heapUsed - before.heapUsed) / requests),
      writesPerThousand: perThousand(written),
      callerRecordsPerThousand: perThousand((await records()) - recordsBefore),
    };
  };
  return {
    one: await count(SINGLE_REQUESTS, async () => {
      for (let i = 0; i < SINGLE_REQUESTS; i++) await ask([first]);
    }),
    crowd: await count(WAVES * AT_ONCE, async () => {
      for (let i = 0; i < WAVES; i++) await ask(all);
    }),
  };
}

/** Timers of the mesh fire when this clock says so. */
function slowTime(): void {
  const now = performance.now.bind(performance);
  const sinceMs = now();
  performance.now = () => sinceMs + (now() - sinceMs) / TIME_SLOWER;
}

/** The path is found within some answers; each says by which way it came. */
async function untilDirect(through: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    const { headers } = await askOnce({ through, host: 'app.mesh', headers: { 'x-skein-path': '?' } });
    if (String(headers['x-skein-path']).startsWith('direct')) return;
  }
  throw new Error(`Cannot count: no direct path was found from ${through}`);
}

process.stdout.write(`${JSON.stringify(await main())}\n`);
process.exit(0);
