/** Conversations that last (lasting-streams.ts), of every kind at once: over raw connections, requests and WebSockets. And their judgement. */
import assert from 'node:assert/strict';
import { printFigures } from './figures.ts';
import {
  type LastingResult,
  LastingStreams,
  type LineTime,
  type OpenChannel,
  throughHttp,
  throughTcp,
  throughWebSocket,
} from './lasting-streams.ts';
import type { HttpTarget } from './load.ts';

export interface LastingKindsOptions extends HttpTarget {
  /** `host:port` of a TCP listener that leads to an origin; none means no raw connections. */
  readonly tcp?: string | undefined;
  /** Of each kind; 0 means none at all. */
  readonly count: number;
  /** Between two lines of one of them. */
  readonly periodMs: number;
}

/** By kind: "raw", "http", "sockets". */
export type LastingResults = Readonly<Record<string, LastingResult>>;

/** From one moment of `performance.now()` to another. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export class LastingKinds {
  readonly #kinds: ReadonlyMap<string, LastingStreams>;

  private constructor(kinds: ReadonlyMap<string, LastingStreams>) {
    this.#kinds = kinds;
  }

  static async start({ tcp, count, periodMs, ...target }: LastingKindsOptions): Promise<LastingKinds> {
    const ways: [kind: string, open: OpenChannel][] = [
      ...(tcp === undefined ? [] : [['raw', throughTcp(tcp)] as [string, OpenChannel]]),
      ['http', throughHttp(target)],
      ['sockets', throughWebSocket(target)],
    ];
    const kinds = new Map<string, LastingStreams>();
    for (const [kind, open] of count > 0 ? ways : []) {
      kinds.set(kind, await LastingStreams.start(count, open, { periodMs }));
    }
    return new LastingKinds(kinds);
  }

  /** Every line that came back so far. */
  get lines(): readonly LineTime[] {
    return [...this.#kinds.values()].flatMap(({ lines }) => lines);
  }

  /** Nothing new is said; what was said is awaited, and the ends. */
  async finish(): Promise<LastingResults> {
    const results: Record<string, LastingResult> = {};
    for (const [kind, streams] of this.#kinds) results[kind] = await streams.finish();
    return results;
  }
}

/** No stream ended, no line was lost, none came twice. @param more tells of the circumstances */
export function assertUnbroken(result: LastingResult, kind = '', more = ''): void {
  const { broken, lost, duplicated, errors, sent, received } = result;
  assert.deepEqual(
    { kind, broken, lost, duplicated, errors, received },
    { kind, broken: 0, lost: 0, duplicated: 0, errors: [], received: sent },
    more === '' ? undefined : `${kind} ${JSON.stringify(result)}\n${more}`,
  );
}

export function assertAllUnbroken(results: LastingResults, what = ''): void {
  for (const [kind, result] of Object.entries(results)) assertUnbroken(result, `${what} ${kind}`.trim());
}

export function printKinds(what: string, results: LastingResults, more: object = {}): void {
  for (const [kind, figures] of Object.entries(results)) printFigures(`${what}: ${kind}`, { ...figures, ...more });
}

/** Whether a line, or a request, was under way at any moment of the window. */
export function isDuring({ sentMs, tookMs }: LineTime, { fromMs, toMs }: Window): boolean {
  return sentMs <= toMs && sentMs + tookMs >= fromMs;
}
