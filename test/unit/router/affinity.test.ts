/** Requests that belong together go to one instance: by a value of their own or by the session of their client, through failures and changes. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type Fields, getField } from '../../../src/http/head.ts';
import { trafficPolicy } from '../../support/routes.ts';
import { Bench, failure } from './bench.ts';
import { endpoint } from './endpoints.ts';

const BY_USER = {
  loadBalancer: { type: 'ConsistentHash', consistentHash: { type: 'Header', header: { name: 'X-User' } } },
};
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `instance-${i}`);

function withPolicy(spec: object, instances: readonly string[], limits = {}): Bench {
  const bench = new Bench(limits);
  bench.source.policies.set('api.default', trafficPolicy(spec));
  serve(bench, instances);
  return bench;
}

function serve(bench: Bench, instances: readonly string[], unhealthy: readonly string[] = []): void {
  bench.source.tell(
    'api.default',
    instances.map((instance) => endpoint(instance, { healthy: !unhealthy.includes(instance) })),
  );
}

/** Who answers a request. */
async function ask(bench: Bench, fields: Fields, path = '/'): Promise<string | undefined> {
  await bench.finish(bench.get({ fields, path }));
  return bench.asked.at(-1);
}

async function assign(bench: Bench, users = 300): Promise<string[]> {
  const assigned: string[] = [];
  for (let i = 0; i < users; i++) assigned.push((await ask(bench, ['x-user', `user-${i}`])) ?? '');
  return assigned;
}

const moved = (before: readonly string[], after: readonly string[]): number =>
  before.filter((instance, i) => instance !== after[i]).length;

const sources: readonly [
  what: string,
  consistentHash: object,
  fields: (user: string) => Fields,
  path: (user: string) => string,
][] = [
  ['a header', { type: 'Header', header: { name: 'X-User' } }, (user) => ['x-user', user], () => '/'],
  ['a cookie', { type: 'Cookie', cookie: { name: 'uid' } }, (user) => ['cookie', `a=1; uid=${user}`], () => '/'],
  ['a query parameter', { type: 'QueryParam', queryParam: { name: 'u' } }, () => [], (user) => `/x?a=1&u=${user}`],
];
for (const [what, consistentHash, fields, path] of sources) {
  test(`${what} leads all requests of its value to one instance, those of all values to all`, async () => {
    const bench = withPolicy({ loadBalancer: { type: 'ConsistentHash', consistentHash } }, names(5));
    const seen = new Map<string, Set<string>>();
    for (let i = 0; i < 200; i++) {
      const user = `u${i % 40}`;
      const instance = (await ask(bench, fields(user), path(user))) ?? '';
      seen.set(user, (seen.get(user) ?? new Set()).add(instance));
    }
    ok([...seen.values()].every(({ size }) => size === 1));
    equal(new Set([...seen.values()].flatMap((set) => [...set])).size, 5);
  });
}

test('a request without the value is balanced as any other', async () => {
  const bench = withPolicy(BY_USER, names(4));
  for (let i = 0; i < 80; i++) await ask(bench, []);
  equal(new Set(bench.asked).size, 4);
});

test('when an instance goes, others keep what they had; when it is back, so does it', async () => {
  const bench = withPolicy(BY_USER, names(10));
  const before = await assign(bench);
  const own = before.filter((instance) => instance === 'instance-3').length;
  serve(
    bench,
    names(10).filter((instance) => instance !== 'instance-3'),
  );
  const count = moved(before, await assign(bench));
  ok(count >= own && count <= own + 0.01 * before.length + 1, `${count} moved, ${own} had to`);
  serve(bench, names(10));
  equal(moved(before, await assign(bench)), 0);
});

test('one that is unhealthy, silent or fails loses its own alone, and to all of the others', async () => {
  const bench = withPolicy(BY_USER, names(6));
  const before = await assign(bench);
  const own = before.flatMap((instance, i) => (instance === 'instance-2' ? [i] : []));
  const check = async (): Promise<void> => {
    const after = await assign(bench);
    deepEqual(
      before.flatMap((instance, i) => (instance === after[i] ? [] : [i])),
      own,
    );
    ok(new Set(own.map((i) => after[i])).size >= 4, 'they are spread');
  };
  serve(bench, names(6), ['instance-2']);
  await check();
  serve(bench, names(6));
  bench.suspects.add('instance-2');
  await check();
  bench.suspects.clear();
  bench.behave = (request, { instance }) => {
    if (instance === 'instance-2') request.reply.onAbort(failure('SKEIN_SESSION_LOST', true));
    else request.answer(200);
  };
  const user = own[0] as number;
  for (let i = 0; i < 5; i++) await ask(bench, ['x-user', `user-${user}`]);
  bench.asked.length = 0;
  await check();
  // Healed, it is probed by a request of its own, and has all of them back.
  bench.behave = (request) => request.answer(200);
  await bench.clock.advanceAsync(2_000);
  deepEqual(await assign(bench), before);
});

test('keys stay near while those who are near can bear them, and each of them has a place further away', async () => {
  const here = { region: 'eu', zone: 'a' };
  const bench = new Bench({}, here);
  bench.source.policies.set('api.default', trafficPolicy(BY_USER));
  const tell = (healthy: boolean): void => {
    const near = names(3).map((instance) => endpoint(instance, { ...here, healthy }));
    bench.source.tell('api.default', [...near, ...names(3).map((each) => endpoint(`far-${each}`, { region: 'us' }))]);
  };
  tell(true);
  const near = await assign(bench, 100);
  ok(near.every((instance) => !instance.startsWith('far')));
  tell(false);
  const far = await assign(bench, 100);
  ok(far.every((instance) => instance.startsWith('far')));
  equal(moved(far, await assign(bench, 100)), 0);
  tell(true);
  await assign(bench, 1); // those who are back warm up from here on
  await bench.clock.advanceAsync(60_000);
  equal(moved(near, await assign(bench, 100)), 0);
});

test('a session stays with its instance, and finds another when that one goes', async () => {
  const bench = withPolicy({ sessionPersistence: { sessionName: 'sid' } }, names(5));
  const first = await bench.finish(bench.get());
  const instance = bench.asked.at(-1);
  const cookie = getField(first.head?.fields ?? [], 'set-cookie')?.split(';')[0] ?? '';
  for (let i = 0; i < 20; i++) {
    const reply = await bench.finish(bench.get({ fields: ['cookie', cookie] }));
    equal(bench.asked.at(-1), instance);
    equal(getField(reply.head?.fields ?? [], 'set-cookie'), undefined, 'the client knows');
  }
  serve(
    bench,
    names(5).filter((each) => each !== instance),
  );
  const moved = await bench.finish(bench.get({ fields: ['cookie', cookie] }));
  const other = bench.asked.at(-1);
  const again = getField(moved.head?.fields ?? [], 'set-cookie')?.split(';')[0] ?? '';
  ok(again !== '' && again !== cookie);
  for (let i = 0; i < 10; i++) equal(await ask(bench, ['cookie', again]), other);
});

test('a session goes elsewhere while its instance fails, without one answer lost that may be repeated', async () => {
  const bench = withPolicy({ sessionPersistence: { type: 'Header', sessionName: 'My-Session' } }, names(3));
  const first = await bench.finish(bench.get());
  const token = getField(first.head?.fields ?? [], 'my-session') ?? '';
  const own = bench.asked.at(-1);
  bench.behave = (request, { instance }) => {
    if (instance === own) request.reply.onAbort(failure('SKEIN_SESSION_LOST'));
    else request.answer(200);
  };
  const reply = await bench.finish(bench.get({ fields: ['my-session', token] }));
  equal(reply.head?.status, 200);
  ok(bench.asked.at(-1) !== own);
  const next = getField(reply.head?.fields ?? [], 'my-session') ?? '';
  equal(await ask(bench, ['my-session', next]), bench.asked.at(-1));
});

test('an answer that fails binds nobody', async () => {
  const bench = withPolicy({ sessionPersistence: { sessionName: 'sid' } }, names(3));
  bench.behave = (request) => request.answer(503);
  const reply = await bench.finish(bench.get());
  equal(getField(reply.head?.fields ?? [], 'set-cookie'), undefined);
});

test('without a policy nothing is read and nothing told', async () => {
  const bench = withPolicy({}, names(3));
  const reply = await bench.finish(bench.get({ fields: ['cookie', 'sid=0123456789abcdef.1.1', 'x-user', 'a'] }));
  deepEqual(reply.head?.fields, []);
});
