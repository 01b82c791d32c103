/**
 * Conversations that last: each says one numbered line after the other at its own pace, and expects every line back, in
 * order, once. Over a raw connection, over a request whose body and answer are both chunked, or over a WebSocket.
 */
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { type HttpTarget, openRequest, openWebSocket, percentiles } from './load.ts';

export interface LastingOptions {
  readonly periodMs: number;
  /** Bytes of a line, at least. @default 64 */
  readonly lineBytes?: number;
}

export interface LastingResult {
  readonly count: number;
  /** Ended otherwise than by us. */
  readonly broken: number;
  readonly sent: number;
  readonly received: number;
  /** Lines that never came back, or behind a later one. */
  readonly lost: number;
  readonly duplicated: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The longest that a line took there and back: the longest stall. */
  readonly maxMs: number;
  /** Why those that broke did. */
  readonly errors: readonly string[];
}

/** When a line was said, and how long it took there and back. */
export interface LineTime {
  readonly sentMs: number;
  readonly tookMs: number;
}

/** The way there and back. */
interface Channel {
  say(line: string): void;
  /** No more is said; resolves when all has come back and the other end has ended too. */
  end(): Promise<void>;
}

interface ChannelEvents {
  readonly onLine: (line: string) => void;
  readonly onBroken: (reason: string) => void;
}

export type OpenChannel = (events: ChannelEvents) => Promise<Channel>;

/** Many conversations of one kind. */
export class LastingStreams {
  readonly #streams: LastingStream[];
  readonly #timers: NodeJS.Timeout[];

  private constructor(streams: LastingStream[], { periodMs }: LastingOptions) {
    this.#streams = streams;
    // Spread over the period, so that the load is even.
    this.#timers = streams.map((stream, index) => {
      const timer = setTimeout(
        () => {
          stream.say();
          this.#timers[index] = setInterval(() => stream.say(), periodMs);
        },
        (periodMs * index) / streams.length,
      );
      return timer;
    });
  }

  static async start(count: number, open: OpenChannel, options: LastingOptions): Promise<LastingStreams> {
    const streams = await Promise.all(
      Array.from({ length: count }, () => LastingStream.open(open, options.lineBytes ?? 64)),
    );
    return new LastingStreams(streams, options);
  }

  /** Every line that came back so far. */
  get lines(): readonly LineTime[] {
    return this.#streams.flatMap(({ lines }) => lines);
  }

  /** Nothing new is said; what was said is awaited, and the ends. */
  async finish(): Promise<LastingResult> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#streams.map((stream) => stream.finish()));
    const sum = (field: 'sent' | 'received' | 'lost' | 'duplicated') =>
      this.#streams.reduce((total, stream) => total + stream[field], 0);
    const errors = this.#streams.flatMap(({ brokenBy }) => (brokenBy === undefined ? [] : [brokenBy]));
    return {
      count: this.#streams.length,
      broken: errors.length,
      sent: sum('sent'),
      received: sum('received'),
      lost: sum('lost'),
      duplicated: sum('duplicated'),
      ...percentiles(this.lines.map(({ tookMs }) => tookMs)),
      errors: [...new Set(errors)].slice(0, 5),
    };
  }
}

class LastingStream {
  sent = 0;
  received = 0;
  duplicated = 0;
  brokenBy: string | undefined;
  readonly lines: LineTime[] = [];
  readonly #padding: string;
  readonly #sentMs: number[] = [];
  #next = 0;
  #skipped = 0;
  #channel: Channel | undefined;

  private constructor(lineBytes: number) {
    this.#padding = '.'.repeat(lineBytes);
  }

  static async open(open: OpenChannel, lineBytes: number): Promise<LastingStream> {
    const stream = new LastingStream(lineBytes);
    stream.#channel = await open({
      onLine: (line) => stream.#onLine(line),
      onBroken: (reason) => {
        stream.brokenBy ??= reason;
      },
    });
    return stream;
  }

  get lost(): number {
    return this.#skipped + (this.sent - this.#next);
  }

  say(): void {
    if (this.brokenBy !== undefined) return;
    this.#sentMs[this.sent] = performance.now();
    this.#channel?.say(`${this.sent++} ${this.#padding}`);
  }

  async finish(): Promise<void> {
    if (this.brokenBy === undefined) await this.#channel?.end();
  }

  #onLine(line: string): void {
    const number = Number.parseInt(line, 10);
    if (line !== `${number} ${this.#padding}` || number >= this.sent) {
      this.brokenBy ??= `a line that was never said: "${line.slice(0, 40)}"`;
      return;
    }
    this.received++;
    if (number < this.#next) {
      this.duplicated++;
      return;
    }
    this.#skipped += number - this.#next;
    this.#next = number + 1;
    const sentMs = this.#sentMs[number] ?? 0;
    this.lines.push({ sentMs, tookMs: performance.now() - sentMs });
  }
}

/** Cuts text into lines, the end of each `\n`. */
function createLineReader(onLine: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
}

/** A raw connection to an origin (programs/origin.ts), which greets first. @param to `host:port` of a TCP listener */
export function throughTcp(to: string): OpenChannel {
  return ({ onLine, onBroken }) =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(`tcp://${to}`);
      const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
      let isGreeted = false;
      let isEnding = false;
      let onEnd: () => void = () => undefined;
      const read = createLineReader((line) => {
        if (isGreeted) return onLine(line);
        isGreeted = true;
        resolve({
          say: (text) => void socket.write(`${text}\n`),
          end: () =>
            new Promise((ended) => {
              isEnding = true;
              onEnd = ended;
              socket.end();
            }),
        });
      });
      socket.setEncoding('latin1').on('data', (text) => read(String(text)));
      const fail = (reason: string): void => {
        if (!isGreeted) reject(new Error(reason));
        onBroken(reason);
        onEnd();
      };
      socket.on('end', () => (isEnding ? onEnd() : fail('ended')));
      socket.on('error', (error) => fail(error.message));
    });
}

/** A request to `/mirror` of an origin. */
export function throughHttp(target: HttpTarget): OpenChannel {
  return ({ onLine, onBroken }) =>
    new Promise((resolve, reject) => {
      let isEnding = false;
      let onEnd: () => void = () => undefined;
      const agent = new Agent();
      const fail = (reason: string): void => {
        reject(new Error(reason)); // without effect once it is open
        onBroken(reason);
        onEnd();
      };
      const asked = openRequest(
        { ...target, path: '/mirror', method: 'POST', agent, timeoutMs: 120_000 },
        (response) => {
          const reason = response.headers['x-skein-reason'] ?? '';
          if (response.statusCode !== 200) return fail(`status ${response.statusCode} ${String(reason)}`);
          response.setEncoding('latin1').on('data', createLineReader(onLine));
          response.on('end', () => (isEnding ? onEnd() : fail('ended')));
          response.on('error', (error) => fail(error.message));
          resolve({
            say: (line) => void asked.write(`${line}\n`),
            end: () =>
              new Promise((ended) => {
                isEnding = true;
                onEnd = ended;
                asked.end();
              }),
          });
        },
      );
      asked.on('error', (error) => fail(error.message));
      asked.flushHeaders();
    });
}

/** A WebSocket that is echoed. */
export function throughWebSocket(target: HttpTarget): OpenChannel {
  return async ({ onLine, onBroken }) => {
    const socket = await openWebSocket(target);
    let isEnding = false;
    let onEnd: () => void = () => undefined;
    socket.on('message', (data) => onLine(String(data)));
    socket.on('close', (code) => {
      if (!isEnding || code !== 1000) onBroken(`closed with ${code}`);
      onEnd();
    });
    socket.on('error', (error) => onBroken(error.message));
    return {
      say: (line) => socket.send(line),
      end: () =>
        new Promise((ended) => {
          isEnding = true;
          onEnd = ended;
          // The echo of a close frame comes behind that of every message.
          socket.close(1000);
        }),
    };
  };
}
