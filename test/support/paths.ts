/** By which ways a real sidecar reaches its one peer, as its admin port tells. */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import type { Sidecar } from './mesh.ts';

export interface PeerPaths {
  /** URL of the hub by which records go to the peer now; undefined while there is none. */
  readonly active: string | undefined;
  /** Of all paths that carry or could at once. */
  readonly vias: readonly string[];
  /** How often records have gone another way since the session began. */
  readonly switches: number;
}

interface PathAnswer {
  readonly via: string;
  readonly state: string;
  readonly active: boolean;
}

const POLL_MS = 25;

export async function readPaths({ addresses, adminToken }: Sidecar): Promise<PeerPaths> {
  const headers = { authorization: `Bearer ${adminToken()}` };
  const answer = await fetch(`${addresses.admin}/v1/paths`, { headers });
  assert.equal(answer.status, 200);
  const { peers } = (await answer.json()) as { peers: { switches: number; paths: readonly PathAnswer[] }[] };
  const paths = peers.flatMap((peer) => peer.paths);
  return {
    active: paths.find(({ active }) => active)?.via,
    switches: peers.reduce((sum, { switches }) => sum + switches, 0),
    vias: paths.filter(({ state }) => state === 'active' || state === 'standby').map(({ via }) => via),
  };
}

/** Resolves when there are so many ways to the peer. */
export async function waitForPaths(sidecar: Sidecar, count: number, withinMs = 30_000): Promise<PeerPaths> {
  const startedMs = performance.now();
  for (;;) {
    const found = await readPaths(sidecar);
    if (found.vias.length === count && found.active !== undefined) return found;
    const what = `${found.vias.length} of ${count} paths after ${withinMs} ms\n${sidecar.program.tail()}`;
    assert.ok(performance.now() - startedMs < withinMs, what);
    await wait(POLL_MS);
  }
}
