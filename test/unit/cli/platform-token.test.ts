/** Commands that come in with the token of a platform: from a file, to the hub whose thumbprint was given, once. */

import { equal, match } from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createHub } from '../../../src/node.ts';
import { runCommand, startOwnHub } from '../../support/command.ts';
import { EventLog } from '../../support/event-log.ts';
import { OidcIssuer } from '../../support/oidc-issuer.ts';

test('skein call and skein check take the token of a platform, and say what is missing', async (t) => {
  const issuer = await OidcIssuer.start(t);
  const { folder } = await startOwnHub(t);
  const log = new EventLog();
  const trusted = { issuer: issuer.url, audience: 'skein', claims: { team: 'web' }, id: 'ns/default/sa/{sub}' };
  const hub = await createHub({ log, trust: [{ ...trusted, algorithms: ['ES256'] }], trustDomain: 'shop.example' });
  t.after(() => hub.close());
  const exp = Math.floor(Date.now() / 1000) + 600;
  await writeFile(join(folder, 'jwt'), `${await issuer.sign({ sub: 'web', team: 'web', aud: 'skein', exp })}\n`);
  const thumbprint = String(log.of('hub-listening')[0]?.fields.thumbprint);
  const known = ['--hub', hub.url, '--token', '@jwt', '--hub-thumbprint', thumbprint, '--trust-domain', 'shop.example'];
  const call = (...argv: string[]) => runCommand(argv, { folder });

  const unknown = await call('call', 'api/', '--hub', hub.url, '--token', '@jwt');
  equal(unknown.code, 2, unknown.err);
  match(unknown.err, /not known which hub to trust[\s\S]*--hub-thumbprint/);
  const wrong = await call('call', 'api/', '--hub', hub.url, '--token', '@jwt', '--hub-thumbprint', 'KwQ');
  equal(wrong.code, 2, wrong.err);

  // It uses nothing up.
  const checked = await call('check', ...known);
  match(checked.out, /is the hub that the token names; the token was not used/, checked.out + checked.err);
  equal(log.of('platform-token-taken').length, 0);

  const first = await call('call', 'api/', ...known);
  match(first.err, /SKEIN_NO_SUCH_SERVICE/, first.err);
  const again = await call('call', 'api/', ...known);
  match(again.err, /SKEIN_NO_SUCH_SERVICE/, again.err);
  equal(log.of('platform-token-taken').length, 1);
  equal(log.of('sidecar-joined')[0]?.fields.id, 'spiffe://shop.example/ns/default/sa/web');
});
