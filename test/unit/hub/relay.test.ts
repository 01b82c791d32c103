/** Relay: what all pairings together make the hub hold has a bound. */

import { equal, match, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { SkeinError } from '../../../src/core/errors.ts';
import { STREAM_KIND } from '../../../src/tunnel/stream.ts';
import { createIdentity, HubClient } from '../../support/hub-client.ts';
import { Pump } from '../../support/tunnel.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const KIB = 1024;

async function join(t: TestContext, mesh: VirtualMesh, service: string): Promise<HubClient> {
  const identity = await mesh.run(createIdentity());
  const client = await mesh.run(
    HubClient.connect(mesh.platform, 'ws://10.0.0.1:7000', identity, await mesh.token(service)),
  );
  t.after(() => client.close());
  return client;
}

function readWaiting(text: string): number {
  return Number(/^skein_hub_relay_waiting_bytes (\d+)$/m.exec(text)?.[1]);
}

test('A member that takes nothing costs the pairings that wait for it, the largest first, and not the hub', async (t) => {
  const mesh = new VirtualMesh(t);
  const limit = 300 * KIB;
  await mesh.startHub({ limits: { maxRelayWaitingBytes: limit } });
  const [caller, deaf] = [await join(t, mesh, 'web'), await join(t, mesh, 'api')];
  const streams = [];
  for (let i = 0; i < 3; i++) {
    const session = await mesh.run(caller.dial(deaf.identity.instance));
    streams.push(session.openStream(STREAM_KIND.raw, new Uint8Array(0), 0, false));
  }
  await mesh.clock.advanceAsync(1_000);
  const wire = mesh.network.links.at(-1);
  wire?.stall(wire.b);
  const pumps = streams.map((stream, i) => new Pump(stream, i === 1 ? 20 * KIB : 8 * 1024 * KIB));
  await mesh.clock.advanceAsync(500);
  const early = readWaiting(await mesh.hub.metrics.render());
  ok(early > limit, `${early} bytes wait`);
  await mesh.clock.advanceAsync(1_500);
  const text = await mesh.hub.metrics.render();
  ok(readWaiting(text) <= limit, `${readWaiting(text)} bytes wait`);
  const lost = pumps.filter(({ error }) => error !== undefined);
  equal(lost.length, 1);
  equal((lost[0]?.error?.cause as SkeinError | undefined)?.code, 'SKEIN_LIMIT');
  match(text, /^skein_hub_circuits 2$/m);
});
