/** Load of many small requests over kept connections, by wrk: as many as the proxies answer. */
import { runProgram } from '../../test/support/process.ts';
import type { Contender } from './contender.ts';

export interface WrkResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface WrkOptions {
  readonly connections: number;
  readonly seconds: number;
  /** Lua that tells wrk what to ask. */
  readonly script?: string;
}

/** @throws Error when any answer was no 2xx or a connection broke: such a run says nothing */
export async function runWrk(target: Contender, { connections, seconds, script }: WrkOptions): Promise<WrkResult> {
  const text = await runProgram('wrk', [
    ...['-t1', `-c${connections}`, `-d${seconds}s`, '--latency'],
    ...(target.host === undefined ? [] : ['-H', `Host: ${target.host}`]),
    ...(script === undefined ? [] : ['-s', script]),
    `http://${target.address}/`,
  ]);
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  const requests = number(/(\d+) requests in/);
  if (requests === 0 || /Non-2xx or 3xx responses|Socket errors/.test(text)) {
    throw new Error(`The load through ${target.name} failed:\n${text}`);
  }
  return {
    requests,
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: latencyMs(text, '50%'),
    p99Ms: latencyMs(text, '99%'),
  };
}

/** `     50%    1.94ms` in milliseconds. */
function latencyMs(text: string, share: string): number {
  const [, value, unit] = new RegExp(`^\\s+${share}\\s+([\\d.]+)(us|ms|s)$`, 'm').exec(text) ?? [];
  return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as 'us' | 'ms' | 's'];
}
