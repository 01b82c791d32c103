/** What a member keeps of the seals that it is told. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_SEALED_TOPICS, SealKeeper } from '../../../src/agent/seal-keeper.ts';
import type { Seal } from '../../../src/auth/seal.ts';
import { SealIndex } from '../../../src/catalog/seal-index.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';

const { sha256 } = nodePlatform().crypto;

test('Topics without end are not kept, and the next whole seal is believed', async () => {
  const told: string[] = [];
  const seals = new Map<string, Seal>();
  let wake = (): void => undefined;
  const keeper = new SealKeeper({
    sha256,
    verify: (head) => Promise.resolve(seals.get(head)),
    onSeal: ({ revision }) => {
      told.push(`sealed ${revision}`);
      wake();
    },
    onRefused: (why) => {
      told.push(why);
      wake();
    },
  });
  /** As a hub tells it, in parts, under a good seal over all of it. */
  const tell = async (revision: number, topics: number): Promise<void> => {
    const entries = Array.from({ length: topics }, (_, i): [string, string] => [`topic-${i}`, 'digest']);
    seals.set(`head ${revision}`, {
      ...{ revision, era: 0, atMs: 0 },
      index: new SealIndex(sha256, new Map(entries)).digest,
    });
    const judged = new Promise<void>((resolve) => {
      wake = resolve;
    });
    for (let at = 0; at < entries.length; at += 1000) {
      const more = at + 1000 < entries.length;
      keeper.receive({ head: `head ${revision}`, full: at === 0, more, entries: entries.slice(at, at + 1000) });
    }
    await judged;
  };
  await tell(1, MAX_SEALED_TOPICS);
  await tell(2, MAX_SEALED_TOPICS + 1);
  await tell(3, 10);
  deepEqual(told, ['sealed 1', 'index', 'sealed 3']);
  equal(keeper.seal?.revision, 3);
});
