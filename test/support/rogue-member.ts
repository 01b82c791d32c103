/** A member without an agent, which does with its circuits what it likes, and what it is told on one. */

import type { Bytes } from '../../src/core/bytes.ts';
import type { Platform } from '../../src/core/platform.ts';
import { createIdentity, HubClient } from './hub-client.ts';
import { Probe } from './resumable.ts';
import type { VirtualMesh } from './virtual-mesh.ts';

export async function joinRogue(
  t: { after(run: () => void): void },
  mesh: VirtualMesh,
  {
    url = 'ws://10.0.0.1:7000',
    platform = mesh.platform,
  }: { readonly url?: string; readonly platform?: Platform } = {},
): Promise<HubClient> {
  const identity = await mesh.run(createIdentity());
  const token = await mesh.token('rogue');
  const rogue = await mesh.run(HubClient.connect(platform, url, identity, token));
  t.after(() => rogue.close());
  return rogue;
}

/** A circuit to `instance` on which nobody says a word, or `first` alone. */
export async function openSilent(mesh: VirtualMesh, rogue: HubClient, instance: string, first?: Bytes): Promise<Probe> {
  const circuit = rogue.link.openCircuit();
  const probe = new Probe(circuit);
  await mesh.run(rogue.channel.call('openCircuit', { instance, circuit: circuit.id }));
  if (first !== undefined) circuit.send(first);
  return probe;
}
