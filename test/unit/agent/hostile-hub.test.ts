/**
 * A hub that nobody has to believe: whatever it does with what passes through it, no byte is wrong, no request comes to
 * another than was asked, and members notice and count it.
 */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import { isEndpoint, type Resource } from '../../../src/catalog/resource.ts';
import { createHub } from '../../../src/hub/hub.ts';
import { downgradeHello, RECORD_BENDS, type RecordBend } from '../../support/bent-line.ts';
import { HostileHubLab } from '../../support/hostile-hub.ts';
import { joinRogue } from '../../support/rogue-member.ts';

const CALLERS = ['web', 'ads', 'ops'] as const;
const SERVICES = ['pay', 'mail'] as const;
const UNDER_ATTACK_MS = 6_000;

/** Where members count what this bend does. */
const COUNTED: Readonly<Record<RecordBend, readonly string[]>> = {
  flip: ['skein_session_records_forged_total', 'skein_session_paths_distrusted_total'],
  truncate: ['skein_session_records_forged_total', 'skein_links_ended_total'],
  reorder: ['skein_session_records_reordered_total'],
  duplicate: ['skein_session_records_duplicate_total'],
  delay: ['skein_session_paths_distrusted_total', 'skein_session_path_switches_total'],
  inject: ['skein_session_records_forged_total', 'skein_session_paths_distrusted_total'],
  replay: ['skein_handshakes_failed_total'],
  swap: ['skein_session_records_forged_total', 'skein_session_paths_distrusted_total'],
};

async function startLab(t: TestContext): Promise<HostileHubLab> {
  const lab = await HostileHubLab.start(t);
  for (const name of SERVICES) await lab.join(name, true);
  for (const name of CALLERS) await lab.join(name, false);
  await lab.connected();
  await lab.drive(CALLERS, SERVICES, 300);
  deepEqual([lab.outcome.answered, lab.outcome.asked], [lab.outcome.asked, lab.outcome.asked]);
  return lab;
}

for (const bend of RECORD_BENDS) {
  test(`A hub that bends records (${bend}) is found out, and changes nothing`, async (t) => {
    const lab = await startLab(t);
    await lab.watch(COUNTED[bend]);
    lab.line.throw(bend);
    // Who answers a handshake with an old one must be asked for one.
    if (bend === 'replay') lab.endSessions(CALLERS);
    await lab.drive(CALLERS, SERVICES, UNDER_ATTACK_MS);
    const { attacks, counted } = await lab.report(bend);
    ok(attacks > 0);
    for (const [metric, count] of Object.entries(counted)) ok(count > 0, metric);
    equal(lab.outcome.failed, 0, 'the other hub carries what this one does not');
  });
}

test('A hub that answers with another issuer is refused, and the sessions go on by the other one', async (t) => {
  const lab = await startLab(t);
  const { mesh } = lab;
  await lab.watch(['skein_handshakes_failed_total']);
  mesh.kill('ws://10.0.0.1:7000');
  const listen = { host: '10.0.0.1', port: 7000 };
  const foreign = await mesh.run(createHub({ ...mesh.platform }, { listen }));
  t.after(() => mesh.run(foreign.close()));
  await lab.drive(CALLERS, SERVICES, UNDER_ATTACK_MS);
  const { counted } = await lab.report('substitute-jwks');
  ok((counted.skein_handshakes_failed_total ?? 0) > 0);
  ok(lab.logged('hub-refused') > 0);
  equal(lab.outcome.failed, 0);
});

test('A hub whose HELLO is made to promise less is not spoken with', async (t) => {
  const lab = await startLab(t);
  await lab.watch(['skein_handshakes_failed_total', 'skein_links_ended_total']);
  lab.line.throwWith(
    ({ note }) =>
      (message, deliver) =>
        downgradeHello(message, deliver, note),
  );
  lab.mesh.network.cut('ws://10.0.0.1:7000');
  await lab.drive(CALLERS, SERVICES, UNDER_ATTACK_MS);
  const { attacks, counted } = await lab.report('downgrade');
  ok(attacks > 0);
  ok((counted.skein_handshakes_failed_total ?? 0) > 0);
  equal(lab.outcome.failed, 0);
});

for (const [how, lie] of [
  ['in the name of the right one', (id: string, _evil: string) => id],
  ['in its own name', (_id: string, evil: string) => evil],
] as const) {
  test(`A catalogue that leads the calls of a service to another member, ${how}, leads none of them there`, async (t) => {
    const lab = await startLab(t);
    const evil = await joinRogue(t, lab.mesh);
    let streams = 0;
    evil.onStream = () => {
      streams++;
    };
    const { instance, id } = evil.identity;
    await lab.watch(['skein_handshakes_failed_total', 'skein_endpoints_refused_total']);
    lab.publisher.lie((resource: Resource) => {
      if (!isEndpoint(resource) || resource.service !== 'pay.default') return [resource];
      const led: Endpoint = { ...resource, instance, id: lie(resource.id, id) };
      return [led];
    });
    lab.endSessions(CALLERS);
    await lab.drive(CALLERS, SERVICES, UNDER_ATTACK_MS);
    const { counted } = await lab.report(`lie-in-catalogue ${how}`);
    equal(streams, 0, 'no request was even begun there');
    ok(Object.values(counted).some((count) => count > 0));
    ok(lab.outcome.failed > 0, 'they fail, and are told why');
    deepEqual([...lab.errors.keys()], ['identity']);
    ok(lab.outcome.answered > 0, 'the other service is as it was');
  });
}
