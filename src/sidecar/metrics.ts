/** What a sidecar counts → metrics. */

import type { Agent } from '../agent/agent.ts';
import type { Metrics } from '../telemetry/prometheus.ts';

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
  metrics.read('skein_catalogue_applied_total', () => agent.mirror.stats.applied);
  metrics.read('skein_catalogue_diverged_total', () => agent.mirror.stats.diverged);
  metrics.read('skein_catalogue_resyncs_total', () => agent.mirror.stats.resyncs);
  metrics.read('skein_catalogue_revision', () => agent.mirror.snapshot.revision);

  const requests = metrics.counter('skein_requests_total');
  const durations = metrics.histogram('skein_request_duration_seconds');
  const retries = metrics.counter('skein_retries_total');
  const inFlight: Record<Direction, number> = { inbound: 0, outbound: 0 };
  metrics.readAll('skein_requests_in_flight', () => [
    [{ direction: 'inbound' }, inFlight.inbound],
    [{ direction: 'outbound' }, inFlight.outbound],
  ]);
  const watch = (direction: Direction) => ({
    start: (): void => {
      inFlight[direction]++;
    },
    finish: ({ service, status, reason, durationMs }: Finished): void => {
      inFlight[direction]--;
      requests.add({ direction, service, status: toStatusClass(status), reason });
      durations.observe({ direction, service }, durationMs / 1000);
    },
  });
  const inbound = watch('inbound');
  agent.inboundEvents.on('started', inbound.start);
  agent.inboundEvents.on('finished', inbound.finish);
  const outbound = watch('outbound');
  agent.outboundEvents.on('started', outbound.start);
  agent.outboundEvents.on('finished', outbound.finish);
  agent.outboundEvents.on('retried', ({ service }) => retries.add({ service }));
}

/** `2xx`, or `none` where there was no answer. */
function toStatusClass(status: number): string {
  return status === 0 ? 'none' : `${Math.floor(status / 100)}xx`;
}
