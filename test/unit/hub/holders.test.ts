/** Who holds which key, as hubs note it. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Grant } from '../../../src/auth/grant.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { Holders } from '../../../src/hub/holders.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import type { StoreEntry } from '../../../src/hub/store.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import type { PeerIdentity } from '../../../src/tunnel/handshake.ts';
import { EventLog } from '../../support/event-log.ts';

class CountedStore extends MemoryStore {
  reads = 0;

  override get(key: string): Promise<StoreEntry | undefined> {
    this.reads++;
    return super.get(key);
  }
}

test('A member that asks for a thousand SVIDs at once costs a thousand notes, not half a million', async () => {
  const store = new CountedStore();
  const clock = new VirtualClock();
  const holders = new Holders({ store, clock, log: new EventLog(), removed: () => [] });
  const grant = {
    ...{ kind: 'member', thumbprint: 'key-1', services: ['api.default'], joinedAtMs: 1, keyId: 'signer-1' },
  } as unknown as Grant;
  const peer = { id: parseSpiffeId('spiffe://test.mesh/ns/default/sa/api'), grant } as unknown as PeerIdentity;
  const endMs = clock.epochMs() + 3_600_000;
  await Promise.all(Array.from({ length: 1_000 }, (_, i) => holders.note(peer, endMs + i)));
  equal(store.reads, 1_000);
  const holder = await holders.find('key-1');
  deepEqual([holder?.by, holder?.expiresAtMs], ['signer-1', endMs + 999]);
});
