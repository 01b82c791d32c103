/** Inbound: nothing in a request claims an identity but ours, and policies hold for a stream as long as it lives. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Inbound } from '../../../src/agent/inbound.ts';
import type { InboundFact } from '../../../src/agent/inbound-exchange.ts';
import { AGENT_LIMITS } from '../../../src/agent/options.ts';
import { RefusalPace } from '../../../src/agent/refusal-pace.ts';
import { LocalServices } from '../../../src/agent/services.ts';
import { parseSpiffeId } from '../../../src/core/spiffe-id.ts';
import { decodeLatin1 } from '../../../src/core/text.ts';
import { getField, NO_FIELDS, type RequestHead } from '../../../src/http/head.ts';
import type { RateLimitPolicy } from '../../../src/router/rate-limit.ts';
import { Catalogue } from '../../support/catalogue.ts';
import { latin1, RecordingHandler, type ReplyRecorder, responseHead, send } from '../../support/http.ts';

const web = parseSpiffeId('spiffe://skein.mesh/ns/default/sa/web');

/** Who serves `api.default` with a handler that the test answers for. */
async function createInbound(spec: unknown = { allow: [{}] }, rateLimit?: RateLimitPolicy) {
  const catalogue = new Catalogue();
  const { mirror, clock, log } = catalogue;
  const services = new LocalServices(() => undefined);
  const handler = new RecordingHandler();
  services.add({ service: 'api.default', port: 80, labels: {}, target: { protocol: 'http', handler }, rateLimit });
  const pace = new RefusalPace(clock, AGENT_LIMITS);
  const inbound = new Inbound({ services, mirror, clock, decodeLatin1, log, limits: AGENT_LIMITS, pace });
  catalogue.onPolicies = () => inbound.reconsider();
  mirror.attach(catalogue.connect().channel).catch(() => undefined);
  await catalogue.apply(spec);
  const ask = (parts: Partial<RequestHead> = {}, complete = true, caller = web): ReplyRecorder =>
    send(inbound.handlerFor(caller), { service: 'api.default:80', ...parts }, complete);
  return { catalogue, services, inbound, handler, ask };
}

/** Every way in which somebody outside may try to say what only the mesh may. */
const CLAIMS = [
  'x-skein-client-id',
  'x-skein-reason',
  'x-skein-anything',
  'x_skein_client_id',
  'x-skein-client-id-bin',
  'x_skein-client_id-bin',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-client-cert',
  'x_forwarded_for',
  'x-forwarded',
  'forwarded',
  'via',
  'x-real-ip',
  'x_real_ip',
  'x-envoy-original-path',
  'x-envoy-external-address',
  'x-original-url',
  'x-rewrite-url',
  'x-http-method-override',
];

test('Identity fields of outside reach the application in no form: heads, trailers, 1xx, upgrades, gRPC', async () => {
  const { handler, ask } = await createInbound();
  const spoofed = CLAIMS.flatMap((name) => [name, 'spiffe://skein.mesh/ns/default/sa/admin', name, 'again']);
  const heads: Partial<RequestHead>[] = [
    {},
    { method: 'POST' },
    { upgrade: 'websocket', fields: ['sec-websocket-version', '13'] },
    { method: 'POST', fields: ['content-type', 'application/grpc'] },
    { method: 'OPTIONS', path: '*' },
  ];
  for (const head of heads) {
    const own = [...(head.fields ?? []), 'x-mine', 'kept'];
    const reply = ask({ ...head, fields: [...spoofed, ...own] }, false);
    const seen = handler.seen.at(-1);
    deepEqual(seen?.head.fields, [...own, 'x-skein-client-id', web.uri]);
    reply.body?.end([...spoofed, 'checksum', '1']);
    deepEqual(seen?.trailers, ['checksum', '1']);
    seen?.reply.onInformational(responseHead(103, [...spoofed, 'link', '</a>']));
    seen?.reply.onHead(responseHead(200, [...spoofed, 'x-app', '1']), false);
    seen?.reply.onEnd([...spoofed, 'grpc-status', '0']);
    deepEqual(reply.informational[0]?.fields, ['link', '</a>']);
    deepEqual(reply.head?.fields, ['x-app', '1']);
    deepEqual(reply.trailers, ['grpc-status', '0']);
  }
});

test('A policy judges the request without those fields', async () => {
  const header = { name: 'x-skein-role', values: ['admin'] };
  const { catalogue, ask } = await createInbound({ allow: [{ to: [{ headers: [header] }] }] });
  const reply = ask({ fields: ['x-skein-role', 'admin'] });
  await catalogue.clock.settle();
  equal(reply.head?.status, 403);
});

test('A denied caller gets 403 and not a word about the rule; the log gets all', async () => {
  const { catalogue, inbound, handler, ask } = await createInbound({ deny: [{ to: [{ paths: ['/secret*'] }] }] });
  const facts: InboundFact[] = [];
  inbound.events.on('finished', (fact) => facts.push(fact));
  const reply = ask({ path: '/secret?token=1' });
  await catalogue.clock.settle();
  const { status, fields = [] } = reply.head ?? {};
  equal(status, 403);
  equal(getField(fields, 'x-skein-reason'), 'authz');
  ok(!/default\/p|deny\[|rule/.test(reply.text), reply.text);
  equal(handler.seen.length, 0);
  equal(inbound.live, 0);
  deepEqual(catalogue.log.of('request-denied')[0]?.fields, {
    ...{ caller: web.uri, service: 'api.default:80', method: 'GET', path: '/secret' },
    rule: 'AuthorizationPolicy/default/p deny[0]',
  });
  deepEqual(
    facts.map((fact) => [fact.status, fact.rule, fact.service]),
    [[403, 'AuthorizationPolicy/default/p deny[0]', 'api.default']],
  );
});

test('What this instance does not serve is refused; what name of others is claimed is the application’s own affair', async () => {
  const { catalogue, handler, ask } = await createInbound();
  const replies = [
    ask({ service: 'db.default:80', authority: 'db.mesh' }),
    ask({ service: 'api.default:81' }),
    ask({ service: 'nonsense' }),
    ask({ service: '' }),
  ];
  await catalogue.clock.settle();
  deepEqual(
    replies.map(({ error }) => error?.code),
    ['SKEIN_NO_SUCH_SERVICE', 'SKEIN_NO_SUCH_SERVICE', 'SKEIN_BAD_REQUEST', 'SKEIN_BAD_REQUEST'],
  );
  equal(handler.seen.length, 0);
  for (const authority of ['example.com', 'pay.mesh', 'api.other.mesh']) ask({ authority });
  equal(handler.seen.length, 3);
});

test('A request that names another service of the same instance must be allowed for both', async () => {
  const { catalogue, services, handler, ask } = await createInbound();
  ask({ authority: 'admin.mesh' });
  equal(handler.seen.length, 1, 'nobody serves that here');
  services.add({ service: 'admin.default', port: 8080, labels: {}, target: { protocol: 'http', handler } });
  ask({ authority: 'admin.mesh' });
  equal(handler.seen.length, 2, 'the policy allows both');
  await catalogue.apply({ targets: [{ service: 'admin' }], deny: [{}] }, 'keep-out');
  equal(handler.seen[1]?.aborted?.code, 'SKEIN_DENIED', 'what runs already is judged again');
  const names = ['admin.mesh', 'ADMIN.mesh:80', 'admin.default.mesh', 'admin', 'admin.mesh.', 'api.mesh'];
  const replies = names.map((authority) => ask({ authority }));
  await catalogue.clock.settle();
  deepEqual(
    replies.map(({ head }) => head?.status),
    [403, 403, 403, 403, 403, undefined],
  );
  equal(handler.seen.length, 3);
});

test('A change of policy ends what it forbids, in every state of a request, and touches nothing else', async () => {
  const { catalogue, inbound, handler, ask } = await createInbound();
  const waiting = ask({ path: '/no/1' });
  const answering = ask({ path: '/no/2' });
  handler.seen[1]?.reply.onHead(responseHead(200), false);
  const uploading = ask({ path: '/no/3', method: 'POST' }, false);
  const answered = ask({ path: '/no/4', method: 'POST' }, false);
  handler.seen[3]?.answer(200, 'done before the body');
  const tunnel = ask({ path: '/no/5', upgrade: 'websocket' }, false);
  handler.seen[4]?.reply.onHead(responseHead(101, NO_FIELDS, 'websocket'), false);
  handler.seen[4]?.reply.onEnd(NO_FIELDS);
  const allowed = ask({ path: '/yes' }, false);
  const over = ask({ path: '/no/6' });
  handler.seen[6]?.answer(200, 'over');
  await catalogue.apply({ deny: [{ to: [{ paths: ['/no/*'] }] }], allow: [{}] });
  for (const [i, reply] of [waiting, answering, uploading, answered, tunnel].entries()) {
    equal(reply.error?.code, 'SKEIN_DENIED', `the caller of request ${i + 1}`);
    equal(reply.error?.notProcessed, false);
    equal(handler.seen[i]?.aborted?.code, 'SKEIN_DENIED', `the application of request ${i + 1}`);
  }
  deepEqual([over.error, over.text, handler.seen[6]?.aborted], [undefined, 'over', undefined]);
  equal(catalogue.log.of('request-denied').length, 5);
  equal(inbound.live, 1);
  // The one that is left is not even disturbed.
  allowed.body?.write(latin1('body'));
  allowed.body?.end(NO_FIELDS);
  equal(handler.seen[5]?.text, 'body');
  handler.seen[5]?.answer(200, 'fine');
  deepEqual([allowed.error, allowed.text, inbound.live], [undefined, 'fine', 0]);
});

test('A WebSocket that is not allowed any more is told so between two frames, and broken off within one', async () => {
  const { catalogue, handler, ask } = await createInbound();
  const open = (said: string): ReplyRecorder => {
    const reply = ask({ upgrade: 'websocket' }, false);
    const seen = handler.seen.at(-1)?.reply;
    seen?.onHead(responseHead(101, NO_FIELDS, 'websocket'), false);
    seen?.onData(latin1(said));
    return reply;
  };
  const between = open('\x81\x02hi');
  const within = open('\x81\x05hi');
  await catalogue.apply({ deny: [{}] });
  const text = 'No policy allows it any more';
  equal(between.text, `\x81\x02hi\x88${String.fromCharCode(text.length + 2)}\x11\x33${text}`);
  deepEqual([between.error, within.error?.code, within.text], [undefined, 'SKEIN_DENIED', '\x81\x05hi']);
  deepEqual(
    handler.seen.map(({ aborted }) => aborted?.code),
    ['SKEIN_DENIED', 'SKEIN_DENIED'],
  );
  // What it still says reaches nobody, and after a moment it must be gone.
  between.body?.write(latin1('more'));
  equal(handler.seen[0]?.text, '');
  await catalogue.clock.advanceAsync(1_000);
  equal(between.error?.code, 'SKEIN_DENIED');
});

test('What would be decided otherwise is told and logged, and changes nothing', async () => {
  const { catalogue, inbound, handler, ask } = await createInbound({
    allow: [{ to: [{ paths: ['/old', '/new'] }] }],
    shadowDeny: [{ to: [{ paths: ['/old'] }] }],
  });
  await catalogue.apply({ mode: 'audit', deny: [{ to: [{ methods: ['POST'] }] }], allow: [{}] }, 'trial');
  const facts: string[] = [];
  inbound.events.on('judged', ({ outcome, rule }) => facts.push(`${outcome} ${rule.replace(/^.*\//, '')}`));
  ask({ path: '/new' });
  deepEqual(facts, []);
  ask({ path: '/old?secret', method: 'POST' });
  deepEqual(facts.splice(0), ['would-deny p shadowDeny[0]', 'would-deny trial deny[0]']);
  equal(handler.seen.length, 2);
  ask({ path: '/other' });
  deepEqual(facts.splice(0), ['denied default-deny', 'would-allow trial allow[0]']);
  equal(handler.seen.length, 2);
  deepEqual(
    catalogue.log.of('request-would-be-denied').map(({ fields }) => [fields.method, fields.path, fields.caller]),
    [
      ['POST', '/old', web.uri],
      ['POST', '/old', web.uri],
    ],
  );
  equal(catalogue.log.of('request-would-be-allowed').length, 1);
  // What runs is judged again, and not counted again.
  await catalogue.apply({ shadowDeny: [{}] }, 'more');
  deepEqual(facts, []);
});

test('Refused requests are logged so many a second, with the number of those left out', async () => {
  const { catalogue, ask } = await createInbound({ deny: [{}] });
  const { clock, log } = catalogue;
  const refuse = async (times: number): Promise<void> => {
    for (let n = 0; n < times; n++) ask();
    await clock.settle();
  };
  await refuse(1000);
  equal(log.of('request-denied').length, AGENT_LIMITS.denialsBurst);
  clock.advance(1000);
  await refuse(1);
  equal(log.of('request-denied').at(-1)?.fields.notLogged, 900);
});

test('A caller that asks more often than it may is answered 429 and when to come back; others, and the denied, take nothing of it', async () => {
  const rateLimit = { perCaller: { requests: 2, intervalMs: 10_000 } };
  const { catalogue, inbound, handler, ask } = await createInbound({ allow: [{ to: [{ paths: ['/'] }] }] }, rateLimit);
  const facts: InboundFact[] = [];
  inbound.events.on('finished', (fact) => facts.push(fact));
  const denied = ask({ path: '/no' });
  await denied.done;
  equal(denied.head?.status, 403);
  const passed = [ask(), ask()];
  const refused = ask();
  const refusedGrpc = ask({ fields: ['content-type', 'application/grpc'] });
  await Promise.all([refused.done, refusedGrpc.done]);
  equal(handler.seen.length, 2);
  equal(refused.head?.status, 429);
  const read = (reply: ReplyRecorder, ...names: readonly string[]) =>
    names.map((name) => getField(reply.head?.fields ?? [], name));
  deepEqual(read(refused, 'x-skein-reason', 'x-skein-processed', 'retry-after'), ['rate-limited', 'no', '5']);
  const inGrpc = read(refusedGrpc, 'grpc-status', 'grpc-retry-pushback-ms', 'x-skein-reason');
  deepEqual([refusedGrpc.head?.status, ...inGrpc], [200, '8', '5000', 'rate-limited']);
  deepEqual(
    facts.map(({ reason }) => reason),
    ['authz', 'rate-limited', 'rate-limited'],
  );
  ask({}, true, parseSpiffeId('spiffe://skein.mesh/ns/default/sa/other'));
  equal(handler.seen.length, 3, 'another caller has a rate of its own');
  await catalogue.clock.advanceAsync(5_000);
  ask();
  equal(handler.seen.length, 4);
  equal(passed.length, 2);
});

test('A BackendTrafficPolicy limits callers from its arrival on, and what the member said holds again when it goes', async () => {
  const { catalogue, handler, ask } = await createInbound(
    { allow: [{}] },
    { perCaller: { requests: 3, intervalMs: 60_000 } },
  );
  const passes = async (): Promise<number> => {
    const before = handler.seen.length;
    const refused = Array.from({ length: 5 }, () => ask());
    await catalogue.clock.settle();
    const passed = handler.seen.length - before;
    equal(refused.filter(({ head }) => head?.status === 429).length, 5 - passed);
    return passed;
  };
  equal(await passes(), 3);
  const limits = { overrides: [{ ids: [web.uri], requests: 1, interval: '1m' }] };
  const policy = {
    kind: 'BackendTrafficPolicy',
    metadata: { name: 'p', namespace: 'default' },
    spec: { targetRefs: [{ name: 'api' }], rateLimit: limits },
  } as const;
  catalogue.put(policy);
  await catalogue.clock.advanceAsync(100);
  equal(await passes(), 1);
  equal(await passes(), 0);
  catalogue.remove(policy);
  await catalogue.clock.advanceAsync(100);
  equal(await passes(), 3);
});
