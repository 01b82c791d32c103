/** What a sidecar counts → metrics. */

import type { Agent } from '../agent/agent.ts';
import { UPLINK_STATES, type UplinkState } from '../agent/uplink.ts';
import type { EventCounter, EventHistogram, Metrics } from '../telemetry/prometheus.ts';
import type { CounterSeries, HistogramSeries } from '../telemetry/series.ts';

export interface SidecarMetricsOptions {
  readonly agent: Agent;
  readonly runtime: string;
}

type Direction = 'inbound' | 'outbound';

interface Finished {
  readonly service: string;
  readonly status: number;
  readonly reason: string;
  readonly durationMs: number;
}

export function defineSidecarMetrics(metrics: Metrics, { agent, runtime }: SidecarMetricsOptions): void {
  metrics.readAll('skein_build_info', () => [[{ role: 'sidecar', runtime }, 1]]);
  metrics.readAll('skein_hubs', () => {
    const counts = new Map<UplinkState, number>(UPLINK_STATES.map((state) => [state, 0]));
    for (const { state } of agent.hubs) counts.set(state, (counts.get(state) ?? 0) + 1);
    return [...counts].map(([state, count]) => [{ state }, count]);
  });
  metrics.readAll('skein_revocations_refused_total', () =>
    Object.entries(agent.identity.revocationsRefused).map(([cause, count]) => [{ cause }, count]),
  );
  metrics.readAll('skein_audit_refused_total', () =>
    Object.entries(agent.audit.alarms).map(([cause, count]) => [{ cause }, count]),
  );
  metrics.read('skein_audit_entries', () => agent.audit.head?.seq ?? 0);
  metrics.read('skein_identity_issued_elsewhere_total', () => agent.audit.issuedElsewhere);
  metrics.readAll('skein_hub_roles_missing', () => agent.missingRoles.map((role) => [{ role }, 1]));
  metrics.read('skein_hubs_beyond_roles_total', () => agent.hubsBeyondRoles);
  metrics.read('skein_unread_bytes', () => agent.peers.unread.bytes);
  metrics.read('skein_resend_bytes', () => agent.peers.budget.bytes);
  metrics.read('skein_resend_limit_bytes', () => agent.peers.budget.limitBytes);
  metrics.readAll('skein_quota_crossed_total', () =>
    [...agent.peers.quotasCrossed].map(([quota, count]) => [{ quota }, count]),
  );
  metrics.read('skein_catalogue_applied_total', () => agent.mirror.stats.applied);
  metrics.read('skein_catalogue_diverged_total', () => agent.mirror.stats.diverged);
  metrics.read('skein_catalogue_resyncs_total', () => agent.mirror.stats.resyncs);
  metrics.readAll('skein_seals_refused_total', () =>
    Object.entries(agent.mirror.seals?.stats.refused ?? {}).map(([cause, count]) => [{ cause }, count]),
  );
  metrics.readAll('skein_statements_withheld_total', () =>
    Object.entries(agent.mirror.seals?.stats.withheld ?? {}).map(([what, count]) => [{ what }, count]),
  );
  metrics.readAll('skein_bundles_refused_total', () =>
    Object.entries(agent.identity.bundlesRefused).map(([cause, count]) => [{ cause }, count]),
  );
  metrics.read('skein_bundle_valid_seconds', () => agent.bundleValidMs / 1000);
  metrics.read('skein_seal_age_seconds', () => (agent.mirror.seals?.sealAgeMs ?? 0) / 1000);
  metrics.read('skein_catalogue_revision', () => agent.mirror.snapshot.revision);

  const requests = metrics.counter('skein_requests_total');
  const durations = metrics.histogram('skein_request_duration_seconds');
  const retries = metrics.counter('skein_retries_total');
  const withheld = metrics.counter('skein_retries_withheld_total');
  const inFlight: Record<Direction, number> = { inbound: 0, outbound: 0 };
  metrics.readAll('skein_requests_in_flight', () => [
    [{ direction: 'inbound' }, inFlight.inbound],
    [{ direction: 'outbound' }, inFlight.outbound],
  ]);
  const watch = (direction: Direction) => {
    const series = new RequestSeries(direction, requests, durations);
    return {
      start: (): void => {
        inFlight[direction]++;
      },
      finish: (fact: Finished): void => {
        inFlight[direction]--;
        series.note(fact);
      },
    };
  };
  const inbound = watch('inbound');
  agent.inboundEvents.on('started', inbound.start);
  agent.inboundEvents.on('finished', inbound.finish);
  const outbound = watch('outbound');
  agent.outboundEvents.on('started', outbound.start);
  agent.outboundEvents.on('finished', outbound.finish);
  agent.outboundEvents.on('retried', ({ service }) => retries.of({ service }).add());
  agent.outboundEvents.on('withheld', (fact) => withheld.of({ ...fact }).add());
  defineHealthMetrics(metrics, agent);
  definePolicyMetrics(metrics, agent);
}

/** What policies have denied here, or would. */
function definePolicyMetrics(metrics: Metrics, { inboundEvents, mirror }: Agent): void {
  const counters = {
    denied: metrics.counter('skein_policy_denied_total'),
    'would-deny': metrics.counter('skein_policy_would_deny_total'),
    'would-allow': metrics.counter('skein_policy_would_allow_total'),
  };
  inboundEvents.on('judged', ({ outcome, service, rule }) => {
    counters[outcome].of({ service: service.slice(0, service.lastIndexOf(':')), rule }).add();
  });
  const tokens = metrics.counter('skein_user_tokens_total');
  inboundEvents.on('token', (fact) => tokens.of({ ...fact }).add());
  metrics.read('skein_policy_permissive', () => (mirror.authorizer.permissive === undefined ? 0 : 1));
}

/** What the router thinks of the endpoints it calls. */
function defineHealthMetrics(metrics: Metrics, { outboundEvents }: Agent): void {
  const ejections = metrics.counter('skein_ejections_total');
  const readmissions = metrics.counter('skein_readmissions_total');
  const [panicking, spilling] = [new Set<string>(), new Set<string>()];
  outboundEvents.on('ejected', ({ service, cause }) => ejections.of({ service, cause }).add());
  outboundEvents.on('readmitted', ({ service }) => readmissions.of({ service }).add());
  const note = (services: Set<string>, { service, isOn }: { service: string; isOn: boolean }): void => {
    if (isOn) services.add(service);
    else services.delete(service);
  };
  outboundEvents.on('panic', (fact) => note(panicking, fact));
  outboundEvents.on('spillover', (fact) => note(spilling, fact));
  metrics.readAll('skein_panic', () => [...panicking].map((service) => [{ service }, 1] as const));
  metrics.readAll('skein_spillover', () => [...spilling].map((service) => [{ service }, 1] as const));
}

/** Services whose series are kept at hand. */
const MAX_SERVICES = 1000;

interface ServiceSeries {
  readonly duration: HistogramSeries;
  /** Answers of the application, by class of status; `0` where there was none. */
  readonly answers: CounterSeries[];
}

/** What requests of one direction add to, at hand by service. */
class RequestSeries {
  readonly #direction: Direction;
  readonly #requests: EventCounter<'skein_requests_total'>;
  readonly #durations: EventHistogram<'skein_request_duration_seconds'>;
  readonly #services = new Map<string, ServiceSeries>();

  constructor(
    direction: Direction,
    requests: EventCounter<'skein_requests_total'>,
    durations: EventHistogram<'skein_request_duration_seconds'>,
  ) {
    this.#direction = direction;
    this.#requests = requests;
    this.#durations = durations;
  }

  note({ service, status, reason, durationMs }: Finished): void {
    const series = this.#services.get(service) ?? this.#add(service);
    const statusClass = Math.floor(status / 100);
    if (reason !== '') {
      this.#counter(service, statusClass, reason).add();
    } else {
      series.answers[statusClass] ??= this.#counter(service, statusClass, '');
      series.answers[statusClass].add();
    }
    series.duration.observe(durationMs / 1000);
  }

  #add(service: string): ServiceSeries {
    const series = { duration: this.#durations.of({ direction: this.#direction, service }), answers: [] };
    if (this.#services.size < MAX_SERVICES) this.#services.set(service, series);
    return series;
  }

  #counter(service: string, statusClass: number, reason: string): CounterSeries {
    const status = statusClass === 0 ? 'none' : `${statusClass}xx`;
    return this.#requests.of({ direction: this.#direction, service, status, reason });
  }
}
