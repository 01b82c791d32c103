/** Witnesses that are not ours: many HTTP requests, WebSocket echoes and TCP echoes, each answer checked, times kept. */
import { createHash, randomBytes } from 'node:crypto';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { WebSocket } from 'ws';

export interface LoadResult {
  readonly count: number;
  readonly failures: number;
  /** Distinct failures with how often, at most ten. */
  readonly errors: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface HttpTarget {
  /** `host:port` of the listener to connect to. */
  readonly through: string;
  /** The mesh name, as `echo.mesh`. */
  readonly host: string;
  /** `absolute`: as an HTTP proxy is asked; `host`: as a plain server is asked. */
  readonly form?: 'absolute' | 'host';
}

export interface HttpLoad extends HttpTarget {
  readonly kind: 'http';
  readonly count: number;
  readonly concurrency: number;
  /** Bytes of a request body; 0 asks with GET. @default 0 */
  readonly bodyBytes?: number;
  /** @default "/echo" */
  readonly path?: string;
}

export interface WebSocketLoad extends HttpTarget {
  readonly kind: 'websocket';
  /** Echoes in all. */
  readonly count: number;
  readonly sockets: number;
}

export interface TcpLoad {
  readonly kind: 'tcp';
  readonly to: string;
  /** Connections, one after the other on each of `concurrency` tracks. */
  readonly count: number;
  readonly concurrency: number;
  readonly bytes: number;
}

export type Load = HttpLoad | WebSocketLoad | TcpLoad;

export async function runLoad(load: Load): Promise<LoadResult> {
  if (load.kind === 'http') return runHttp(load);
  return load.kind === 'websocket' ? runWebSockets(load) : runTcp(load);
}

/** Runs `once` `count` times on `concurrency` tracks and counts. */
export async function repeat(
  count: number,
  concurrency: number,
  once: (index: number, track: number) => Promise<void>,
): Promise<LoadResult> {
  const times: number[] = [];
  const errors: Record<string, number> = {};
  let next = 0;
  let failures = 0;
  const run = async (_: unknown, track: number) => {
    while (next < count) {
      const index = next++;
      const started = performance.now();
      try {
        await once(index, track);
        times.push(performance.now() - started);
      } catch (error) {
        failures++;
        const text = error instanceof Error ? error.message : String(error);
        if (text in errors || Object.keys(errors).length < 10) errors[text] = (errors[text] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, run));
  return { count, failures, errors, ...percentiles(times) };
}

export function percentiles(times: readonly number[]): { p50Ms: number; p99Ms: number; maxMs: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: round(sorted.at(-1) ?? 0) };
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly trailers: IncomingMessage['trailers'];
  readonly body: Buffer;
}

export interface AskOptions extends HttpTarget {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
  readonly timeoutMs?: number;
}

/** One request through a listener, with its whole answer. */
export function ask(options: AskOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = openRequest(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          trailers: response.trailers,
          body: Buffer.concat(chunks),
        });
      });
    });
    asked.on('error', reject);
    asked.end(options.body);
  });
}

/** A request that is not ended: for streams. */
export function openRequest(options: AskOptions, onResponse: (response: IncomingMessage) => void): ClientRequest {
  const { through, host, form = 'absolute', path = '/' } = options;
  const { hostname, port } = new URL(`http://${through}`);
  const asked = request(
    {
      host: hostname,
      port,
      method: options.method ?? 'GET',
      path: form === 'absolute' ? `http://${host}${path}` : path,
      headers: { host, ...options.headers } as Record<string, string>,
      agent: options.agent,
      setHost: false,
      timeout: options.timeoutMs ?? 30_000,
    },
    onResponse,
  );
  asked.on('timeout', () => asked.destroy(new Error('timeout')));
  return asked;
}

async function runHttp(load: HttpLoad): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.concurrency });
  const body = load.bodyBytes ? randomBytes(load.bodyBytes) : undefined;
  try {
    return await repeat(load.count, load.concurrency, async (index) => {
      const path = load.path ?? `/echo?n=${index}`;
      const answer = await ask({ ...load, path, method: body ? 'POST' : 'GET', body, agent });
      const reason = answer.headers['x-skein-reason'];
      if (answer.status !== 200) throw new Error(`status ${answer.status}${reason ? ` ${reason}` : ''}`);
      if (load.path !== undefined) return;
      const seen = JSON.parse(answer.body.toString()) as { url: string; body: string };
      if (seen.url !== path) throw new Error('the answer belongs to another request');
      if (seen.body !== (body?.toString('latin1') ?? '')) throw new Error('the body arrived changed');
    });
  } finally {
    agent.destroy();
  }
}

async function runWebSockets(load: WebSocketLoad): Promise<LoadResult> {
  const sockets = await Promise.all(Array.from({ length: load.sockets }, () => openWebSocket(load)));
  try {
    return await repeat(load.count, load.sockets, (index, track) =>
      echo(sockets[track] as WebSocket, randomBytes(1 + (index % 4096))),
    );
  } finally {
    for (const socket of sockets) socket.terminate();
  }
}

export function openWebSocket(target: HttpTarget, headers: Record<string, string> = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${target.through}/socket`, {
    headers: { host: target.host, ...headers },
    handshakeTimeout: 20_000,
  });
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
    socket.once('unexpected-response', (_, response) => {
      reject(new Error(`upgrade answered ${response.statusCode} ${response.headers['x-skein-reason'] ?? ''}`));
    });
  });
}

export function echo(socket: WebSocket, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: Error) => {
      socket.off('message', onMessage);
      socket.off('close', onClose);
      socket.off('error', end);
      if (error) reject(error);
      else resolve();
    };
    const onMessage = (data: unknown) =>
      message.equals(data as Buffer) ? end() : end(new Error('the echo is another message'));
    const onClose = (code: number) => end(new Error(`closed with ${code}`));
    socket.on('message', onMessage);
    socket.on('close', onClose);
    socket.on('error', end);
    socket.send(message, { binary: true });
  });
}

function runTcp(load: TcpLoad): Promise<LoadResult> {
  const sent = randomBytes(load.bytes);
  const digest = createHash('sha256').update(sent).digest('hex');
  return repeat(load.count, load.concurrency, () => tcpEcho(load.to, sent, digest));
}

/** Reads the greeting of a server that speaks first, sends, half-closes, and expects all of it back and then the end. */
function tcpEcho(to: string, sent: Buffer, digest: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(`tcp://${to}`);
    const socket = connectTcp({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.setTimeout(30_000, () => socket.destroy(new Error('timeout')));
    const chunks: Buffer[] = [];
    let greeted = false;
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (greeted || !Buffer.concat(chunks).includes('\r\n')) return;
      greeted = true;
      socket.end(sent);
    });
    socket.on('end', () => {
      const all = Buffer.concat(chunks);
      const body = all.subarray(all.indexOf('\r\n') + 2);
      if (greeted && createHash('sha256').update(body).digest('hex') === digest) resolve();
      else reject(new Error(`the echo has ${body.length} of ${sent.length} bytes, or others`));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed before the end')));
  });
}
