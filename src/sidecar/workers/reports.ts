/** What the one admin port of several workers tells: of each what is its own, and of the first that answers what is the same for all. */

import { type Crew, workerGone } from '../../core/crew.ts';
import { mergeMetrics } from '../../telemetry/merge.ts';
import type { Metrics } from '../../telemetry/prometheus.ts';
import type { AdminSources } from '../admin-sources.ts';

export interface ReportsOptions {
  readonly crew: Pick<Crew, 'ready' | 'askAll'>;
  /** Of the supervisor. */
  readonly metrics: Metrics;
}

type Report = Readonly<Record<string, unknown>>;

export function createReports({ crew, metrics }: ReportsOptions): AdminSources {
  const askOne = async (what: string, query?: unknown): Promise<object> => {
    const [first] = crew.ready;
    if (first === undefined) throw workerGone();
    return (await first.ask(what, query)) as object;
  };
  /** The first one's answer, with the list of all. */
  const join = async (what: string, list: string, query?: unknown): Promise<object> => {
    const answers = await crew.askAll(what, query);
    const items = answers.flatMap(([{ worker }, answer]) =>
      toReports((answer as Report)[list]).map((item) => ({ worker, ...item })),
    );
    return { ...(answers[0]?.[1] as object), [list]: items };
  };
  return {
    metrics: {
      render: async () => {
        const answers = crew.ready.length === 0 ? [] : await crew.askAll('metrics');
        const texts = answers.map(([{ worker }, text]) => [String(worker), String(text)] as const);
        return `${await metrics.render()}${mergeMetrics('worker', texts)}`;
      },
    },
    status: async () => {
      const answers = await crew.askAll('status');
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
