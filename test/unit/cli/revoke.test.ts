/** `skein revoke` against a hub of this process: what an administrator types, and what it says. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { createAdministrator } from '../../support/administrator.ts';

const API = 'spiffe://skein.mesh/ns/shop/sa/api';
const KEY = 'cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s';

test('revoke takes an identity back, lists it, and undoes it', async (t) => {
  const { run } = await createAdministrator(t);
  const revoked = await run('revoke', API, '--reason', 'host was stolen');
  equal(revoked.code, 0, revoked.err);
  equal(revoked.out, `${API}: revoked, 0 links closed at this hub\n`);
  equal((await run('revoke', API, '--key', KEY)).code, 0);
  equal((await run('revoke', API, '--rejoin')).code, 0);
  const { out } = await run('revoke', '--list');
  match(out, /IDENTITY +KEY +HOLDS +SINCE\n/);
  match(out, /every key +who joins anew is good/);
  match(out, new RegExp(`${KEY} +until its SVIDs have expired`));
  const { revocations } = JSON.parse((await run('revoke', '--list', '-o', 'json')).out) as { revocations: object[] };
  equal(revocations.length, 2, 'the second word on an identity replaces the first');
  equal((await run('revoke', '--undo', API)).out, `${API}: no longer revoked\n`);
  equal((await run('revoke', '--undo', API, '--key', KEY)).code, 0);
  const again = await run('revoke', '--undo', API);
  deepEqual([again.code, /is not revoked/.test(again.err)], [1, true]);
});

test('revoke says what is wrong with a command line', async (t) => {
  const { run } = await createAdministrator(t);
  for (const [argv, code] of [
    [[], 2],
    [['--list', API], 2],
    [['--undo', API, '--rejoin'], 2],
    [['--undo', API, '--reason', 'x'], 2],
    [['api'], 1],
    [[API, '--key', 'x'], 1],
  ] as const) {
    equal((await run('revoke', ...argv)).code, code, argv.join(' '));
  }
});
