/**
 * Requests at a steady rate, whatever becomes of the ones before: three of four are GETs, the fourth a POST with an id of
 * its own, which the origin counts (programs/origin.ts, /once).
 */
import { Agent } from 'node:http';
import { ask, type HttpTarget, percentiles } from './load.ts';

export interface SteadyOptions extends HttpTarget {
  readonly perSecond: number;
  /** Begins every id. @default "r" */
  readonly name?: string;
}

export interface SlowRequest {
  readonly atMs: number;
  readonly tookMs: number;
  readonly isPost: boolean;
}

export interface SteadyResult {
  readonly offeredPerSecond: number;
  /** Answered with 200. */
  readonly reachedPerSecond: number;
  readonly gets: number;
  readonly failedGets: number;
  readonly posts: number;
  readonly failedPosts: number;
  /** Ids of POSTs that were answered with 200, and of those that failed, by what the answer said of them. */
  readonly answered: readonly string[];
  readonly failed: Readonly<Record<string, readonly string[]>>;
  /** Why requests failed, with how often. */
  readonly errors: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From the moment at which the request was due: the longest stall. */
  readonly maxMs: number;
  /** Those that took a tenth of a second or longer: when they were due, in milliseconds of the epoch, and how long. */
  readonly slow: readonly SlowRequest[];
}

const SLOW_MS = 100;
const MAX_SLOW = 10_000;

/** Connections of the client; a stall of a second at 1,000 requests a second keeps some of them waiting here. */
const MAX_SOCKETS = 200;
const TICK_MS = 5;
/** Longer than the mesh holds what waits for somebody who does not come back. */
const ANSWER_WITHIN_MS = 45_000;

/** Runs until `stop` resolves and every request is answered. */
export async function runSteady(options: SteadyOptions, stop: Promise<void>): Promise<SteadyResult> {
  const { perSecond, name = 'r' } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  const times: number[] = [];
  const errors: Record<string, number> = {};
  const answered: string[] = [];
  const failed: Record<string, string[]> = {};
  const slow: SlowRequest[] = [];
  const counts = { gets: 0, failedGets: 0, posts: 0, failedPosts: 0 };
  const pending = new Set<Promise<void>>();

  async function request(index: number, dueMs: number): Promise<void> {
    const isPost = index % 4 === 3;
    const id = `${name}-${index}`;
    if (isPost) counts.posts++;
    else counts.gets++;
    let failure: string | undefined;
    try {
      const method = isPost ? 'POST' : 'GET';
      const path = isPost ? `/once/${id}` : '/';
      const { status, headers } = await ask({ ...options, agent, method, path, timeoutMs: ANSWER_WITHIN_MS });
      const [reason, processed] = ['reason', 'processed'].map((name) => String(headers[`x-skein-${name}`] ?? ''));
      if (status !== 200) failure = `${method} ${status} ${reason}, processed: ${processed}`;
    } catch (error) {
      failure = `${isPost ? 'POST' : 'GET'} ${error instanceof Error ? error.message : String(error)}`;
    }
    const tookMs = performance.now() - dueMs;
    times.push(tookMs);
    if (tookMs >= SLOW_MS && slow.length < MAX_SLOW)
      slow.push({ atMs: performance.timeOrigin + dueMs, tookMs, isPost });
    if (isPost && failure === undefined) answered.push(id);
    if (failure === undefined) return;
    errors[failure] = (errors[failure] ?? 0) + 1;
    if (isPost) {
      counts.failedPosts++;
      failed[failure] = [...(failed[failure] ?? []), id];
    } else counts.failedGets++;
  }

  const startedMs = performance.now();
  let due = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    for (; startedMs + (due * 1000) / perSecond <= nowMs; due++) {
      const one: Promise<void> = request(due, startedMs + (due * 1000) / perSecond).finally(() => pending.delete(one));
      pending.add(one);
    }
  }, TICK_MS);
  await stop;
  clearInterval(timer);
  const seconds = (performance.now() - startedMs) / 1000;
  await Promise.all(pending);
  agent.destroy();
  const { failedGets, failedPosts } = counts;
  return {
    offeredPerSecond: perSecond,
    reachedPerSecond: Math.round((due - failedGets - failedPosts) / seconds),
    ...counts,
    answered,
    failed,
    errors,
    ...percentiles(times),
    slow,
  };
}
