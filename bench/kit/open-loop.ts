/** Load at a fixed rate, in a process of its own: latency as those see it who come when they come. */
import process from 'node:process';
import { runProgram } from '../../test/support/process.ts';
import { programPath } from './programs.ts';

export interface OpenLoopOptions {
  /** `host:port` */
  readonly address: string;
  readonly host?: string | undefined;
  readonly perSecond: number;
  readonly seconds: number;
  /** Requests that find all of them busy wait, and their wait counts. */
  readonly connections: number;
}

export interface OpenLoopResult {
  readonly requests: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export async function runOpenLoop(options: OpenLoopOptions): Promise<OpenLoopResult> {
  return JSON.parse(await runProgram(process.execPath, [programPath('open-loop'), JSON.stringify(options)]));
}
