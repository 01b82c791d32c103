/** The load: wrk for many small requests, curl for one large body. Neither is ours. */
import { runProgram } from '../test/support/process.ts';
import type { Contender } from './contenders.ts';

export interface WrkResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that are no 2xx or 3xx, and broken connections. A run with any is void. */
  readonly errors: number;
}

export interface Download {
  readonly megabytesPerSecond: number;
  readonly seconds: number;
}

export async function runWrk(target: Contender, connections: number, seconds: number): Promise<WrkResult> {
  const text = await runProgram('wrk', [
    ...['-t1', `-c${connections}`, `-d${seconds}s`, '--latency'],
    ...(target.host === undefined ? [] : ['-H', `Host: ${target.host}`]),
    ...(target.script === undefined ? [] : ['-s', target.script]),
    `http://${target.address}/`,
  ]);
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  const socketErrors =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
  const result = {
    requests: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: latency(text, '50%'),
    p99Ms: latency(text, '99%'),
    errors: number(/Non-2xx or 3xx responses: (\d+)/) + socketErrors.reduce((sum, each) => sum + Number(each), 0),
  };
  if (result.requests === 0) throw new Error(`Cannot read wrk's report:\n${text}`);
  return result;
}

export async function download(target: Contender, bytes: number): Promise<Download> {
  const host = target.host === undefined ? [] : ['-H', `Host: ${target.host}`];
  const format = '%{http_code} %{size_download} %{time_total}';
  const url = `http://${target.address}/large`;
  const text = await runProgram('curl', ['-s', '-o', '/dev/null', '-w', format, ...host, url]);
  const [status, size, seconds = Number.NaN] = text.split(' ').map(Number);
  if (status !== 200 || size !== bytes) throw new Error(`The download through ${target.name} failed: ${text}`);
  return { seconds, megabytesPerSecond: bytes / 1e6 / seconds };
}

/** `     50%    1.94ms` in milliseconds. */
function latency(text: string, share: string): number {
  const [, value, unit] = new RegExp(`^\\s+${share}\\s+([\\d.]+)(us|ms|s)$`, 'm').exec(text) ?? [];
  return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as 'us' | 'ms' | 's'];
}
