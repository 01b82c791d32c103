/** Heads of others: what they have shown is compared however far the own log is followed at once, and a log without an end takes no memory. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { PeerHeads, type Split } from '../../../src/agent/peer-heads.ts';
import type { AuditHead, SignedHead } from '../../../src/auth/audit-chain.ts';
import { encodeUtf8, toBase64Url } from '../../../src/core/bytes.ts';

const part = (value: object): string => toBase64Url(encodeUtf8(JSON.stringify(value)));
const tokenOf = (head: AuditHead): string => [part({ alg: 'ES256' }), part(head), part({})].join('.');

const WEB = 'spiffe://skein.mesh/ns/default/sa/web';

function createPeers() {
  const splits: Split[] = [];
  const signed = new Map<string, SignedHead>();
  const peers = new PeerHeads({
    verify: async (token) => signed.get(token),
    onSplit: (split) => splits.push(split),
  });
  return {
    ...{ peers, splits },
    hear: (seq: number, hash: string, endsStretch = true) => {
      const token = tokenOf({ seq, hash });
      signed.set(token, { seq, hash, atMs: 1, endsStretch });
      return peers.hear(token, WEB);
    },
  };
}

const head = (seq: number): AuditHead => ({ seq, hash: `own ${seq}` });

test('What another member has shown is compared by one that catches up with many stretches at once', async () => {
  const { peers, splits, hear } = createPeers();
  await hear(10, 'theirs');
  const passed: AuditHead[] = [];
  let most = 0;
  for (let seq = 1; seq <= 50_000; seq++) {
    passed.push(head(seq));
    peers.thin(passed);
    most = Math.max(most, passed.length);
  }
  ok(most < 10_000, `${most} kept`);
  peers.follow(passed, undefined);
  deepEqual(splits, [{ seq: 10, own: 'own 10', theirs: 'theirs', peer: WEB }]);
  equal(passed.at(-1)?.seq, 50_000);
});

test('A stretch that ends for another where none ends here is of another history, now or once this one has come so far', async () => {
  const { peers, splits, hear } = createPeers();
  peers.follow([head(10), head(20), head(30)], undefined);
  for (const seq of [10, 20, 30]) await hear(seq, `own ${seq}`);
  await hear(5, 'before the first that is known here');
  await hear(25, 'of a block', false);
  await hear(45, 'of a block', false);
  deepEqual(splits, []);
  await hear(25, 'theirs');
  deepEqual(splits, [{ seq: 25, own: '', theirs: 'theirs', peer: WEB }]);
  await hear(35, 'later');
  await hear(40, 'own 40');
  peers.follow([head(30), head(40)], undefined);
  deepEqual(splits.slice(1), [{ seq: 35, own: '', theirs: 'later', peer: WEB }]);
});

test('What lies before a gap in what was followed is compared with nothing', async () => {
  const { peers, splits, hear } = createPeers();
  peers.follow([head(10), head(20)], undefined);
  await hear(50, 'theirs');
  peers.follow([head(100), head(110)], undefined);
  for (const seq of [10, 15, 50, 90]) await hear(seq, 'theirs');
  deepEqual(splits, []);
  await hear(105, 'theirs');
  equal(splits.length, 1);
});
