/** A hub that keeps back what the issuer has revoked, or which keys it has, is told of by the issuer's newest seal, and left for another. */

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { PushName } from '../../../src/control/messages.ts';
import { RESIGN_MS } from '../../../src/hub/sealer.ts';
import { HONEST, HOSTILE, HostileHubLab } from '../../support/hostile-hub.ts';

type Mesh = HostileHubLab['mesh'];

const KINDS: Readonly<Record<PushName & ('revocations' | 'bundle'), (mesh: Mesh) => ReturnType<Mesh['admin']>>> = {
  revocations: (mesh) => mesh.admin('revocations', { body: { id: 'spiffe://skein.mesh/ns/default/sa/gone' } }),
  bundle: async (mesh) => {
    const { answer } = await mesh.admin('keys');
    const next = (answer.keys as { kid: string; state: string }[]).find(({ state }) => state === 'next');
    return mesh.admin('keys/remove', { body: { kid: next?.kid } });
  },
};

for (const [what, change] of Object.entries(KINDS) as [keyof typeof KINDS, (typeof KINDS)['bundle']][]) {
  test(`Who keeps back ${what} is told of as soon as the issuer has sealed anew, and costs no call`, async (t) => {
    const lab = await HostileHubLab.start(t);
    await lab.join('pay', true);
    await lab.join('web', false);
    // This one hears of no other hub.
    const { agent, log } = await lab.join('lone', false, { hub: HOSTILE });
    const { mesh, publisher } = lab;
    await lab.connected();
    const known = agent.identity.bundle.spiffe_sequence;
    publisher.withheld.add(what);
    const { status } = await change(mesh);
    ok(status < 300, String(status));
    await mesh.clock.advanceAsync(1_000);
    deepEqual(log.of('statement-withheld'), []);
    await mesh.clock.advanceAsync(RESIGN_MS + 15_000);
    const [line] = log.of('statement-withheld');
    equal(line?.fields.what, what);
    match(String(line?.fields.remedy), /name another one/);
    ok((agent.mirror.seals?.stats.withheld[what] ?? 0) > 0);
    deepEqual([agent.identity.revocations.list.number, agent.identity.bundle.spiffe_sequence], [0, known]);
    // Those who have another hub have heard it there.
    equal(lab.get('web').log.of('statement-withheld').length, 0);
    equal(lab.get('web').agent.hubs.find(({ url }) => url === HONEST)?.state, 'connected');
    await lab.drive(['web', 'lone'], ['pay'], 1_000);
    equal(lab.outcome.failed, 0);
  });
}

test('Who tells all is never told of, however often something changes', async (t) => {
  const lab = await HostileHubLab.start(t);
  const { agent, log } = await lab.join('lone', false, { hub: HOSTILE });
  for (let i = 0; i < 20; i++) {
    await lab.mesh.admin('revocations', { body: { id: `spiffe://skein.mesh/ns/default/sa/gone${i}` } });
    await lab.mesh.clock.advanceAsync(RESIGN_MS / 7);
  }
  equal(agent.identity.revocations.list.entries.length, 20);
  deepEqual(log.of('statement-withheld'), []);
});
