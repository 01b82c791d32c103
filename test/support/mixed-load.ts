/**
 * All that a fault must not harm, at once: requests at a steady rate (steady-load.ts), and conversations that last, over raw
 * connections, requests and WebSockets (lasting-kinds.ts). The origin (programs/origin.ts) counts the POSTs.
 */
import assert from 'node:assert/strict';
import { printFigures } from './figures.ts';
import {
  assertAllUnbroken,
  isDuring,
  LastingKinds,
  type LastingKindsOptions,
  type LastingResults,
  printKinds,
} from './lasting-kinds.ts';
import { countIds, judgePosts, SteadyClient } from './steady-client.ts';
import type { SteadyResult } from './steady-load.ts';

export interface MixedOptions extends Omit<LastingKindsOptions, 'count' | 'periodMs'> {
  readonly perSecond: number;
  /** Of each kind. @default 20 */
  readonly streams?: number;
  /** Between two lines of one of them. @default 200 */
  readonly periodMs?: number;
}

export interface MixedResult {
  readonly requests: Omit<SteadyResult, 'answered' | 'failed'>;
  readonly posts: ReturnType<typeof judgePosts>;
  readonly streams: LastingResults;
  /** The longest that a request or a line took: the longest stall. */
  readonly longestMs: number;
  /** The same of lines alone: requests at a fixed rate also queue at their client where a machine is too slow for it. */
  readonly longestLineMs: number;
  /** The longest of all that was under way or due between two moments of `performance.now()`. */
  longestBetween(fromMs: number, toMs: number): number;
}

/** The ids of one are not those of another: an origin may see both. */
let loads = 0;

export class MixedLoad {
  readonly client: SteadyClient;
  readonly #streams: LastingKinds;

  private constructor(client: SteadyClient, streams: LastingKinds) {
    this.client = client;
    this.#streams = streams;
  }

  static async start({ perSecond, tcp, streams = 20, periodMs = 200, ...target }: MixedOptions): Promise<MixedLoad> {
    const lasting = await LastingKinds.start({ ...target, tcp, count: streams, periodMs });
    return new MixedLoad(await SteadyClient.start({ ...target, perSecond, name: `load-${loads++}` }), lasting);
  }

  /** Nothing new is begun; what was begun is awaited. @param origins `http://host:port` of all that serve */
  async finish(...origins: readonly string[]): Promise<MixedResult> {
    const { answered, failed, ...requests } = await this.client.finish();
    const streams = await this.#streams.finish();
    const { lines } = this.#streams;
    const slow = requests.slow.map(({ atMs, tookMs }) => ({ sentMs: atMs - performance.timeOrigin, tookMs }));
    const longestLineMs = Math.max(...Object.values(streams).map(({ maxMs }) => maxMs));
    return {
      requests,
      posts: judgePosts({ answered, failed }, await countIds(...origins)),
      streams,
      longestMs: Math.max(requests.maxMs, longestLineMs),
      longestLineMs,
      longestBetween: (fromMs, toMs) =>
        [...lines, ...slow].reduce(
          (most, line) => (isDuring(line, { fromMs, toMs }) ? Math.max(most, Math.round(line.tookMs)) : most),
          0,
        ),
    };
  }
}

export function printMixed(what: string, { requests, posts, streams }: MixedResult, more: object = {}): void {
  printKinds(what, streams);
  const { slow: _, ...load } = requests;
  printFigures(`${what}: requests`, { ...more, ...load, ...posts });
}

/** No request failed, none was executed twice, no stream ended, no line was lost. */
export function assertUnharmed({ requests, posts, streams }: MixedResult): void {
  assertAllUnbroken(streams);
  const { failedGets, failedPosts, errors } = requests;
  const { twice, answeredButUnseen } = posts;
  assert.deepEqual(
    { failedGets, failedPosts, errors, twice, answeredButUnseen },
    { failedGets: 0, failedPosts: 0, errors: {}, twice: 0, answeredButUnseen: 0 },
  );
}
