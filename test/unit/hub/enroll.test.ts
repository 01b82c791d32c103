/** Join tokens: one key, one use, a short life; and who is told what when it fails. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { PresentedJoinToken } from '../../../src/auth/authenticator.ts';
import { parseJoinToken } from '../../../src/auth/join-token.ts';
import { createIdentityKey, type PublicJwk } from '../../../src/auth/key-pair.ts';
import { toBase64Url } from '../../../src/core/bytes.ts';
import type { LogFields, Logger } from '../../../src/core/log.ts';
import { Enrolment } from '../../../src/hub/enroll.ts';
import { HUB_LIMITS, type HubLimits } from '../../../src/hub/options.ts';
import { MemoryStore } from '../../../src/hub/store/memory.ts';
import { nodeCrypto } from '../../../src/runtime/node-compat/crypto.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

class Fixture {
  readonly clock = new VirtualClock();
  readonly store = new MemoryStore();
  readonly lines: { readonly level: string; readonly event: string; readonly fields: LogFields }[] = [];
  readonly enrolment: Enrolment;

  constructor(limits: Partial<HubLimits> = {}) {
    const log: Logger = { log: (level, event, fields = {}) => this.lines.push({ level, event, fields }) };
    this.enrolment = new Enrolment({
      store: this.store,
      clock: this.clock,
      random: new SeededRandom(7),
      crypto: nodeCrypto,
      log,
      trustDomain: 'mesh.test',
      issuerThumbprint: 'A'.repeat(43),
      limits: { ...HUB_LIMITS, ...limits },
    });
  }

  async token(...services: string[]): Promise<PresentedJoinToken> {
    const { text } = await this.enrolment.createToken({ services });
    return present(text);
  }
}

function present(text: string): PresentedJoinToken {
  const { id, secret } = parseJoinToken(text);
  return { id, secret: secret.reveal() };
}

const key = async (): Promise<PublicJwk> => (await createIdentityKey()).publicJwk;

test('A token names an identity and its services, and is stored without its secret', async () => {
  const { enrolment, store, clock } = new Fixture();
  const { text, id, expiresAtMs } = await enrolment.createToken({ services: ['api', 'web.shop'], namespace: 'shop' });
  const { trustDomain, issuerThumbprint, secret } = parseJoinToken(text);
  deepEqual([trustDomain, issuerThumbprint], ['mesh.test', 'A'.repeat(43)]);
  equal(expiresAtMs, clock.epochMs() + 15 * 60_000);
  const [stored] = await store.list('token/');
  equal(stored?.key, `token/${id}`);
  ok(!stored.value.includes(toBase64Url(secret.reveal())));
  const admission = await enrolment.admit(present(text), await key());
  deepEqual([admission.id.uri, admission.services], ['spiffe://mesh.test/ns/shop/sa/api', ['api.shop', 'web.shop']]);
});

const BAD_REQUESTS: readonly [name: string, request: { services: string[]; namespace?: string; ttlMs?: number }][] = [
  ['no service', { services: [] }],
  ['a malformed name', { services: ['API'] }],
  ['two namespaces', { services: ['api.shop', 'api.default'] }],
  ['the namespace of hubs', { services: ['hub'], namespace: 'skein' }],
  ['the namespace of guard rails', { services: ['api'], namespace: 'mesh' }],
  ['no life', { services: ['api'], ttlMs: 0 }],
  ['more than a day', { services: ['api'], ttlMs: 86_400_001 }],
  ['no number', { services: ['api'], ttlMs: Number.NaN }],
];

for (const [name, request] of BAD_REQUESTS) {
  test(`A token for ${name} is refused`, async () => {
    const { enrolment, store } = new Fixture();
    await rejects(enrolment.createToken(request), { code: 'SKEIN_RESOURCE_INVALID' });
    deepEqual(await store.list(''), []);
  });
}

test('A second use, by another key, is refused and logged as a warning', async () => {
  const { enrolment, lines, token } = bind(new Fixture());
  const presented = await token('api');
  await enrolment.admit(presented, await key());
  await rejects(enrolment.admit(presented, await key()), { code: 'SKEIN_TOKEN_USED' });
  const warnings = lines.filter(({ level }) => level === 'warn');
  deepEqual(
    warnings.map(({ event, fields }) => [event, fields.token]),
    [['token-reused', presented.id]],
  );
  deepEqual(Object.fromEntries(enrolment.stats.outcomes), { admitted: 1, 'token-used': 1 });
});

test('The same key may present it again for a minute, because an answer can be lost', async () => {
  const { enrolment, clock, token } = bind(new Fixture());
  const presented = await token('api');
  const publicJwk = await key();
  await enrolment.admit(presented, publicJwk);
  clock.advance(60_000);
  await enrolment.admit(presented, publicJwk);
  clock.advance(1);
  await rejects(enrolment.admit(presented, publicJwk), { code: 'SKEIN_TOKEN_USED' });
});

test('Of fifty keys that race for one token, one is admitted', async () => {
  const { enrolment, lines, token } = bind(new Fixture());
  const presented = await token('api');
  const keys = await Promise.all(Array.from({ length: 50 }, key));
  const results = await Promise.allSettled(keys.map((publicJwk) => enrolment.admit(presented, publicJwk)));
  equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  equal(lines.filter(({ event }) => event === 'token-reused').length, 49);
});

test('Unknown, wrong and expired tokens are told apart by code only as far as their secret is right', async () => {
  const { enrolment, clock, lines, token } = bind(new Fixture());
  const presented = await token('api');
  const wrong = { id: presented.id, secret: new Uint8Array(presented.secret.length) };
  const publicJwk = await key();
  for (const [join, code] of [
    [{ ...presented, id: 'unknown' }, 'SKEIN_TOKEN_INVALID'],
    [{ ...presented, id: '../hub/epoch' }, 'SKEIN_TOKEN_INVALID'],
    [wrong, 'SKEIN_TOKEN_INVALID'],
  ] as const)
    await rejects(enrolment.admit(join, publicJwk), { code, message: /has not made it$/ });
  clock.advance(15 * 60_000);
  await rejects(enrolment.admit(presented, publicJwk), { code: 'SKEIN_TOKEN_EXPIRED' });
  await rejects(enrolment.admit(wrong, publicJwk), { code: 'SKEIN_TOKEN_INVALID' });
  ok(lines.filter(({ level }) => level === 'warn').every(({ event }) => event === 'token-refused'));
  await rejects(enrolment.admit({ id: 'x'.repeat(10_000), secret: presented.secret }, publicJwk), {
    code: 'SKEIN_TOKEN_INVALID',
  });
  equal(String(lines.at(-1)?.fields.token).length, 64);
  ok(!JSON.stringify(lines).includes(toBase64Url(presented.secret)));
});

test('Tokens are forgotten a day after their end, and not before', async () => {
  const { enrolment, store, clock, token } = bind(new Fixture());
  await token('api');
  clock.advance(15 * 60_000 + 86_400_000 - 1);
  await enrolment.sweep();
  equal((await store.list('token/')).length, 1);
  clock.advance(1);
  await enrolment.sweep();
  equal((await store.list('token/')).length, 0);
});

test('There is a limit to the tokens that are remembered', async () => {
  const { token } = bind(new Fixture({ maxTokens: 2 }));
  await token('api');
  await token('api');
  await rejects(token('api'), { code: 'SKEIN_LIMIT' });
});

test("Used tokens are in nobody's way: the oldest are forgotten, and refused all the same", async () => {
  const { enrolment, store, clock, token } = bind(new Fixture({ maxTokens: 10 }));
  const used = [await token('api'), await token('api')] as const;
  for (const each of used) {
    await enrolment.admit(each, await key());
    clock.advance(1_000);
  }
  for (let n = 0; n < 8; n++) await token('api');
  await rejects(token('api'), { code: 'SKEIN_LIMIT' }, 'an answer to a newcomer may still be lost');
  clock.advance(60_000);
  await token('api');
  equal((await store.list('token/')).length, 10);
  await rejects(enrolment.admit(used[0], await key()), { code: 'SKEIN_TOKEN_INVALID' });
  await rejects(enrolment.admit(used[1], await key()), { code: 'SKEIN_TOKEN_USED' });
});

function bind(fixture: Fixture) {
  const { enrolment, store, clock, lines } = fixture;
  return { enrolment, store, clock, lines, token: (...services: string[]) => fixture.token(...services) };
}

test('Refused tokens are logged so many a second, with the number of those left out', async () => {
  const { enrolment, clock, lines } = new Fixture({ refusalsLogged: { perSecond: 1, burst: 3 } });
  const stranger = await key();
  const guess = () => enrolment.admit({ id: 'guess', secret: new Uint8Array(32) }, stranger).catch(() => undefined);
  for (let n = 0; n < 10; n++) await guess();
  equal(lines.length, 3);
  clock.advance(1000);
  await guess();
  deepEqual(
    lines.map(({ event, fields }) => [event, fields.notLogged]),
    [...Array.from({ length: 3 }, () => ['token-refused', undefined]), ['token-refused', 7]],
  );
});
