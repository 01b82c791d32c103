/** docs/routes.md from its beginning to its end: its files are written, its commands run, and they print what it says. */
import { deepEqual, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CONDITION_REASONS } from '../../../src/catalog/condition.ts';
import { createMesh } from '../../../src/node.ts';
import { type Administrator, createAdministrator } from '../../support/administrator.ts';
import { readSteps, runSteps } from '../../support/document.ts';
import { readText } from '../../support/repository.ts';

const DOCUMENT = 'docs/routes.md';

/** A mesh as the document supposes it. */
async function serveAll(t: TestContext, { hub }: Administrator): Promise<void> {
  const join = async (namespace: string, ...services: string[]) => {
    const { text } = await hub.createJoinToken({ services, namespace });
    const member = await createMesh({ hub: hub.url, token: text, direct: false });
    t.after(() => member.close());
    return member;
  };
  const requests = ['api', 'api-v1', 'api-v2', 'greeter'];
  const own = await join('default', ...requests, 'db');
  for (const name of requests) await own.serve(name, () => new Response(name));
  await own.listen('db', (socket) => socket.abort(), { port: 5432 });
  const bank = await join('bank', 'pay');
  await bank.serve('pay', () => new Response('pay'));
}

test(`${DOCUMENT}: what it shows is what the program does`, async (t) => {
  const administrator = await createAdministrator(t);
  await serveAll(t, administrator);
  const steps = readSteps(DOCUMENT);
  ok(steps.length > 10);
  await runSteps(administrator, steps);
});

test(`${DOCUMENT} has every reason of a condition, and no other`, () => {
  const listed = [...readText(DOCUMENT).matchAll(/^\| (?:`\w+`)? ?\| `(\w+)` \|/gm)].map(([, reason = '']) => reason);
  deepEqual([...new Set(listed)].sort(), [...CONDITION_REASONS].sort());
});
