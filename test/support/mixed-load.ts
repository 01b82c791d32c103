/**
 * All that a fault must not harm, at once: requests at a steady rate (steady-load.ts), and conversations that last, over raw
 * connections, requests and WebSockets (lasting-streams.ts). The origin (programs/origin.ts) counts the POSTs.
 */
import assert from 'node:assert/strict';
import { printFigures } from './figures.ts';
import {
  type LastingResult,
  LastingStreams,
  type OpenChannel,
  throughHttp,
  throughTcp,
  throughWebSocket,
} from './lasting-streams.ts';
import type { HttpTarget } from './load.ts';
import { countIds, judgePosts, SteadyClient } from './steady-client.ts';
import type { SteadyResult } from './steady-load.ts';

export interface MixedOptions extends HttpTarget {
  readonly perSecond: number;
  /** `host:port` of a TCP listener that leads to the origin; none means no raw connections. */
  readonly tcp?: string;
  /** Of each kind. @default 20 */
  readonly streams?: number;
  /** Between two lines of one of them. @default 200 */
  readonly periodMs?: number;
}

export interface MixedResult {
  readonly requests: Omit<SteadyResult, 'answered' | 'failed'>;
  readonly posts: ReturnType<typeof judgePosts>;
  readonly streams: Readonly<Record<string, LastingResult>>;
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
  readonly #streams: Readonly<Record<string, LastingStreams>>;

  private constructor(client: SteadyClient, streams: Readonly<Record<string, LastingStreams>>) {
    this.client = client;
    this.#streams = streams;
  }

  static async start({ perSecond, tcp, streams = 20, periodMs = 200, ...target }: MixedOptions): Promise<MixedLoad> {
    const kinds: Record<string, OpenChannel> = { http: throughHttp(target), sockets: throughWebSocket(target) };
    if (tcp !== undefined) kinds.raw = throughTcp(tcp);
    const started: Record<string, LastingStreams> = {};
    for (const [kind, open] of Object.entries(kinds)) {
      if (streams > 0) started[kind] = await LastingStreams.start(streams, open, { periodMs });
    }
    return new MixedLoad(await SteadyClient.start({ ...target, perSecond, name: `load-${loads++}` }), started);
  }

  /** Nothing new is begun; what was begun is awaited. @param origins `http://host:port` of all that serve */
  async finish(...origins: readonly string[]): Promise<MixedResult> {
    const { answered, failed, ...requests } = await this.client.finish();
    const streams: Record<string, LastingResult> = {};
    for (const [kind, each] of Object.entries(this.#streams)) streams[kind] = await each.finish();
    const lines = Object.values(this.#streams).flatMap((each) => each.lines);
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
          (most, { sentMs, tookMs }) =>
            sentMs <= toMs && sentMs + tookMs >= fromMs ? Math.max(most, Math.round(tookMs)) : most,
          0,
        ),
    };
  }
}

export function printMixed(what: string, { requests, posts, streams }: MixedResult, more: object = {}): void {
  for (const [kind, figures] of Object.entries(streams)) printFigures(`${what}: ${kind}`, { ...figures });
  const { slow: _, ...load } = requests;
  printFigures(`${what}: requests`, { ...more, ...load, ...posts });
}

/** No request failed, none was executed twice, no stream ended, no line was lost. */
export function assertUnharmed({ requests, posts, streams }: MixedResult): void {
  for (const [kind, { sent, received, lost, duplicated, broken, errors }] of Object.entries(streams)) {
    assert.deepEqual(
      { kind, broken, lost, duplicated, errors },
      { kind, broken: 0, lost: 0, duplicated: 0, errors: [] },
    );
    assert.equal(received, sent);
  }
  const { failedGets, failedPosts, errors } = requests;
  const { twice, answeredButUnseen } = posts;
  assert.deepEqual(
    { failedGets, failedPosts, errors, twice, answeredButUnseen },
    { failedGets: 0, failedPosts: 0, errors: {}, twice: 0, answeredButUnseen: 0 },
  );
}
