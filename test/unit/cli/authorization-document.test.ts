/** docs/authorization.md from its beginning to its end: its files are written, its commands run, and they print what it says. */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { toDecisionPath } from '../../../src/auth/decision-path.ts';
import { createMesh, createSidecar } from '../../../src/node.ts';
import { createAdministrator } from '../../support/administrator.ts';
import { readSteps, runSteps } from '../../support/document.ts';
import { EventLog } from '../../support/event-log.ts';
import { startHttpApp, startTcpApp } from '../../support/local-sidecars.ts';
import { readText } from '../../support/repository.ts';

const DOCUMENT = 'docs/authorization.md';
const ADMIN = '127.0.0.1:9901';

test(`${DOCUMENT}: what it shows is what the program does`, async (t) => {
  const adminToken = 'a-token-of-this-test';
  const administrator = await createAdministrator(t, { SKEIN_SIDECAR_ADMIN_TOKEN: adminToken });
  const { hub } = administrator;
  const { text: token } = await hub.createJoinToken({ services: ['api', 'db'] });
  const app = await startHttpApp(t, (_, response) => response.end());
  const database = await startTcpApp(t, (socket) => socket.end());
  const log = new EventLog();
  const sidecar = await createSidecar({
    ...{ hub: hub.url, token, direct: false, admin: '127.0.0.1:0', adminToken, log },
    expose: [
      { service: 'api', target: `http://${app.address}` },
      { service: 'db', port: 5432, target: `tcp://${database.address}` },
    ],
  });
  t.after(() => sidecar.close());
  const join = async (name: string) => {
    const { text } = await hub.createJoinToken({ services: [name] });
    const member = await createMesh({ hub: hub.url, token: text, direct: false });
    t.after(() => member.close());
    return member;
  };
  const [web, batch] = [await join('web'), await join('batch')];
  const metrics = async (): Promise<string> => (await fetch(`${sidecar.addresses.admin}/metrics`)).text();
  const steps = readSteps(DOCUMENT);
  ok(steps.length > 10);
  await runSteps(administrator, steps, {
    words: { [ADMIN]: new URL(sidecar.addresses.admin ?? '').host },
    exitCodeOf: (command) => (REFUSED.has(command) ? 1 : 0),
    before: async (command) => {
      if (!command.startsWith('skein authz report')) return;
      const isThere = (): boolean =>
        log.of('policies-changed').some(({ fields }) => String(fields.policies).includes('trial'));
      while (!isThere()) await log.waitFor('policies-changed', log.of('policies-changed').length + 1);
      for (let asked = 0; asked < 2; asked++) equal((await web.fetch('http://api.mesh/v1/orders')).status, 200);
      equal((await batch.fetch('http://api.mesh/orders', { method: 'POST' })).status, 403);
      const counted = await metrics();
      for (const [name, rule, streams] of [
        ['denied', 'default-deny', 1],
        ['would_allow', 'AuthorizationPolicy/default/trial allow[0]', 1],
        ['would_deny', 'AuthorizationPolicy/default/trial deny[0]', 2],
      ]) {
        const line = `skein_policy_${name}_total{service="api.default",rule="${rule}"} ${streams}`;
        ok(counted.split('\n').includes(line), `${line}\n${counted}`);
      }
    },
  });
});

/** Commands that the hub refuses. */
const REFUSED = new Set(['skein apply -f too-wide.yaml', 'skein apply -f lockdown.yaml']);

test(`${DOCUMENT}: its table of paths`, () => {
  const rows = [...readText(DOCUMENT).matchAll(/^\| (`\/.*`) \| (?:`(\S+)`|as it is) \| (yes|no) \|$/gm)];
  ok(rows.length > 3);
  for (const [, paths = '', seen, ambiguous] of rows) {
    for (const path of paths.split(', ').map((each) => each.replaceAll('`', ''))) {
      const expected = { path: seen ?? path, ambiguous: ambiguous === 'yes' };
      equal(JSON.stringify(toDecisionPath(path)), JSON.stringify(expected), path);
    }
  }
});
