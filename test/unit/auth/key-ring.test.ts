import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Authority } from '../../../src/auth/authority.ts';
import { verifyJwtSvid } from '../../../src/auth/jwt-svid.ts';
import { KEY_LIFE } from '../../../src/auth/key-life.ts';
import { createIdentityKey } from '../../../src/auth/key-pair.ts';
import {
  advanceRing,
  beginRing,
  type KeyRing,
  type KeyState,
  removeFromRing,
  rotateRing,
} from '../../../src/auth/key-ring.ts';
import { verifySeal } from '../../../src/auth/seal.ts';
import { toSigningKeys } from '../../../src/auth/signing-keys.ts';
import { verifyWit } from '../../../src/auth/svid.ts';
import type { KeyUse, TrustBundle } from '../../../src/auth/trust-bundle.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { printFigures } from '../../support/figures.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const { announceMs, lifeMs, retireMs } = KEY_LIFE;
const create = createIdentityKey;

async function begin(nowMs = 0): Promise<KeyRing> {
  return advanceRing(
    beginRing({ 'wit-svid': await create(), 'jwt-svid': await create() }, 1, nowMs),
    KEY_LIFE,
    nowMs,
    create,
  );
}

const find = (ring: KeyRing, state: KeyState, use: KeyUse = 'wit-svid') =>
  ring.keys.filter((key) => key.state === state && key.use === use).map(({ key }) => key.thumbprint);

describe('Key ring', () => {
  it('announces the next key of each use at once, signs by it after a life, and forgets the last one a TTL later', async () => {
    const first = await begin();
    for (const use of ['wit-svid', 'jwt-svid'] as const) {
      assert.deepEqual([find(first, 'current', use).length, find(first, 'next', use).length], [1, 1]);
    }
    assert.equal(await advanceRing(first, KEY_LIFE, lifeMs - 1, create), first, 'the same ring until something is due');
    const second = await advanceRing(first, KEY_LIFE, lifeMs, create);
    assert.deepEqual(find(second, 'current'), find(first, 'next'));
    assert.deepEqual(find(second, 'retired'), find(first, 'current'));
    assert.equal(find(second, 'next').length, 1);
    assert.ok(second.sequence > first.sequence);
    assert.equal(await advanceRing(second, KEY_LIFE, lifeMs + retireMs - 1, create), second);
    const third = await advanceRing(second, KEY_LIFE, lifeMs + retireMs, create);
    assert.deepEqual(find(third, 'retired'), []);
    assert.deepEqual(find(third, 'current'), find(second, 'current'));
  });

  it('rotates by a word as soon as the next key has been announced for long enough, and at once only then', async () => {
    const first = await begin();
    const atOnce = { create, atOnce: true };
    await assert.rejects(rotateRing(first, KEY_LIFE, announceMs - 1, atOnce), {
      code: 'SKEIN_CONFLICT',
      message: new RegExp(new Date(announceMs).toISOString()),
    });
    const asked = await rotateRing(first, KEY_LIFE, HOUR_MS, { create, atOnce: false });
    assert.deepEqual(find(asked, 'current'), find(first, 'current'));
    assert.equal(await advanceRing(asked, KEY_LIFE, announceMs - 1, create), asked);
    const turned = await advanceRing(asked, KEY_LIFE, announceMs, create);
    assert.deepEqual(find(turned, 'current'), find(first, 'next'));
    const now = await rotateRing(first, KEY_LIFE, announceMs, atOnce);
    assert.deepEqual(find(now, 'current'), find(first, 'next'));
    const bearers = await rotateRing(first, KEY_LIFE, announceMs, { ...atOnce, uses: ['jwt-svid'] });
    assert.deepEqual(find(bearers, 'current'), find(first, 'current'));
    assert.deepEqual(find(bearers, 'current', 'jwt-svid'), find(first, 'next', 'jwt-svid'));
  });

  it('without a key that is in use goes on with the next one, announced or not', async () => {
    const first = await begin();
    const [current = '', next = ''] = [...find(first, 'current'), ...find(first, 'next')];
    const second = await removeFromRing(first, current, HOUR_MS, create);
    assert.deepEqual([find(second, 'current'), find(second, 'retired')], [[next], []]);
    const third = await removeFromRing(second, next, HOUR_MS, create);
    assert.deepEqual(find(third, 'current'), find(second, 'next'));
    assert.equal(find(third, 'next').length, 1);
    const [waiting = ''] = find(third, 'next');
    const fourth = await removeFromRing(third, waiting, HOUR_MS, create);
    assert.deepEqual(
      [find(fourth, 'current'), find(fourth, 'next').includes(waiting)],
      [find(third, 'current'), false],
    );
    await assert.rejects(removeFromRing(fourth, current, HOUR_MS, create), {
      code: 'SKEIN_RESOURCE_INVALID',
      status: 404,
    });
  });

  it('a wall clock that jumps ahead and back takes no key away that has signed what is good', async () => {
    const first = await begin();
    const far = 400 * DAY_MS;
    const jumped = await advanceRing(first, KEY_LIFE, far, create);
    assert.deepEqual([find(jumped, 'current'), find(jumped, 'retired')], [find(first, 'next'), find(first, 'current')]);
    const back = await advanceRing(jumped, KEY_LIFE, HOUR_MS, create);
    assert.equal(back, jumped);
  });
});

/** Somebody who verifies, and learns of other bundles when it asks: at the latest when its own SVID ends. */
interface Verifier {
  bundle: TrustBundle;
  asksAtMs: number;
  readonly skewMs: number;
}

describe('Rotation', () => {
  it('in 100 virtual days refuses nobody: SVIDs of any age, verifiers that were away for up to a day, clocks 5 min apart', async () => {
    const random = new SeededRandom(20_15);
    const clock = new VirtualClock();
    const authority = await Authority.create({ trustDomain: 'skein.mesh', clock });
    const within = (ms: number): number => Math.floor(random.ratio() * ms);
    const holder = await create();
    const id = toWorkloadId('skein.mesh', 'default', 'api');
    const seal = await authority.sign('skein-seal+jwt', { revision: 1, era: 0, index: 'x', atMs: 0 });
    await authority.useRing(await begin(clock.epochMs()));
    const verifiers: Verifier[] = [-300_000, -60_000, 0, 60_000, 300_000].map((skewMs) => ({
      ...{ bundle: authority.bundle(), asksAtMs: 0, skewMs },
    }));
    let wits: { readonly text: string; readonly expiresAtMs: number }[] = [];
    const figures = { verified: 0, refused: 0, bearers: 0, rotations: 0, keys: 0 };
    const kids = new Set<string>();
    const until = clock.epochMs() + 100 * DAY_MS;
    while (clock.epochMs() < until) {
      const stepMs = HOUR_MS + within(HOUR_MS);
      clock.shiftEpoch(stepMs);
      const nowMs = clock.epochMs();
      // Sometimes an operator turns the ring as well.
      const before = authority.ring;
      const ring =
        random.ratio() < 0.005
          ? await rotateRing(before, KEY_LIFE, nowMs, { create, atOnce: false })
          : await advanceRing(before, KEY_LIFE, nowMs, create);
      if (ring !== before) await authority.useRing(ring);
      if (find(ring, 'current')[0] !== find(before, 'current')[0]) figures.rotations++;
      for (const verifier of verifiers) {
        if (nowMs < verifier.asksAtMs) continue;
        verifier.bundle = authority.bundle();
        verifier.asksAtMs = nowMs + within(DAY_MS);
      }
      wits = wits.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
      const lifetimeMs = DAY_MS;
      const text = await authority.issueWit({ id, publicJwk: holder.publicJwk, services: [], lifetimeMs });
      wits.push({ text, expiresAtMs: nowMs + lifetimeMs });
      const bearer = (await authority.issueJwt(id, 'https://shop', 't', { joinedAtMs: 0 })).token;
      for (const { key } of ring.keys) kids.add(key.thumbprint);
      for (const { bundle, skewMs } of verifiers) {
        const there = { epochMs: () => clock.epochMs() + skewMs } as typeof clock;
        // The oldest and the newest that are good, and one in between.
        const good = wits.filter(({ expiresAtMs }) => expiresAtMs + 30_000 > nowMs + skewMs);
        for (const wit of new Set([good[0], good[within(good.length)], good.at(-1)])) {
          if (wit === undefined) continue;
          const verdict = verifyWit(wit.text, bundle, { clock: there, trustDomain: 'skein.mesh' });
          await verdict.catch(() => figures.refused++);
          figures.verified++;
        }
        const keys = toSigningKeys(bundle, 'jwt-svid');
        if (skewMs <= 0) {
          const options = {
            clock: there,
            trustDomain: 'skein.mesh',
            keysOf: () => keys,
            isRevoked: () => false,
            audience: 'https://shop',
          };
          await verifyJwtSvid(bearer, options).catch(() => figures.refused++);
          figures.bearers++;
        }
        assert.equal((await verifySeal(seal, bundle))?.revision, 1, 'what was sealed at the start is sealed');
      }
    }
    figures.keys = kids.size;
    printFigures('100 days of keys', { ...figures });
    assert.equal(figures.refused, 0);
    assert.ok(figures.verified > 5_000 && figures.rotations >= 4, JSON.stringify(figures));
  });
});
