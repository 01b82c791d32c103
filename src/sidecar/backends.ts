/** The services that a sidecar calls and what it thinks of their instances, as its admin port tells it. */

import type { Agent } from '../agent/agent.ts';

/** Durations in milliseconds. */
export function describeBackends(agent: Agent): object {
  return {
    backends: agent.describeBackends().map(({ service, port, isPanicking, isSpilling, endpoints }) => ({
      ...{ service, port, panic: isPanicking, spillover: isSpilling },
      endpoints: endpoints.map(({ instance, region, zone, weight, state, pending, latencyMs, share }) => ({
        ...{ instance, region, zone, weight, state, pending },
        latencyMs: Math.round(latencyMs * 10) / 10,
        share: Math.round(share * 1000) / 1000,
      })),
    })),
  };
}
