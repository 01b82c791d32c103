/** What the admin port of a sidecar tells, asked of its parts; each may be asked of another process too. */

import type { Metrics } from '../telemetry/prometheus.ts';
import { describeBackends } from './backends.ts';
import { answerExplain } from './explain.ts';
import { defineSidecarMetrics } from './metrics.ts';
import { describePaths } from './paths.ts';
import { describePolicies, followPolicies } from './policies.ts';
import { describeSidecar, type SidecarState, type StatusSources } from './status.ts';
import { answerToken, answerVerifyToken } from './tokens.ts';

export interface AdminSources {
  readonly metrics: Pick<Metrics, 'render'>;
  readonly status: () => object | Promise<object>;
  readonly paths: () => object | Promise<object>;
  readonly backends: () => object | Promise<object>;
  /** @throws SkeinError SKEIN_BAD_REQUEST */
  readonly explain: (query: unknown) => Promise<object>;
  /** @throws SkeinError */
  readonly issueToken: (query: unknown) => Promise<object>;
  /** @throws SkeinError */
  readonly verifyToken: (query: unknown) => Promise<object>;
  /** What was issued under the own identity. @throws SkeinError SKEIN_HUB_UNREACHABLE, SKEIN_IDENTITY */
  readonly audit: () => Promise<object>;
  /** What policies have denied of late, or would. @throws SkeinError SKEIN_BAD_REQUEST */
  readonly policies: (window: string | undefined) => object | Promise<object>;
  /** Who says that the mesh is permissive; undefined when it is not. */
  readonly permissive: () => string | undefined | Promise<string | undefined>;
}

export interface AdminSourcesOptions extends Omit<StatusSources, 'state'> {
  readonly metrics: Metrics;
  readonly state: () => SidecarState;
}

/** To be called once for `metrics`. */
export function createAdminSources({ metrics, state, ...sources }: AdminSourcesOptions): AdminSources {
  const { agent, clock, runtime } = sources;
  defineSidecarMetrics(metrics, { agent, runtime });
  const reporter = followPolicies(agent);
  return {
    metrics,
    status: () => describeSidecar({ ...sources, state: state() }),
    paths: () => describePaths(agent, clock),
    backends: () => describeBackends(agent),
    explain: (query) => answerExplain(agent, query),
    issueToken: (query) => answerToken(agent, query),
    verifyToken: (query) => answerVerifyToken(agent, query),
    audit: async () => ({ entries: await agent.audit.mine() }),
    policies: (window) => describePolicies(reporter, window),
    permissive: () => agent.mirror.authorizer.permissive,
  };
}
