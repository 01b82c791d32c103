/** End users where requests arrive: what a token changes in the answer of policies, and what the application is shown of it. */

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Inbound } from '../../../src/agent/inbound.ts';
import { AGENT_LIMITS } from '../../../src/agent/options.ts';
import { RefusalPace } from '../../../src/agent/refusal-pace.ts';
import { LocalServices } from '../../../src/agent/services.ts';
import type { Resource } from '../../../src/catalog/resource.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { getField, type RequestHead } from '../../../src/http/head.ts';
import { Catalogue } from '../../support/catalogue.ts';
import { printFigures } from '../../support/figures.ts';
import { latin1, RecordingHandler, type ReplyRecorder, responseHead, send } from '../../support/http.ts';
import { type Claims, OidcIssuer } from '../../support/oidc-issuer.ts';

const web = parseSpiffeId('spiffe://skein.mesh/ns/default/sa/web');
const AUDIENCE = 'api';

class Fixture {
  readonly catalogue = new Catalogue();
  readonly handler = new RecordingHandler();
  readonly services = new LocalServices(() => undefined);
  readonly issuer: OidcIssuer;
  readonly inbound: Inbound;

  private constructor(issuer: OidcIssuer) {
    const { mirror, clock, log } = this.catalogue;
    this.issuer = issuer;
    const { services, handler } = this;
    services.add({ service: 'api.default', port: 80, labels: {}, target: { protocol: 'http', handler } });
    services.add({ service: 'other.default', port: 80, labels: {}, target: { protocol: 'http', handler } });
    const pace = new RefusalPace(clock, AGENT_LIMITS);
    this.inbound = new Inbound({ services, mirror, clock, decodeLatin1, log, limits: AGENT_LIMITS, pace });
    this.catalogue.onPolicies = () => this.inbound.reconsider();
    mirror.attach(this.catalogue.connect().channel).catch(() => undefined);
  }

  static async create(t: TestContext, policy: unknown = { allow: [{}] }, rule: object | null = {}): Promise<Fixture> {
    const fixture = new Fixture(await OidcIssuer.start(t));
    if (rule !== null) await fixture.believe(rule);
    await fixture.catalogue.apply(policy);
    return fixture;
  }

  resource(rule: object, targetRefs: readonly object[] | undefined = [{ name: 'api' }]): Resource {
    const jwtRules = [{ issuer: this.issuer.url, audiences: [AUDIENCE], ...rule }];
    const metadata = { name: 'users', namespace: 'default' };
    return { kind: 'RequestAuthentication', metadata, spec: { targetRefs, jwtRules } } as Resource;
  }

  async believe(rule: object, targetRefs?: readonly object[]): Promise<void> {
    this.catalogue.put(this.resource(rule, targetRefs));
    await this.catalogue.clock.advanceAsync(100);
  }

  token(claims: Claims = {}): Promise<string> {
    const iat = Math.floor(this.catalogue.clock.epochMs() / 1000);
    return this.issuer.sign({ sub: 'alice', aud: AUDIENCE, iat, exp: iat + 3600, ...claims });
  }

  send(parts: Partial<RequestHead> = {}, complete = true): ReplyRecorder {
    return send(this.inbound.handlerFor(web), { service: 'api.default:80', ...parts }, complete);
  }

  /** Sends, and waits until it is decided. */
  async ask(fields: readonly string[], parts: Partial<RequestHead> = {}): Promise<ReplyRecorder> {
    const before = this.handler.seen.length;
    const reply = this.send({ fields, ...parts });
    while (this.inbound.live > 0 && this.handler.seen.length === before && !reply.isOver) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await this.catalogue.clock.settle();
    return reply;
  }

  /** `passed`, or the status. */
  async outcome(fields: readonly string[], parts: Partial<RequestHead> = {}): Promise<string> {
    const before = this.handler.seen.length;
    const reply = await this.ask(fields, parts);
    return this.handler.seen.length > before ? 'passed' : String(reply.head?.status);
  }
}

const bearer = (token: string): string[] => ['authorization', `Bearer ${token}`];

test('A token that is not believed is answered with 401, the same for all that is wrong; the log knows', async (t) => {
  const users = await Fixture.create(t);
  const other = await OidcIssuer.start(t);
  const good = await users.token();
  const answers = new Set<string>();
  const counted: string[] = [];
  users.inbound.events.on('token', ({ service, outcome }) => counted.push(`${service} ${outcome}`));
  const wrong = [
    await users.token({ aud: 'web' }),
    await users.token({ exp: 1 }),
    await users.token({ iss: 'https://evil.example.com' }),
    await other.sign({ sub: 'alice', iss: users.issuer.url, aud: AUDIENCE, exp: 2_000_000_000 }),
    `${good.slice(0, -4)}AAAA`,
    'nonsense',
    '',
  ];
  for (const token of wrong) {
    const { head, text } = await users.ask(bearer(token));
    answers.add(JSON.stringify([head, text]));
    equal(head?.status, 401);
    equal(getField(head?.fields ?? [], 'www-authenticate'), 'Bearer error="invalid_token"');
    equal(getField(head?.fields ?? [], 'x-skein-reason'), 'user-token-invalid');
  }
  equal(answers.size, 1);
  deepEqual(counted.slice(0, 2), ['api.default audience', 'api.default expired']);
  equal(users.handler.seen.length, 0);
  equal(users.inbound.live, 0);
  deepEqual(
    users.catalogue.log.of('user-token-refused').map(({ fields }) => fields.why),
    ['audience', 'expired', 'issuer', 'signature', 'signature', 'malformed', 'malformed'],
  );
  const logged = JSON.stringify(users.catalogue.log.lines);
  for (const token of wrong.filter((each) => each.length > 20))
    ok(!logged.includes(token.slice(20)), 'a token is logged');
});

test('gRPC is told UNAUTHENTICATED, and UNAVAILABLE while the keys of the issuer cannot be had', async (t) => {
  const users = await Fixture.create(t);
  const grpc = { method: 'POST', path: '/a.B/C' };
  const { head } = await users.ask(['content-type', 'application/grpc', ...bearer('x')], grpc);
  equal(getField(head?.fields ?? [], 'grpc-status'), '16');
  equal(head?.status, 200);
  users.issuer.stop();
  await users.believe({ jwksUri: 'http://127.0.0.1:9/' });
  const token = await users.token();
  const away = await users.ask(['content-type', 'application/grpc', ...bearer(token)], grpc);
  equal(getField(away.head?.fields ?? [], 'grpc-status'), '14');
  const plain = await users.ask(bearer(token));
  deepEqual([plain.head?.status, getField(plain.head?.fields ?? [], 'x-skein-reason')], [503, 'issuer-unreachable']);
});

const ADMIN = [{ from: [{ claims: { role: ['admin'] } }] }];
const NOT_ADMIN = [{ when: [{ key: 'request.auth.claims[role]', notValues: ['admin'] }] }];
/** What policies say × whether somebody looks × what comes: none, a token without the claim, with it, one that is not good. */
const TABLE: readonly [what: string, spec: object, looked: string, unlooked: string][] = [
  ['allow with the claim', { allow: ADMIN }, '403 403 passed 401', '403 403 403 403'],
  ['allow without it', { allow: NOT_ADMIN }, 'passed passed 403 401', '403 403 403 403'],
  ['deny with the claim', { allow: [{}], deny: ADMIN }, 'passed passed 403 401', '403 403 403 403'],
  ['deny without it', { allow: [{}], deny: NOT_ADMIN }, '403 403 passed 401', '403 403 403 403'],
  ['allow all', { allow: [{}] }, 'passed passed passed 401', 'passed passed passed passed'],
  ['allow nobody', { allow: [{ from: [{ namespaces: ['shop'] }] }] }, '403 403 403 401', '403 403 403 403'],
  [
    'deny all without a token',
    { allow: [{}], deny: [{ when: [{ key: 'request.auth.claims[sub]', notValues: ['*'] }] }] },
    '403 passed passed 401',
    '403 403 403 403',
  ],
];

test('Decision table of claims: policies × whether somebody looks × what comes', async (t) => {
  let count = 0;
  for (const [what, spec, ...expected] of TABLE) {
    for (const [i, rule] of [{}, null].entries()) {
      const users = await Fixture.create(t, spec, rule);
      const outcomes: string[] = [];
      for (const fields of [
        [],
        bearer(await users.token()),
        bearer(await users.token({ role: ['user', 'admin'] })),
        bearer(await users.token({ role: 'admin', exp: 1 })),
      ]) {
        outcomes.push(await users.outcome(fields));
        count++;
      }
      equal(outcomes.join(' '), expected[i], `${what}, ${rule === null ? 'nobody looks' : 'somebody looks'}`);
    }
  }
  printFigures('decision table of claims', { combinations: count });
});

test('The application sees what was verified, and neither the token nor what only looks like it', async (t) => {
  const outputClaimToHeaders = [
    { header: 'x-user', claim: 'sub' },
    { header: 'x-roles', claim: 'roles' },
    { header: 'x-odd', claim: 'odd' },
  ];
  const users = await Fixture.create(t, undefined, { outputClaimToHeaders });
  const spoofed = ['x-user', 'root', 'x_user', 'root', 'X.user'.toLowerCase(), 'root', 'x-odd', 'root', 'x-roles', 'a'];
  const kept = ['accept', '*/*', 'x-username', 'kept'];
  const token = await users.token({ sub: 'zoë', roles: ['a', 'b'], odd: 'a\r\nx-user: root' });
  await users.ask([...spoofed, ...kept, ...bearer(token)]);
  const expected = [...kept, 'x-user', 'zo\u00c3\u00ab', 'x-roles', 'a,b', 'x-skein-client-id', web.uri];
  deepEqual(users.handler.seen.at(-1)?.head.fields, expected);
  await users.ask([...spoofed, ...kept]);
  deepEqual(users.handler.seen.at(-1)?.head.fields, [...kept, 'x-skein-client-id', web.uri]);
  const commas = await users.token({ roles: ['a,admin'] });
  await users.ask(bearer(commas));
  equal(getField(users.handler.seen.at(-1)?.head.fields ?? [], 'x-roles'), undefined);
  const reply = users.send({ method: 'POST' }, false);
  reply.body?.end(['x-user', 'root', 'x-sum', '1']);
  deepEqual(users.handler.seen.at(-1)?.trailers, ['x-sum', '1']);
});

test('A token that was kept goes on to the application where the rule says so, and policies see its field in any case', async (t) => {
  const seesIt = { allow: [{ to: [{ headers: [{ name: 'authorization', values: ['Bearer*'] }] }] }] };
  for (const forwardOriginalToken of [true, false]) {
    const users = await Fixture.create(t, seesIt, { forwardOriginalToken });
    equal(await users.outcome(bearer(await users.token())), 'passed');
    const seen = getField(users.handler.seen.at(-1)?.head.fields ?? [], 'authorization');
    equal(seen !== undefined, forwardOriginalToken);
  }
});

test('A body that comes while a token is verified is kept and passed on; whoever gives up meanwhile starts nothing', async (t) => {
  const users = await Fixture.create(t);
  const reply = users.send({ method: 'POST', fields: bearer(await users.token()) }, false);
  equal(users.inbound.live, 1);
  equal(reply.body?.write(latin1('one')), false);
  const given = users.send({ method: 'POST', fields: bearer(await users.token({ jti: 'b' })) }, false);
  given.body?.abort(new Error('gone') as never);
  while (users.handler.seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
  equal(reply.drains, 1);
  reply.body?.write(latin1('two'));
  reply.body?.end([]);
  const [seen] = users.handler.seen;
  equal(seen?.text, 'onetwo');
  seen?.reply.onHead(responseHead(204), true);
  while (users.inbound.live > 0) await new Promise((resolve) => setImmediate(resolve));
  equal(users.handler.seen.length, 1);
});

test('A stream ends when policies turn against its claims, or nobody believes its token any more; others go on', async (t) => {
  const users = await Fixture.create(t, { allow: ADMIN });
  const token = await users.token({ role: 'admin' });
  const reply = await users.ask(bearer(token));
  equal(users.inbound.live, 1);
  await users.believe({ outputClaimToHeaders: [] });
  equal(users.inbound.live, 1, 'the same rule');
  await users.catalogue.apply({ allow: [{ from: [{ claims: { role: ['admin', 'root'] } }] }] });
  equal(users.inbound.live, 1);
  await users.believe({ audiences: ['elsewhere'] });
  equal(users.inbound.live, 0);
  equal(reply.error?.code, 'SKEIN_DENIED');
});

test('What a request claims of another service of the member is judged without the claims that nobody there has verified', async (t) => {
  const users = await Fixture.create(t, { allow: ADMIN });
  const fields = bearer(await users.token({ role: 'admin' }));
  equal(await users.outcome(fields), 'passed');
  equal(await users.outcome(fields, { authority: 'other.mesh' }), '403');
  await users.believe({}, [{ name: 'api' }, { name: 'other' }]);
  equal(await users.outcome(fields, { authority: 'other.mesh' }), 'passed');
});

test('Whoever names a service by Host alone fills none of the fields that only its own verified tokens may fill', async (t) => {
  const outputClaimToHeaders = [{ header: 'x-user', claim: 'sub' }];
  const users = await Fixture.create(t, undefined, { outputClaimToHeaders, forwardOriginalToken: true });
  const spoofed = ['x-user', 'root', 'accept', '*/*', ...bearer('never-verified')];
  const around = { service: 'other.default:80', authority: 'api.mesh' };
  equal(await users.outcome(spoofed, around), 'passed');
  deepEqual(users.handler.seen.at(-1)?.head.fields, ['accept', '*/*', 'x-skein-client-id', web.uri]);
  const reply = users.send({ ...around, method: 'POST' }, false);
  reply.body?.end(['x_user', 'root', 'x-sum', '1']);
  deepEqual(users.handler.seen.at(-1)?.trailers, ['x-sum', '1']);
  equal(await users.outcome(spoofed, { ...around, authority: 'other.mesh' }), 'passed');
  equal(getField(users.handler.seen.at(-1)?.head.fields ?? [], 'x-user'), 'root', 'nobody fills it there');
});

test('A token in another spelling of its field is no token, and goes no further', async (t) => {
  const fromHeaders = [{ name: 'x-id-token' }];
  const users = await Fixture.create(t, undefined, { fromHeaders, forwardOriginalToken: true });
  const token = await users.token();
  equal(await users.outcome(['x_id_token', 'fake', 'x.id.token', 'fake', 'x-id-token', token]), 'passed');
  deepEqual(users.handler.seen.at(-1)?.head.fields, ['x-id-token', token, 'x-skein-client-id', web.uri]);
  equal(await users.outcome(['x_id_token', token]), 'passed');
  deepEqual(users.handler.seen.at(-1)?.head.fields, ['x-skein-client-id', web.uri]);
});

test('One that this version cannot read closes its namespace, as policies do', async (t) => {
  const users = await Fixture.create(t);
  equal(await users.outcome([]), 'passed');
  await users.believe({ newMember: true });
  equal(await users.outcome([]), '403');
  match(JSON.stringify(users.catalogue.log.of('policy-unreadable')[0]?.fields), /RequestAuthentication/);
  await users.catalogue.apply({ allow: [{}, {}] });
  equal(await users.outcome([]), '403', 'after another change of policies');
  await users.believe({});
  equal(await users.outcome([]), 'passed');
});
