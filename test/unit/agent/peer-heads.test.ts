/** Heads of others: what they have shown is compared however far the own log is followed at once, and a log without an end takes no memory. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { PeerHeads, type Split } from '../../../src/agent/peer-heads.ts';
import type { AuditHead } from '../../../src/auth/audit-chain.ts';
import { encodeUtf8, toBase64Url } from '../../../src/core/bytes.ts';

const part = (value: object): string => toBase64Url(encodeUtf8(JSON.stringify(value)));
const tokenOf = (head: AuditHead): string => [part({ alg: 'ES256' }), part(head), part({})].join('.');

test('What another member has shown is compared by one that catches up with many entries at once', async () => {
  const splits: Split[] = [];
  const theirs = { seq: 10, hash: 'theirs' };
  const peers = new PeerHeads({ verify: async () => theirs, onSplit: (split) => splits.push(split) });
  await peers.hear(tokenOf(theirs), 'spiffe://skein.mesh/ns/default/sa/web');
  const passed: AuditHead[] = [];
  let most = 0;
  for (let seq = 1; seq <= 50_000; seq++) {
    passed.push({ seq, hash: `own ${seq}` });
    peers.thin(passed);
    most = Math.max(most, passed.length);
  }
  ok(most < 10_000, `${most} kept`);
  peers.follow(passed, undefined);
  deepEqual(splits, [{ seq: 10, own: 'own 10', theirs: 'theirs', peer: 'spiffe://skein.mesh/ns/default/sa/web' }]);
  equal(passed.at(-1)?.seq, 50_000);
});
