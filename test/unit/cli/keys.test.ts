/** `skein keys` against a hub of this process: what an administrator types, and what it says. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { createAdministrator } from '../../support/administrator.ts';

interface Listed {
  readonly kid: string;
  readonly use: string;
  readonly state: string;
  readonly anchor: boolean;
  readonly signsFrom: string;
}

test('keys list shows each key; rotate begins what `--now` refuses; remove takes one out', async (t) => {
  const { run } = await createAdministrator(t);
  const list = async (): Promise<Listed[]> => JSON.parse((await run('keys', 'list', '-o', 'json')).out).keys;
  const before = await list();
  deepEqual(before.map(({ use, state }) => `${use} ${state}`).sort(), [
    'jwt-svid current',
    'jwt-svid next',
    'wit-svid current',
    'wit-svid next',
  ]);
  match((await run('keys', 'list')).out, /KEY +SIGNS +STATE .*\n.*current, anchor/);
  const now = await run('keys', 'rotate', '--now');
  deepEqual([now.code, /not everybody may know/.test(now.err), /keys remove KID/.test(now.err)], [1, true, true]);
  const asked = await run('keys', 'rotate');
  equal(asked.code, 0, asked.err);
  const next = (await list()).find(({ use, state }) => use === 'wit-svid' && state === 'next');
  ok(Date.parse(next?.signsFrom ?? '') < Date.now() + 25 * 3_600_000, 'within a day and some minutes');
  const removed = await run('keys', 'remove', '--', next?.kid ?? '');
  equal(removed.code, 0, removed.err);
  ok(!(await list()).some(({ kid }) => kid === next?.kid));
  const anchor = await run('keys', 'remove', '--', before.find(({ anchor: isAnchor }) => isAnchor)?.kid ?? '');
  deepEqual([anchor.code, /set up anew/.test(anchor.err)], [1, true]);
  equal((await run('keys', 'remove', 'x')).code, 1);
  equal((await run('keys', 'remove')).code, 2);
});
