/** The state of a sidecar as its admin port tells it. */

import type { Agent } from '../agent/agent.ts';
import type { Clock } from '../core/clock.ts';
import type { Connections } from './connections.ts';
import type { ExposedApp } from './exposed-app.ts';

export type SidecarState = 'starting' | 'ready' | 'draining' | 'closed';

export interface StatusSources {
  readonly agent: Agent;
  readonly apps: readonly ExposedApp[];
  readonly connections: Connections;
  readonly addresses: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly runtime: string;
  readonly state: SidecarState;
  readonly startedAtMs: number;
}

export function describeSidecar(sources: StatusSources): object {
  const { agent, apps, connections, addresses, clock, runtime, state, startedAtMs } = sources;
  const { identity, mirror, peers } = agent;
  return {
    sidecar: {
      instance: agent.instance,
      state,
      runtime,
      startedAt: new Date(startedAtMs).toISOString(),
      uptimeMs: Math.max(0, clock.epochMs() - startedAtMs),
      addresses,
      connections: connections.size,
      streams: agent.liveStreams,
    },
    identity: identity.isMember
      ? {
          id: identity.id.uri,
          services: identity.services,
          expiresAt: new Date(identity.expiresAtMs).toISOString(),
        }
      : null,
    hub: agent.hub ?? null,
    audit: {
      entries: agent.audit.head?.seq ?? 0,
      alarm: agent.audit.alarm ?? null,
      issuedElsewhere: agent.audit.issuedElsewhere,
    },
    /** What no hub that is connected does for this member: issuer, catalogue, signal, relay. */
    missingRoles: agent.missingRoles,
    hubs: agent.hubs.map(({ url, state, isPrimary, roles, rttMs, error }) => ({
      url,
      roles: roles ?? null,
      state,
      primary: isPrimary,
      rttMs: toTenths(rttMs),
      ...(error === undefined ? {} : { reason: error.reason, error: error.message }),
    })),
    catalogue: { epoch: mirror.snapshot.epoch, revision: mirror.snapshot.revision, digest: mirror.snapshot.digest },
    exposed: apps.map(({ exposed: { service, port, target }, isHealthy, connections: open }) => ({
      service,
      port,
      target: `${target.protocol}://${target.host}:${target.port}`,
      healthy: isHealthy,
      connections: open,
    })),
    peers: [...peers.all()].map(({ instance, id, session }) => ({
      instance,
      id: id.uri,
      streams: session.openStreams,
      rttMs: toTenths(session.rttMs),
      direct: agent.direct.status(session) ?? null,
    })),
  };
}

function toTenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
