/** What the one admin port of several workers tells: of each what is its own, and of the first that answers what is the same for all. */

import { type CrewMember, workerGone } from '../../core/crew.ts';
import { mergeMetrics } from '../../telemetry/merge.ts';
import type { Metrics } from '../../telemetry/prometheus.ts';
import type { AdminSources } from '../admin-sources.ts';

export interface ReportsOptions {
  /** Those that are ready. */
  readonly workers: () => readonly CrewMember[];
  /** Of the supervisor. */
  readonly metrics: Metrics;
}

type Report = Readonly<Record<string, unknown>>;

export function createReports({ workers, metrics }: ReportsOptions): AdminSources {
  /** One that ends meanwhile is left out. */
  const askAll = async (what: string, query?: unknown): Promise<(readonly [worker: CrewMember, answer: unknown])[]> => {
    const asked = workers().map(async (worker) => [worker, await worker.ask(what, query)] as const);
    const settled = await Promise.allSettled(asked);
    const answers = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const [first] = settled;
    if (answers.length > 0) return answers;
    throw first?.status === 'rejected' ? first.reason : workerGone();
  };
  const askOne = async (what: string, query?: unknown): Promise<object> => {
    const [first] = workers();
    if (first === undefined) throw workerGone();
    return (await first.ask(what, query)) as object;
  };
  /** The first one's answer, with the list of all. */
  const join = async (what: string, list: string, query?: unknown): Promise<object> => {
    const answers = await askAll(what, query);
    const items = answers.flatMap(([{ worker }, answer]) =>
      toReports((answer as Report)[list]).map((item) => ({ worker, ...item })),
    );
    return { ...(answers[0]?.[1] as object), [list]: items };
  };
  return {
    metrics: {
      render: async () => {
        const answers = workers().length === 0 ? [] : await askAll('metrics');
        const texts = answers.map(([{ worker }, text]) => [String(worker), String(text)] as const);
        return `${await metrics.render()}${mergeMetrics('worker', texts)}`;
      },
    },
    status: async () => {
      const answers = await askAll('status');
      return {
        ...(answers[0]?.[1] as object),
        workers: answers.map(([{ worker, pid, starts }, answer]) => ({ worker, pid, starts, ...(answer as object) })),
      };
    },
    paths: () => join('paths', 'peers'),
    backends: () => join('backends', 'backends'),
    policies: (window) => join('policies', 'decisions', window),
    explain: (query) => askOne('explain', query),
    issueToken: (query) => askOne('issueToken', query),
    verifyToken: (query) => askOne('verifyToken', query),
    audit: () => askOne('audit'),
    permissive: async () => (await askOne('permissive').catch(() => undefined)) as string | undefined,
  };
}

function toReports(value: unknown): readonly Report[] {
  return Array.isArray(value) ? value : [];
}
