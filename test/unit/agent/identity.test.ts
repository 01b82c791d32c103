/** Identity and its store: kept for its owner alone, good for a restart, renewed in time, never taken for another's key. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Identity } from '../../../src/agent/identity.ts';
import { IdentityStore, type StoredIdentity } from '../../../src/agent/identity-store.ts';
import { openShelf } from '../../../src/agent/shelves.ts';
import { Authority } from '../../../src/auth/authority.ts';
import { parseJoinToken } from '../../../src/auth/join-token.ts';
import { createIdentityKey, type IdentityKey } from '../../../src/auth/key-pair.ts';
import { type BundleRefusal, signBundle } from '../../../src/auth/signed-bundle.ts';
import type { TrustBundle } from '../../../src/auth/trust-bundle.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { SILENT_LOGGER } from '../../../src/core/log.ts';
import type { Files, Platform } from '../../../src/core/platform.ts';
import { Redacted } from '../../../src/core/redacted.ts';
import { toWorkloadId } from '../../../src/core/spiffe-id.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/event-log.ts';
import { folder } from '../../support/folder.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

const HOUR_MS = 3_600_000;
const NO_HUB = { thumbprints: [], trustDomain: 'skein.mesh' };

test('A member that restarts with its folder needs no token, and is who it was', async (t) => {
  const data = join(folder(t), 'deep', 'er');
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api'], { data });
  deepEqual(
    readdirSync(data).filter((name) => name !== 'audit.json'),
    ['identity.json'],
  );
  equal(statSync(join(data, 'identity.json')).mode & 0o777, 0o600);
  agent.close();
  const again = await mesh.createAgent({ data });
  // It knows who it is before any hub has answered.
  equal(again.agent.id.uri, agent.id.uri);
  await mesh.run(again.agent.start());
  equal(mesh.log.of('sidecar-joined').length, 2);
});

test('A used token beside a good identity does no harm; one that grants more goes first', async (t) => {
  const data = folder(t);
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const token = await mesh.token('api');
  const { agent } = await mesh.join(['api'], { data, token });
  agent.close();
  const same = await mesh.join([], { data, token, services: ['api'] });
  same.agent.close();
  const more = await mesh.join([], { data, token: await mesh.token('api', 'db'), services: ['api', 'db'] });
  deepEqual([...more.agent.identity.services].sort(), ['api.default', 'db.default']);
});

test('An enrolment that broke off before its answer came is finished by the next start', async (t) => {
  const data = folder(t);
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const token = await mesh.token('api');
  const first = await mesh.createAgent({ data, token });
  deepEqual(readdirSync(data), ['enrolment.json']);
  equal(statSync(join(data, 'enrolment.json')).mode & 0o777, 0o600);
  const text = readFileSync(join(data, 'enrolment.json'), 'utf8');
  ok(!text.includes(Buffer.from(parseJoinToken(token).secret.reveal()).toString('base64url')), 'the secret is on disk');
  // The hub has used up the token, and its answer is lost with the link.
  mesh.log.waitFor('sidecar-enrolled').then(() => first.agent.close(), t.diagnostic);
  first.agent.start().catch(() => undefined);
  await mesh.until(() => mesh.log.of('sidecar-enrolled').length > 0);
  deepEqual(readdirSync(data), ['enrolment.json']);
  const second = await mesh.createAgent({ data, token });
  await mesh.run(second.agent.start());
  deepEqual(
    readdirSync(data).filter((name) => name !== 'audit.json'),
    ['identity.json'],
  );
});

test('Without a token and without an identity there is no way in', async (t) => {
  const mesh = new VirtualMesh(t);
  await rejects(mesh.createAgent({ data: folder(t) }), { code: 'SKEIN_CONFIG' });
});

test('A stored identity that has expired asks for a new token', async (t) => {
  const data = folder(t);
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api'], { data });
  agent.close();
  mesh.clock.shiftEpoch(25 * HOUR_MS);
  await rejects(mesh.createAgent({ data }), { code: 'SKEIN_IDENTITY' });
});

test('A damaged file is named, and not taken for none', async (t) => {
  const data = folder(t);
  const store = new IdentityStore(await openShelf(nodePlatform(), data));
  equal(await store.readIdentity(), undefined);
  for (const text of ['', '{', 'null', '{"version":2}', '{"version":1}', '{"version":1,"wit":"a"}']) {
    writeFileSync(join(data, 'identity.json'), text);
    await rejects(store.readIdentity(), { code: 'SKEIN_STORE' }, text);
    writeFileSync(join(data, 'enrolment.json'), text);
    await rejects(store.readEnrolment(), { code: 'SKEIN_STORE' }, text);
  }
});

test('What is said of a damaged file holds no piece of it', async (t) => {
  const data = folder(t);
  const store = new IdentityStore(await openShelf(nodePlatform(), data));
  await store.writeEnrolment({ key: await createIdentityKey(), tokenId: 'a' });
  const path = join(data, 'enrolment.json');
  const good = readFileSync(path, 'utf8');
  const secret = (JSON.parse(good) as { key: { d: string } }).key.d;
  for (let at = 0; at < good.length; at++) {
    writeFileSync(path, `${good.slice(0, at)}"${good.slice(at)}`);
    const error = (await store.readEnrolment().then(
      () => undefined,
      (thrown) => thrown,
    )) as { message: string; cause?: { message?: string } } | undefined;
    const said = `${error?.message} ${error?.cause?.message}`;
    for (let i = 0; i + 4 <= secret.length; i++) ok(!said.includes(secret.slice(i, i + 4)), said);
  }
});

test('A damaged identity is set aside where there is a token, and stops the start where there is none', async (t) => {
  const data = folder(t);
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent } = await mesh.join(['api'], { data });
  agent.close();
  for (const text of ['', '{"version":1,"wit":', 'null', '{"version":1,"wit":"a.b.c"}']) {
    writeFileSync(join(data, 'identity.json'), text);
    await rejects(mesh.createAgent({ data }), { code: 'SKEIN_STORE' });
    equal(readFileSync(join(data, 'identity.json'), 'utf8'), text, 'nothing is touched');
    const again = await mesh.join(['api'], { data });
    equal(again.agent.id.uri, agent.id.uri);
    deepEqual(
      again.log.of('identity-set-aside').map(({ fields }) => fields),
      [{ folder: data, file: 'identity.json.damaged' }],
    );
    equal(readFileSync(join(data, 'identity.json.damaged'), 'utf8'), text);
    equal(statSync(join(data, 'identity.json.damaged')).mode & 0o777, 0o600);
    again.agent.close();
  }
  writeFileSync(join(data, 'enrolment.json'), '{');
  writeFileSync(join(data, 'identity.json'), '{');
  const last = await mesh.join(['api'], { data });
  equal(last.log.of('identity-set-aside').length, 2);
});

test('A folder that takes nothing ends nothing: it is said once, and kept when there is room again', async (t) => {
  const data = folder(t);
  let isFull = false;
  const mesh = new VirtualMesh(t);
  const files = mesh.platform.files as Files;
  const full: Files = {
    ...files,
    replace: (path, content, mode) =>
      isFull ? Promise.reject(new SkeinError('SKEIN_STORE', 'disk full')) : files.replace(path, content, mode),
  };
  await mesh.startHub();
  const token = await mesh.token('api');
  const { agent, log } = await mesh.createAgent({ data, token }, { ...mesh.platform, files: full });
  await mesh.run(agent.start());
  const before = readFileSync(join(data, 'identity.json'), 'utf8');
  isFull = true;
  await mesh.clock.advanceAsync(1.2 * HOUR_MS);
  equal(readFileSync(join(data, 'identity.json'), 'utf8'), before);
  equal(log.of('identity-renewed').length, 1, 'it goes on');
  equal(log.of('identity-not-kept').length, 1);
  isFull = false;
  await mesh.clock.advanceAsync(60_000);
  equal(log.of('identity-kept').length, 1);
  const kept = JSON.parse(readFileSync(join(data, 'identity.json'), 'utf8')) as { wit: string };
  ok(!before.includes(kept.wit), 'the SVID of now is kept');
  ok(agent.identity.expiresAtMs > mesh.clock.epochMs());
});

test('Writes follow each other, and a failed one does not stop the next', async (t) => {
  const data = folder(t);
  const store = new IdentityStore(await openShelf(nodePlatform(), data));
  const key = await createIdentityKey();
  await Promise.all(['a', 'b', 'c'].map((tokenId) => store.writeEnrolment({ key, tokenId })));
  equal((await store.readEnrolment())?.tokenId, 'c');
  const file = new IdentityStore(await openShelf(nodePlatform(), join(data, 'enrolment.json')));
  await rejects(file.writeEnrolment({ key, tokenId: 'd' }), { code: 'SKEIN_STORE' });
  chmodSync(data, 0o700);
  await store.writeEnrolment({ key, tokenId: 'e' });
  equal((await store.readEnrolment())?.tokenId, 'e');
});

test('Where there are no files a folder cannot be asked for', () => {
  const open = Identity.open({
    platform: { ...nodePlatform(), files: undefined },
    token: undefined,
    knownHub: NO_HUB,
    data: 'anywhere',
    services: [],
    renewAfterMs: HOUR_MS,
    log: SILENT_LOGGER,
  });
  return rejects(open, { code: 'SKEIN_CONFIG' });
});

test('Renews after an hour, give or take a tenth, for as long as it runs; the session stays', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { agent, log } = await mesh.join(['api'], { data: folder(t) });
  const startedMs = mesh.clock.monotonicMs();
  const times: number[] = [];
  while (times.length < 6) {
    await mesh.until(() => log.of('identity-renewed').length > times.length, 2 * HOUR_MS);
    times.push(mesh.clock.monotonicMs() - startedMs);
  }
  const periods = times.map((time, i) => time - (times[i - 1] ?? 0));
  // Looked at every 30 s.
  ok(Math.min(...periods) >= 0.9 * HOUR_MS, `${Math.min(...periods)} ms`);
  ok(Math.max(...periods) <= 1.1 * HOUR_MS + 31_000, `${Math.max(...periods)} ms`);
  ok(new Set(periods.map((ms) => Math.round(ms / 60_000))).size > 1, 'no spread');
  equal(log.of('hub-connected').length, 1);
  ok(agent.identity.expiresAtMs - mesh.clock.epochMs() > 22 * HOUR_MS);
});

test('Members that share a folder need one renewal an hour, not one each, and keep their links', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const data = folder(t);
  const members = [await mesh.join(['api'], { data }), await mesh.join(['api'], { data })];
  const hours = 30; // longer than an SVID lives
  const renewals = (): number => members.reduce((sum, { log }) => sum + log.of('identity-renewed').length, 0);
  const startedMs = mesh.clock.monotonicMs();
  await mesh.until(() => mesh.clock.monotonicMs() - startedMs > hours * HOUR_MS, 31 * HOUR_MS);
  ok(renewals() >= hours / 1.1 - 1 && renewals() <= hours / 0.9 + 1, `${renewals()} renewals`);
  for (const { agent, log } of members) {
    equal(log.of('hub-connected').length, 1);
    ok(agent.identity.expiresAtMs - mesh.clock.epochMs() > 22 * HOUR_MS);
  }
});

/** A member whose stored SVID lives for `lifetimeMs`, without a hub. */
async function openStored(t: TestContext, lifetimeMs: number) {
  const clock = new VirtualClock();
  const log = new EventLog();
  const platform: Platform = { ...nodePlatform(), clock };
  const data = folder(t);
  const store = new IdentityStore(await openShelf(platform, data));
  const key = await createIdentityKey();
  const authority = await Authority.create({ trustDomain: 'skein.mesh', clock });
  const id = toWorkloadId('skein.mesh', 'default', 'api');
  const wit = await authority.issueWit({ id, publicJwk: key.publicJwk, services: [], lifetimeMs });
  await store.writeIdentity({ key, wit, bundle: authority.bundle() });
  const options = { platform, token: undefined, knownHub: NO_HUB, data, services: [], renewAfterMs: HOUR_MS, log };
  return { identity: await Identity.open(options), clock, log, store, authority, options };
}

test('An SVID of a short life is renewed at half of it', async (t) => {
  const { identity, clock } = await openStored(t, 600_000);
  clock.advance(298_000);
  equal(identity.isRenewalDue, false);
  clock.advance(2_000);
  equal(identity.isRenewalDue, true);
});

test('Who keeps new keys does not put an older SVID in the place of one that another process has kept', async (t) => {
  const { identity, clock, store, authority, options } = await openStored(t, 24 * HOUR_MS);
  const other = await Identity.open(options);
  clock.advance(HOUR_MS);
  const { key } = (await store.readIdentity()) as StoredIdentity;
  const given = { id: identity.id, publicJwk: key.publicJwk, services: [], lifetimeMs: 24 * HOUR_MS };
  const wit = await authority.issueWit(given);
  await identity.accept({ wit, bundle: authority.bundle() });
  await authority.useRing({ ...authority.ring, sequence: 2 });
  equal(await other.updateBundle(authority.bundle()), undefined);
  equal((await store.readIdentity())?.bundle.spiffe_sequence, 2, 'the keys are kept');
  equal((await store.readIdentity())?.wit, wit);
  equal(await other.takeKept(), true);
  equal(other.text, wit);
});

test('A bundle is taken over only when the issuer has signed it and it is not older', async (t) => {
  const { identity, clock, log, store, authority } = await openStored(t, HOUR_MS);
  const { ring } = authority;
  const { keys: known } = ring;
  const [first, stranger] = [await createIdentityKey(), await createIdentityKey()];
  const withNext = async (sequence: number, ...more: IdentityKey[]): Promise<TrustBundle> => {
    const next = more.map((key) => ({ key, use: 'wit-svid' as const, state: 'next' as const, announcedAtMs: 0 }));
    await authority.useRing({ ...ring, sequence, keys: [...known, ...next] });
    return authority.bundle();
  };
  const { skein_signature: _, ...bare } = await withNext(2, first);
  const second = await withNext(2, first);
  const third = await withNext(3);
  const other = await withNext(3, stranger);
  const added = { ...stranger.publicJwk, kid: stranger.thumbprint, use: 'wit-svid' as const };
  const { keys, spiffe_sequence, spiffe_refresh_hint } = third;
  const byRemoved = await signBundle(
    { keys: [...keys, added], spiffe_sequence: 9, spiffe_refresh_hint },
    first,
    clock.epochMs(),
  );
  const byAdded = await signBundle(
    { keys: [...keys, added], spiffe_sequence: 9, spiffe_refresh_hint },
    stranger,
    clock.epochMs(),
  );
  const steps: [what: string, offered: unknown, why: BundleRefusal | 'late' | undefined][] = [
    ['unsigned', bare, 'unsigned'],
    ['with a key that nobody has signed', { ...second, keys: [...second.keys, added] }, 'forged'],
    ['without one that was signed', { ...second, keys: keys.slice(1) }, 'forged'],
    ['under another sequence', { ...second, spiffe_sequence: 9 }, 'forged'],
    [
      'a key under the id of the anchor',
      { ...second, keys: [{ ...added, kid: keys[0]?.kid }, ...keys.slice(1)] },
      'forged',
    ],
    ['the keys of our issuer and the next', second, undefined],
    ['without the next', third, undefined],
    ['the one before, by a hub that may not have heard yet', second, 'late'],
    ['the one before, when every hub has heard', second, 'rollback'],
    ['another one of the same sequence', other, 'fork'],
    ['signed by the key that was removed', byRemoved, 'forged'],
    ['signed by the key that it adds', byAdded, 'forged'],
    ['with the signature of another', { ...byAdded, skein_signature: third.skein_signature }, 'forged'],
    ['a signature that is none', { ...third, spiffe_sequence: spiffe_sequence + 1, skein_signature: 'x' }, 'forged'],
    ['no bundle', { keys: ['key'] }, 'malformed'],
  ];
  let kept = keys.map(({ kid }) => kid);
  const refused: Record<BundleRefusal, number> = { malformed: 0, unsigned: 0, forged: 0, rollback: 0, fork: 0 };
  for (const [what, offered, why] of steps) {
    if (why === 'rollback') clock.advance(10_000);
    await identity.updateBundle(offered);
    if (why === undefined) kept = (offered as TrustBundle).keys.map(({ kid }) => kid);
    else if (why !== 'late') refused[why]++;
    deepEqual(
      (await store.readIdentity())?.bundle.keys.map(({ kid }) => kid),
      kept,
      what,
    );
    deepEqual(identity.bundlesRefused, refused, what);
  }
  equal(log.of('bundle-refused').length, steps.length - 3);
});

test('What was kept is no news: who shows older keys behind a restart is told of at once', async (t) => {
  const { identity: before, log, authority, options } = await openStored(t, HOUR_MS);
  const older = authority.bundle();
  await authority.useRing({ ...authority.ring, sequence: 2 });
  await before.updateBundle(authority.bundle());
  const identity = await Identity.open(options);
  await identity.updateBundle(older);
  deepEqual([identity.bundle.spiffe_sequence, identity.bundlesRefused.rollback], [2, 1]);
  equal(log.of('bundle-refused').length, 1);
});

test('Keys that are signed anew are no news, and those of a hub that is behind them are told of', async (t) => {
  const { identity, clock, authority } = await openStored(t, 24 * HOUR_MS);
  const older = authority.bundle();
  await authority.useRing({ ...authority.ring, sequence: 2 });
  await identity.updateBundle(authority.bundle());
  clock.advance(2 * HOUR_MS);
  equal(await authority.renewBundle(), true);
  await identity.updateBundle(authority.bundle());
  deepEqual(identity.bundle, authority.bundle());
  await identity.updateBundle(older);
  equal(identity.bundlesRefused.rollback, 1);
});

test('What was kept before bundles were signed is followed by the first that its one key has signed', async (t) => {
  const { identity: first, store, authority, options } = await openStored(t, HOUR_MS);
  const { skein_signature: _, ...unsigned } = authority.bundle();
  const { key, wit } = (await store.readIdentity()) as StoredIdentity;
  await store.writeIdentity({ key, wit, bundle: unsigned });
  const identity = await Identity.open(options);
  equal(identity.trustDomain, first.trustDomain);
  const stranger = await Authority.create({ trustDomain: 'skein.mesh', clock: options.platform.clock });
  await identity.updateBundle(stranger.bundle());
  equal(identity.bundlesRefused.forged, 1);
  await identity.updateBundle(authority.bundle());
  deepEqual((await store.readIdentity())?.bundle, authority.bundle());
  await identity.updateBundle(unsigned);
  equal(identity.bundlesRefused.unsigned, 1);
});

test('An answer of a hub that is behind takes no newer bundle back which has come while it was verified', async (t) => {
  const { identity, authority } = await openStored(t, HOUR_MS);
  const { ring } = authority;
  const newer: TrustBundle[] = [];
  for (let i = 1; i <= 40; i++) {
    await authority.useRing({ ...ring, sequence: ring.sequence + i });
    newer.push(authority.bundle());
  }
  const seen: number[] = [];
  identity.onKeys = () => seen.push(identity.bundle.spiffe_sequence);
  await Promise.all([
    identity.accept({ wit: identity.text, bundle: newer[0] }),
    ...newer.map((bundle) => identity.updateBundle(bundle)),
  ]);
  deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  equal(seen.at(-1), newer.at(-1)?.spiffe_sequence);
});

test('What a wall clock that jumped or a sleep has made due is renewed within half a minute', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const { log } = await mesh.join(['api']);
  mesh.clock.shiftEpoch(10 * HOUR_MS);
  await mesh.clock.advanceAsync(31_000);
  equal(log.of('identity-renewed').length, 1);
});

test('A hub that is away for most of a day costs nothing but the renewals', async (t) => {
  const mesh = new VirtualMesh(t);
  const data = folder(t);
  const hub = await mesh.startHub({ dataFolder: data });
  const { agent, log } = await mesh.join(['api']);
  await mesh.run(hub.close());
  await mesh.clock.advanceAsync(1000);
  mesh.clock.shiftEpoch(22 * HOUR_MS);
  await mesh.clock.advanceAsync(60_000);
  await mesh.startHub({ dataFolder: data });
  await mesh.until(() => log.of('identity-renewed').length === 1);
  ok(agent.identity.expiresAtMs - mesh.clock.epochMs() > 23 * HOUR_MS);
});

test('An answer for another key or another name is refused', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const [one, other] = [(await mesh.join(['api'])).agent, (await mesh.join(['api'])).agent];
  const answerOf = async (token: string): Promise<{ wit: string; bundle: unknown }> => {
    const data = folder(t);
    const { agent } = await mesh.join([], { data, token });
    agent.close();
    const { wit, bundle } = JSON.parse(readFileSync(join(data, 'identity.json'), 'utf8'));
    return { wit, bundle };
  };
  const foreign = await answerOf(await mesh.token('api'));
  await rejects(mesh.run(one.identity.accept(foreign)), { code: 'SKEIN_IDENTITY' });
  await rejects(mesh.run(one.identity.accept({ ...foreign, wit: `${foreign.wit}x` })), { name: 'SkeinError' });
  await rejects(mesh.run(one.identity.accept({ ...foreign, bundle: { keys: [] } })), { name: 'SkeinError' });
  equal(one.id.uri, other.id.uri);
});

test('A token is never printed', async (t) => {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const token = await mesh.token('api');
  const { log } = await mesh.join(['api'], { token: new Redacted(token) });
  ok(!JSON.stringify([log.lines, mesh.log.lines]).includes(token));
});
