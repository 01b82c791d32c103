/**
 * `open-loop.js JSON`: asks at moments that were fixed beforehand, whatever the answers do, and measures each from the moment it
 * was due. A slow answer delays nobody else's start and hides nothing (no coordinated omission). Prints its figures as JSON.
 */
import { connect, type Socket } from 'node:net';
import process from 'node:process';
import { Worker } from 'node:worker_threads';
import type { OpenLoopOptions, OpenLoopResult } from '../kit/open-loop.ts';

/**
 * Tells of each moment when it has come. Timers of Node are late by a millisecond, and whoever waits turn by turn takes a whole core from those
 * it measures: a thread that sleeps is late by some 60 µs, and takes nothing.
 */
const CLOCK = `
const { parentPort, workerData: { startMs, perSecond, total } } = require('node:worker_threads');
const never = new Int32Array(new SharedArrayBuffer(4));
for (let i = 0; i < total; i++) {
  const leftMs = startMs + (i * 1000) / perSecond - (performance.timeOrigin + performance.now());
  if (leftMs > 0) Atomics.wait(never, 0, 0, leftMs);
  parentPort.postMessage(i);
}
`;
/** Until the clock's thread runs. */
const STARTED_MS = 100;
/** Answers that are not there so long after the last was due are failures. */
const PATIENCE_MS = 10_000;

const options = JSON.parse(process.argv[2] ?? '{}') as OpenLoopOptions;
const { address, host, perSecond, seconds, connections } = options;
const [hostname = '', port = ''] = address.split(':');
const request = Buffer.from(`GET / HTTP/1.1\r\nHost: ${host ?? address}\r\n\r\n`);
const total = Math.round(perSecond * seconds);
const latencies = new Float64Array(total);
const idle: Client[] = [];
/** Due, and no connection was free. */
const waiting: number[] = [];
let answered = 0;
let failed = 0;

/** One kept connection with at most one request on it. */
class Client {
  readonly #socket: Socket;
  #dueMs = 0;
  #received: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => fail(String(error)));
    socket.on('close', () => fail('the connection was closed'));
  }

  ask(dueMs: number): void {
    this.#dueMs = dueMs;
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.removeAllListeners('close').destroy();
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#received.toString('latin1', 0, end);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? Number.NaN);
    if (!head.startsWith('HTTP/1.1 200') || Number.isNaN(length)) return fail(head);
    if (this.#received.length < end + 4 + length) return;
    this.#received = Buffer.alloc(0);
    latencies[answered++] = performance.now() - this.#dueMs;
    const next = waiting.shift();
    if (next === undefined) idle.push(this);
    else this.ask(next);
    if (answered === total) finish();
  }
}

function fail(reason: string): void {
  failed++;
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

function finish(): void {
  const sorted = latencies.subarray(0, answered).sort();
  const at = (share: number) => sorted[Math.min(answered - 1, Math.floor(answered * share))] ?? Number.NaN;
  const result: OpenLoopResult = {
    requests: answered,
    failed,
    p50Ms: at(0.5),
    p90Ms: at(0.9),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
  for (const each of idle) each.close();
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exit(0);
}

function run(startMs: number): void {
  const workerData = { startMs: performance.timeOrigin + startMs, perSecond, total };
  const clock = new Worker(CLOCK, { eval: true, workerData });
  clock.on('error', (error) => fail(String(error)));
  clock.on('message', (i: number) => {
    const dueMs = startMs + (i * 1000) / perSecond;
    const client = idle.pop();
    if (client === undefined) waiting.push(dueMs);
    else client.ask(dueMs);
    if (i === total - 1) setTimeout(() => fail(`${total - answered} answers did not come`), PATIENCE_MS);
  });
}

for (let i = 0; i < connections; i++) {
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.once('connect', () => {
    idle.push(new Client(socket));
    if (idle.length === connections) run(performance.now() + STARTED_MS);
  });
  socket.once('error', (error) => fail(String(error)));
}
