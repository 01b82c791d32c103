/** Poisoned configuration at the hub's API: refused whole, the last that was good holds, and nothing takes long to judge. */
import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { LocalMesh } from '../../support/local-mesh.ts';

const policy = (spec: unknown, name = 'poison'): unknown => ({
  kind: 'AuthorizationPolicy',
  metadata: { name, namespace: 'default' },
  spec,
});
const route = (rule: unknown, name = 'poison'): unknown => ({
  kind: 'HTTPRoute',
  metadata: { name, namespace: 'default' },
  spec: { parentRefs: [{ group: '', kind: 'Service', name: 'shop' }], rules: [rule] },
});
const matching = (value: string): unknown => route({ matches: [{ path: { type: 'RegularExpression', value } }] });
const backend = (weight: number) => ({ name: 'api', port: 80, weight });
const GOOD = policy({ allow: [{}] }, 'good');

/** What is sent, and the status of the answer. */
const POISONS: readonly (readonly [what: string, status: number, body: unknown])[] = [
  [
    '10 MB',
    413,
    policy({ allow: [{ to: [{ paths: Array(200_000).fill('/a/path/that/is/fairly/long/and/there/are/many') }] }] }),
  ],
  [
    'more than a resource may be',
    422,
    policy({ allow: Array(512).fill({ to: [{ paths: [`/${'x'.repeat(100)}`] }] }) }),
  ],
  ['more rules than a policy may have', 422, policy({ allow: Array(513).fill({}) })],
  ['more values than a rule may have', 422, policy({ allow: [{ to: [{ methods: Array(257).fill('GET') }] }] })],
  ['no body', 400, ''],
  ['no JSON', 400, '{"kind":'],
  ['no UTF-8', 400, new Uint8Array([0x22, 0xff, 0xfe, 0x22])],
  ['a number', 422, 7],
  ['a list in a list', 422, [[GOOD]]],
  [
    '10,000 levels',
    422,
    `{"kind":"AuthorizationPolicy","metadata":{"name":"a"},"spec":${'['.repeat(10_000)}${']'.repeat(10_000)}}`,
  ],
  [
    'a name of the prototype',
    422,
    '{"kind":"AuthorizationPolicy","metadata":{"name":"a"},"spec":{"__proto__":{"allow":[{}]}}}',
  ],
  ['a claim whose name is lost', 422, policy({ allow: [{ from: [{ claims: { constructor: ['a'] } }] }] })],
  ['an expression where there is none', 422, policy({ deny: [{ to: [{ paths: ['/(a+)+$'], regex: true }] }] })],
  ['a pattern with two stars', 422, policy({ deny: [{ to: [{ paths: ['/*a*'] }] }] })],
  ['a path that nothing can match', 422, policy({ deny: [{ to: [{ paths: ['/a/../b'] }] }] })],
  ['an empty list, which denies nothing', 422, policy({ deny: [{ to: [] }] })],
  ['a rule that lost its part', 422, policy({ deny: [{ too: [{ methods: ['GET'] }] }] })],
  ['a test that fails', 422, policy({ deny: [], tests: [{ from: 'spiffe://a.b/c', service: 'api', expect: 'deny' }] })],
  ['a back-reference', 422, matching('(a)\\1')],
  ['an expression that explodes', 422, matching('((((a{0,99}){0,99}){0,99}){0,99})')],
  ['a weight below 0', 422, route({ backendRefs: [backend(-1)] })],
  ['a weight above what there is', 422, route({ backendRefs: [backend(1e9)] })],
  [
    'something good beside something bad',
    422,
    [policy({ deny: [{}] }, 'other'), route({ backendRefs: [backend(-1)] })],
  ],
  ['one name twice', 422, [policy({ deny: [{}] }, 'twice'), policy({ allow: [{}] }, 'twice')]],
];

/** Odd, and allowed: nothing of it may harm. */
const ODD: readonly unknown[] = [
  matching('/(a+)+(a+)+(a+)+b'),
  route({ backendRefs: [backend(0)] }, 'nobody'),
  route({ backendRefs: [{ name: 'shop', port: 80 }] }, 'round'),
];

function toBody(body: unknown): BodyInit {
  if (typeof body === 'string') return body;
  return body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body);
}

test(`${POISONS.length} poisoned changes are refused whole; the last good policy holds for calls all the time`, async (t) => {
  const mesh = await LocalMesh.start(t, { starterPolicy: false });
  const { hub } = mesh;
  const admin = (path: string, body?: unknown): Promise<Response> =>
    fetch(`http://${hub.address}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${hub.adminToken.reveal()}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: toBody(body) }),
    });
  const [api, web] = [await mesh.join(['api']), await mesh.join(['web'])];
  await api.mesh.serve('api', () => new Response('served'));
  equal((await admin('/v1/resources', GOOD)).status, 200);
  await api.log.waitFor('policies-changed');
  const state = async () => (await admin('/v1/resources')).text();
  const before = await state();
  for (const [what, status, body] of POISONS) {
    // A server may hang up on a body that is too long before all of it was sent.
    const answered = await admin('/v1/resources', body).then(
      (answer) => answer.status,
      () => 413,
    );
    equal(answered, status, what);
    equal(await state(), before, what);
    equal((await web.mesh.fetch('http://api.mesh/')).status, 200, what);
  }
  for (const odd of ODD) equal((await admin('/v1/resources', odd)).status, 200, JSON.stringify(odd));
  // In linear time: a backtracking matcher would not come back from this.
  const asked = await web.mesh.fetch(`http://shop.mesh/${'a'.repeat(5_000)}`).then(
    (answer) => answer.status,
    () => 0,
  );
  ok(asked >= 400, String(asked));
  equal((await web.mesh.fetch('http://api.mesh/')).status, 200);
});
