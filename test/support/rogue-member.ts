/** A member without an agent, which does with its circuits what it likes, and what it is told on one. */

import type { Bytes } from '../../src/core/bytes.ts';
import type { SkeinError } from '../../src/core/errors.ts';
import type { Platform } from '../../src/core/platform.ts';
import { type Circuit, LINK_HEADER_BYTES } from '../../src/tunnel/circuit.ts';
import { createIdentity, HubClient } from './hub-client.ts';
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

export class Probe {
  readonly records: Bytes[] = [];
  error: SkeinError | undefined;

  constructor(circuit: Circuit) {
    circuit.attach({
      onRecord: (message) => {
        this.records.push(message.slice());
        circuit.consumed(message.length - LINK_HEADER_BYTES);
      },
      onWritable: () => undefined,
      onClose: (error) => {
        this.error = error;
      },
    });
  }
}
