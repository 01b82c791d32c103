/** The ways to every peer of a sidecar, as its admin port tells them. */

import type { Agent } from '../agent/agent.ts';
import { howOf } from '../agent/path-field.ts';
import type { Peer } from '../agent/peer.ts';
import type { Clock } from '../core/clock.ts';

export function describePaths(agent: Agent, clock: Clock): object {
  const { identity, peers } = agent;
  return {
    instance: agent.instance,
    id: identity.isMember ? identity.id.uri : null,
    peers: [...peers.all()].map((peer) => describePeer(peer, agent, clock)),
  };
}

/** Durations in milliseconds. `resumes`, `switches`: of this end, since the session began. */
function describePeer({ instance, id, session }: Peer, { direct }: Agent, clock: Clock): object {
  const { isDetached, isSuspect, detachedMs, stats } = session;
  return {
    instance,
    id: id.uri,
    session: session.id,
    state: isDetached ? 'detached' : isSuspect ? 'suspect' : 'open',
    detachedMs: detachedMs === undefined ? null : Math.round(clock.monotonicMs() - detachedMs),
    streams: session.openStreams,
    rttMs: toTenths(session.rttMs),
    switches: stats.pathSwitches,
    resumes: stats.resumes,
    paths: session.paths.map((path) => ({
      kind: path.kind,
      how: howOf(path) ?? null,
      via: path.via,
      state: path.state,
      active: path.info === session.activePath,
      rttMs: toTenths(path.rttMs),
      ageMs: Math.round(path.ageMs),
    })),
    direct: direct.status(session) ?? null,
  };
}

function toTenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
