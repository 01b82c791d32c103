/** The route table: which rule takes a request, for whom a route holds, on which ports, and what a change keeps. */
import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../../src/catalog/route.ts';
import type { RequestHead } from '../../../src/http/head.ts';
import { toDestination } from '../../../src/router/destination.ts';
import { RouteTable } from '../../../src/router/table.ts';
import { WeightedChoice } from '../../../src/router/weighted.ts';
import { requestHead } from '../../support/http.ts';
import { grpcRoute, httpRoute, routeSet, tableOf, tcpRoute } from '../../support/routes.ts';

const API = toDestination('api.default', 80);

/** Names of the rules that take some requests. */
function rulesFor(table: RouteTable, ...requests: readonly (string | Partial<RequestHead>)[]): (string | undefined)[] {
  const routes = table.find(API);
  return requests.map((request) => {
    const head = requestHead(typeof request === 'string' ? { path: request } : request);
    return routes?.match(head)?.rule.id.replace(/^(?:HTTP|GRPC)Route\/default\//, '');
  });
}

/** One rule per match, each with its name. */
function rules(matches: Readonly<Record<string, object | readonly object[]>>): object {
  return { rules: Object.entries(matches).map(([name, match]) => ({ name, matches: [match].flat() })) };
}

test('exact paths are compared byte by byte, prefixes by path element', () => {
  const table = tableOf(
    httpRoute(rules({ exact: { path: { type: 'Exact', value: '/one' } }, prefix: { path: { value: '/abc/' } } })),
  );
  deepEqual(rulesFor(table, '/one', '/one?x=/one/', '/one/', '/One', '/one/two', '/%6fne', '//one'), [
    'r exact',
    'r exact',
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  deepEqual(rulesFor(table, '/abc', '/abc/', '/abc/def', '/abc//', '/abc?x', '/abcd', '/ABC', '/', '*', ''), [
    'r prefix',
    'r prefix',
    'r prefix',
    'r prefix',
    'r prefix',
    ...Array(5).fill(undefined),
  ]);
});

test('a regular expression must take the whole path, and bytes that are no text', () => {
  const table = tableOf(
    httpRoute(rules({ v: { path: { type: 'RegularExpression', value: '/v[0-9]+/.*' } } })),
    httpRoute(
      {
        rules: [
          { name: 'evil', matches: [{ headers: [{ type: 'RegularExpression', name: 'X-Note', value: '.*evil.*' }] }] },
        ],
      },
      { name: 'deny' },
    ),
  );
  deepEqual(rulesFor(table, '/v1/x', '/v12/', '/v1', '/a/v1/x', '/vx/x'), [
    'r v',
    'r v',
    undefined,
    undefined,
    undefined,
  ]);
  for (const note of ['evil', '\xff\xfe evil \x80', '\xc3\x28evil', 'a\tevil']) {
    deepEqual(rulesFor(table, { fields: ['x-note', note] }), ['deny evil'], JSON.stringify(note));
  }
});

test('header conditions: any case of the name, lines combined, the first of two for one name, Host is the authority', () => {
  const table = tableOf(
    httpRoute(
      rules({
        a: {
          headers: [
            { name: 'X-Version', value: 'one' },
            { name: 'x-version', value: 'two' },
          ],
        },
        b: { headers: [{ name: 'x-list', value: 'p, q' }] },
        c: { headers: [{ name: 'Host', value: 'shop.example' }] },
        d: { headers: [{ name: 'x-name', value: 'grüße' }] },
        e: { headers: [{ name: 'cookie', value: 'a=1; b=2' }] },
      }),
    ),
  );
  const ask = (...fields: string[]): (string | undefined)[] => rulesFor(table, { fields });
  deepEqual(ask('x-version', 'one'), ['r a']);
  deepEqual(ask('x-version', 'One'), [undefined]);
  deepEqual(ask('x-version', 'two'), [undefined]);
  deepEqual(ask('x-list', 'p', 'x-other', '', 'x-list', 'q'), ['r b']);
  deepEqual(ask('x-name', 'gr\xc3\xbc\xc3\x9fe'), ['r d']);
  deepEqual(ask('cookie', 'a=1', 'cookie', 'b=2'), ['r e']);
  deepEqual(rulesFor(table, { authority: 'shop.example' }), ['r c']);
});

test('query conditions: exact names, the first value, decoded', () => {
  const table = tableOf(
    httpRoute(
      rules({
        whale: { queryParams: [{ name: 'animal', value: 'whale' }] },
        space: { queryParams: [{ name: 'a b', value: 'ü' }] },
        empty: { queryParams: [{ name: 'flag', type: 'RegularExpression', value: '' + '.{0}' }] },
      }),
    ),
  );
  const whale = ['/?animal=whale', '/?x=1&animal=whale&animal=dog', '/?animal=%77hale', '/?%61nimal=whale'];
  deepEqual(rulesFor(table, ...whale), Array(4).fill('r whale'));
  const none = ['/', '/?animal=dog&animal=whale', '/?Animal=whale', '/?animal=whaledolphin', '/?animal', '/?animal=%7'];
  deepEqual(rulesFor(table, ...none), Array(6).fill(undefined));
  deepEqual(rulesFor(table, '/?a+b=%C3%BC', '/?a%20b=%c3%bc', '/?flag', '/?flag='), [
    'r space',
    'r space',
    'r empty',
    'r empty',
  ]);
});

test('precedence: exact, expression, longest prefix, method, headers, query, age, name, order', () => {
  const h = (name: string) => ({ name, value: '1' });
  const table = tableOf(
    httpRoute(
      rules({
        prefix: { path: { value: '/a' } },
        longer: { path: { value: '/a/b' } },
        expression: { path: { type: 'RegularExpression', value: '/a/b/c.*' } },
        exact: { path: { type: 'Exact', value: '/a/b/c' } },
        method: { path: { value: '/a' }, method: 'PATCH' },
        header: { path: { value: '/a' }, headers: [h('x')] },
        headers: { path: { value: '/a' }, headers: [h('x'), h('y')] },
        query: { path: { value: '/a' }, queryParams: [h('q')] },
      }),
    ),
  );
  deepEqual(rulesFor(table, '/a', '/a/b', '/a/b/cd', '/a/b/c', '/a?q=1'), [
    'r prefix',
    'r longer',
    'r expression',
    'r exact',
    'r query',
  ]);
  deepEqual(
    rulesFor(
      table,
      { path: '/a', method: 'PATCH', fields: ['x', '1', 'y', '1'] },
      { path: '/a?q=1', fields: ['x', '1', 'y', '1'] },
      { path: '/a?q=1', fields: ['x', '1'] },
      { path: '/a/b', method: 'PATCH', fields: ['x', '1', 'y', '1'] },
    ),
    ['r method', 'r headers', 'r header', 'r longer'],
  );
});

test('of equal matches the oldest route wins, then the first name, then the first rule', () => {
  const young = httpRoute(rules({ x: {} }), { name: 'a', creationTimestamp: '2026-02-01T00:00:00Z' });
  const old = httpRoute(rules({ x: {}, y: {} }), { name: 'b', creationTimestamp: '2026-01-01T00:00:00Z' });
  const twin = httpRoute(rules({ x: {} }), { name: 'c', creationTimestamp: '2026-01-01T00:00:00Z' });
  for (const routes of [
    [young, old, twin],
    [twin, young, old],
    [old, twin, young],
  ]) {
    deepEqual(rulesFor(tableOf(...routes), '/'), ['b x']);
  }
  deepEqual(rulesFor(tableOf(young, twin), '/'), ['c x']);
});

test('a route holds for the ports it names, and one that names none for all', () => {
  const parents = (...refs: object[]) => ({
    parentRefs: refs.map((ref) => ({ group: '', kind: 'Service', name: 'api', ...ref })),
  });
  const table = tableOf(
    httpRoute(
      { ...parents({ port: 80 }, { port: 8080 }), ...rules({ x: { path: { type: 'Exact', value: '/' } } }) },
      { name: 'a' },
    ),
    httpRoute({ ...parents({ name: 'web' }), ...rules({ y: {} }) }, { name: 'b' }),
  );
  const at = (service: string, port: number) => table.find(toDestination(service, port))?.match(requestHead())?.rule.id;
  equal(at('api.default', 80), 'HTTPRoute/default/a x');
  equal(at('api.default', 8080), 'HTTPRoute/default/a x');
  equal(table.find(toDestination('api.default', 443)), undefined, 'implicit delivery');
  equal(at('web.default', 1), 'HTTPRoute/default/b y');
  equal(table.find(toDestination('db.default', 80)), undefined);
});

test('a parent that is no service of the mesh, or a section, attaches to nothing', () => {
  for (const ref of [
    { name: 'api' },
    { name: 'api', group: '', kind: 'Pod' },
    { name: 'api', group: 'example.com', kind: 'Service' },
    { name: 'api', group: '', kind: 'Service', sectionName: 'http' },
    { name: 'api', group: '', kind: 'Service', namespace: 'shop' },
  ]) {
    equal(tableOf(httpRoute({ parentRefs: [ref], rules: [{}] })).find(API), undefined, JSON.stringify(ref));
  }
});

test('a consumer route holds for callers of its namespace alone, and there in place of the producer’s', () => {
  const producer = httpRoute(rules({ p: {} }), { name: 'producer' });
  const ref = { group: '', kind: 'Service', name: 'api', namespace: 'default' };
  const consumer = httpRoute(
    { parentRefs: [ref], ...rules({ c: { path: { value: '/only' } } }) },
    { name: 'consumer', namespace: 'shop' },
  );
  const at = (namespace: string, path: string) =>
    new RouteTable(routeSet(namespace, producer, consumer)).find(API)?.match(requestHead({ path }))?.rule.id;
  equal(at('default', '/only'), 'HTTPRoute/default/producer p');
  equal(at('other', '/only'), 'HTTPRoute/default/producer p');
  equal(at('shop', '/only'), 'HTTPRoute/shop/consumer c');
  equal(at('shop', '/else'), undefined, 'the two are never merged');
  equal(tableOf(consumer).find(API), undefined);
});

test('a change of other routes leaves a compiled service as it is', () => {
  const api = httpRoute(rules({ x: {} }));
  const web = (value: string) =>
    httpRoute(
      { parentRefs: [{ group: '', kind: 'Service', name: 'web' }], ...rules({ x: { path: { value } } }) },
      { name: 'w' },
    );
  const before = tableOf(api, web('/a'));
  const kept = before.find(API);
  const after = new RouteTable(routeSet('default', api, web('/b')), before);
  equal(after.find(API), kept);
  notEqual(after.find(toDestination('web.default', 80)), before.find(toDestination('web.default', 80)));
  notEqual(new RouteTable(routeSet('default', httpRoute(rules({ x: {} }))), before).find(API), kept);
});

test('shares come out exactly over each round, and evenly within it', () => {
  const turns = (weights: readonly number[], count: number): number[] => {
    const choice = new WeightedChoice(weights.map((weight, index) => ({ weight, index })));
    return Array.from({ length: count }, () => choice.next()?.index ?? -1);
  };
  deepEqual(turns([5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
  const counts = (weights: readonly number[], count: number): number[] => {
    const taken = weights.map(() => 0);
    for (const index of turns(weights, count)) taken[index] = (taken[index] ?? 0) + 1;
    return taken;
  };
  deepEqual(counts([70, 30], 500), [350, 150]);
  deepEqual(counts([70, 30, 0], 500), [350, 150, 0]);
  deepEqual(counts([1_000_000, 1], 1_000_001), [1_000_000, 1]);
  deepEqual(turns([0, 0], 2), [-1, -1]);
  deepEqual(turns([], 1), [-1]);
  // Never more than one request away from what is due.
  const weights = [13, 29, 58];
  const taken = [0, 0, 0];
  for (const [at, index] of turns(weights, 1000).entries()) {
    taken[index] = (taken[index] ?? 0) + 1;
    for (const [i, weight] of weights.entries()) {
      const due = ((at + 1) * weight) / 100;
      equal(Math.abs((taken[i] ?? 0) - due) < 1, true, `${i} after ${at + 1}: ${taken[i]}, due ${due}`);
    }
  }
});

const GRPC = { method: 'POST', fields: ['content-type', 'application/grpc'] };
const grpc = (path: string, ...fields: string[]): Partial<RequestHead> => ({
  ...GRPC,
  path,
  fields: [...GRPC.fields, ...fields],
});

test('calls of gRPC are matched by service, method and metadata', () => {
  const table = tableOf(
    grpcRoute({
      rules: [
        { name: 'say', matches: [{ method: { service: 'shop.Orders', method: 'Say' } }] },
        { name: 'orders', matches: [{ method: { service: 'shop.Orders' } }] },
        { name: 'list', matches: [{ method: { method: 'List' } }] },
        { name: 'pattern', matches: [{ method: { type: 'RegularExpression', service: 'pay\\..*', method: 'Do.*' } }] },
        { name: 'v2', matches: [{ method: { service: 'shop.Orders' }, headers: [{ name: 'Version', value: '2' }] }] },
      ],
    }),
  );
  deepEqual(
    rulesFor(
      table,
      ...['/shop.Orders/Say', '/shop.Orders/say', '/shop.Users/List', '/shop.Orders/List', '/pay.Card/DoIt'].map(
        (path) => grpc(path),
      ),
    ).map((id) => id?.slice(id.lastIndexOf(' ') + 1)),
    ['say', 'orders', 'list', 'orders', 'pattern'],
  );
  const ids = rulesFor(table, grpc('/shop.Orders/List', 'version', '2'), grpc('/shop.Orders/Say', 'version', '2'));
  deepEqual(
    ids.map((id) => id?.slice(id.lastIndexOf(' ') + 1)),
    ['v2', 'say'],
  );
  const none = [
    grpc('/shop.Users/Say'),
    grpc('/shop.Orders'),
    grpc('/shop.Orders/a/b'),
    grpc('/'),
    { path: '/shop.Orders/Say' },
  ];
  deepEqual(rulesFor(table, ...none), Array(5).fill(undefined));
});

test('of several kinds on one service and port the most particular is used, and they are never merged', () => {
  const at = (table: RouteTable, port: number) => table.find(toDestination('api.default', port))?.kind;
  const http = httpRoute(rules({ h: {} }), { name: 'h' });
  const port80 = { parentRefs: [{ group: '', kind: 'Service', name: 'api', port: 80 }] };
  const tcp = tcpRoute({ rules: [{ backendRefs: [{ name: 'a', port: 80 }] }] }, { name: 't' });
  const grpc80 = grpcRoute({ ...port80, rules: [{}] }, { name: 'g' });
  const all = tableOf(tcp, http, grpc80);
  deepEqual([at(all, 80), at(all, 81)], ['GRPCRoute', 'HTTPRoute']);
  deepEqual([at(tableOf(tcp, http), 80), at(tableOf(tcp), 80)], ['HTTPRoute', 'TCPRoute']);
  equal(all.find(API)?.match(requestHead()), undefined, 'the HTTPRoute is not looked at on port 80');
});

test('of several TCPRoutes the oldest is used, and of its rules the first', () => {
  const make = (name: string, created: string): Route =>
    tcpRoute(
      { rules: [{ name: 'x', backendRefs: [{ name, port: 80 }] }, { backendRefs: [{ name: 'no', port: 80 }] }] },
      { name, creationTimestamp: created },
    );
  const table = tableOf(make('young', '2026-02-01T00:00:00Z'), make('old', '2026-01-01T00:00:00Z'));
  equal(table.find(API)?.connections?.id, 'TCPRoute/default/old x');
  equal(tableOf(httpRoute(rules({ h: {} }))).find(API)?.connections, undefined);
});
