/** Filters: what they do to a request on its way and to its answer on the way back; the tables are those of Gateway API. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../../src/core/bytes.ts';
import { getField, NO_FIELDS, type RequestHead } from '../../../src/http/head.ts';
import { compileOrigins } from '../../../src/router/filters/cors.ts';
import { compileModifier } from '../../../src/router/filters/header-modifier.ts';
import { compilePathModifier } from '../../../src/router/filters/path-modifier.ts';
import { httpRoute, manifest, tableOf, tableWith } from '../../support/routes.ts';
import { type Bench, failure, routed } from './bench.ts';
import { endpoint, type ReceivedRequest, ReplyRecorder, requestHead } from './endpoints.ts';

const V1 = { name: 'v1', port: 80 };
const V2 = { name: 'v2', port: 80 };

/** The head as the endpoint of one rule sees it. */
async function seenBy(rule: object, head: Partial<RequestHead> = {}): Promise<RequestHead | undefined> {
  const bench = routed({ rules: [{ backendRefs: [V1], ...rule }] });
  let seen: RequestHead | undefined;
  bench.behave = (request) => {
    seen = request.head;
    request.answer(200);
  };
  await bench.get(head).done;
  return seen;
}

const filter = (type: string, member: string, value: object): object => ({ type, [member]: value });
const setHeaders = (value: object): object => filter('RequestHeaderModifier', 'requestHeaderModifier', value);
const rewrite = (value: object): object => filter('URLRewrite', 'urlRewrite', value);
const redirect = (value: object): object => filter('RequestRedirect', 'requestRedirect', value);
const extension = (kind: string, name: string): object =>
  filter('ExtensionRef', 'extensionRef', { group: 'skein.dev', kind, name });

const edits: readonly [what: string, modifier: object, before: string[], after: string[]][] = [
  ['set without a value before', { set: [{ name: 'X-A', value: '1' }] }, [], ['x-a', '1']],
  [
    'set replaces every line',
    { set: [{ name: 'X-A', value: '1' }] },
    ['x-a', 'o', 'b', '', 'x-a', 'p'],
    ['b', '', 'x-a', '1'],
  ],
  ['add without a value before', { add: [{ name: 'X-A', value: '1' }] }, ['b', ''], ['b', '', 'x-a', '1']],
  ['add goes behind the value', { add: [{ name: 'X-A', value: '1' }] }, ['x-a', 'old'], ['x-a', 'old,1']],
  [
    'add goes behind the last line',
    { add: [{ name: 'X-A', value: '1' }] },
    ['x-a', 'o', 'x-a', 'p'],
    ['x-a', 'o', 'x-a', 'p,1'],
  ],
  [
    'cookies stay apart',
    { add: [{ name: 'Set-Cookie', value: 'b=2' }] },
    ['set-cookie', 'a=1'],
    ['set-cookie', 'a=1', 'set-cookie', 'b=2'],
  ],
  ['remove takes every line, in any case', { remove: ['X-A'] }, ['x-a', '1', 'b', '2', 'x-a', '3'], ['b', '2']],
  [
    'all at once leave the others alone',
    { set: [{ name: 'a', value: '1' }], add: [{ name: 'b', value: '2' }], remove: ['c'] },
    ['a', 'x', 'b', 'y', 'c', 'z', 'd', 'w'],
    ['b', 'y,2', 'd', 'w', 'a', '1'],
  ],
  ['text that is no ASCII travels as UTF-8', { set: [{ name: 'a', value: 'ü' }] }, [], ['a', '\xc3\xbc']],
];
for (const [what, modifier, before, after] of edits) {
  test(`header modifier: ${what}`, () => {
    deepEqual(compileModifier({ set: [], add: [], remove: [], ...modifier })(before), after);
  });
}

test('header modifiers change what the endpoint sees and what the client sees', async () => {
  const bench = routed({
    rules: [
      {
        filters: [
          setHeaders({ set: [{ name: 'X-To', value: 'backend' }] }),
          filter('ResponseHeaderModifier', 'responseHeaderModifier', { set: [{ name: 'X-From', value: 'route' }] }),
        ],
        backendRefs: [V1],
      },
    ],
  });
  let seen: RequestHead | undefined;
  bench.behave = (request) => {
    seen = request.head;
    request.reply.onHead({ status: 200, fields: ['x-from', 'app'], upgrade: undefined }, true);
  };
  const reply = bench.get({ fields: ['x-to', 'client'] });
  await reply.done;
  deepEqual(
    [seen?.fields, reply.head?.fields],
    [
      ['x-to', 'backend'],
      ['x-from', 'route'],
    ],
  );
});

test('filters of a backend run for its own requests only, behind those of the rule', async () => {
  const value = (text: string): object => setHeaders({ add: [{ name: 'x-who', value: text }] });
  const bench = routed({
    rules: [
      {
        filters: [value('rule')],
        backendRefs: [
          { ...V1, filters: [value('first')] },
          { ...V2, filters: [value('second')] },
        ],
      },
    ],
  });
  const seen: Record<string, string | undefined> = {};
  bench.behave = (request, at) => {
    seen[at.instance] = getField(request.head.fields, 'x-who');
    request.answer(200);
  };
  for (let i = 0; i < 4; i++) await bench.get().done;
  deepEqual(seen, { v1: 'rule,first', v2: 'rule,second' });
});

const replacements: readonly [request: string, prefix: string, replacement: string, result: string][] = [
  ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
  ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
  ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
  ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
  ['/foo', '/foo', '/xyz', '/xyz'],
  ['/foo/', '/foo', '/xyz', '/xyz/'],
  ['/foo/bar', '/foo', '', '/bar'],
  ['/foo/', '/foo', '', '/'],
  ['/foo', '/foo', '', '/'],
  ['/foo/', '/foo', '/', '/'],
  ['/foo', '/foo', '/', '/'],
  ['/foo/bar?a=/foo&b', '/foo', '/xyz', '/xyz/bar?a=/foo&b'],
  ['/foo?x', '/foo', '', '/?x'],
  ['/foo/%2e%2E/b%20c', '/foo', '/xyz', '/xyz/%2e%2E/b%20c'],
  ['/a/b', '/', '/xyz', '/xyz/a/b'],
  ['/', '/', '/xyz', '/xyz/'],
];
test('a matched prefix is replaced by the table of the specification; query and escapes stay', () => {
  for (const [request, prefix, replacement, result] of replacements) {
    const change = compilePathModifier({ type: 'ReplacePrefixMatch', replacePrefixMatch: replacement }, prefix);
    equal(change(request), result, `${request}, ${prefix} by "${replacement}"`);
  }
  const full = compilePathModifier({ type: 'ReplaceFullPath', replaceFullPath: '/one' }, '/');
  deepEqual(['/a/b', '/a?q=1', '/?'].map(full), ['/one', '/one?q=1', '/one?']);
});

test('URLRewrite changes host and path for the endpoint, before other filters see them', async () => {
  const matches = [{ path: { value: '/prefix' } }];
  const path = { type: 'ReplacePrefixMatch', replacePrefixMatch: '' };
  const seen = await seenBy(
    { matches, filters: [rewrite({ hostname: 'one.example.org', path })] },
    { path: '/prefix/one/two?q=1' },
  );
  deepEqual([seen?.authority, seen?.path, seen?.service], ['one.example.org', '/one/two?q=1', 'v1.default:80']);
});

const redirects: readonly [
  what: string,
  redirect: object,
  head: Partial<RequestHead>,
  status: number,
  location: string,
][] = [
  ['host', { hostname: 'example.org' }, { path: '/a?b=c' }, 302, 'http://example.org/a?b=c'],
  ['host and status', { hostname: 'example.org', statusCode: 301 }, {}, 301, 'http://example.org/'],
  ['nothing: to itself', {}, { path: '/a', authority: 'api.mesh' }, 302, 'http://api.mesh/a'],
  ['303', { statusCode: 303 }, { path: '/keep' }, 303, 'http://api.mesh/keep'],
  ['307', { statusCode: 307 }, { path: '/keep' }, 307, 'http://api.mesh/keep'],
  ['308', { statusCode: 308 }, { path: '/keep' }, 308, 'http://api.mesh/keep'],
  ['port', { port: 8083 }, { authority: 'api.mesh:80' }, 302, 'http://api.mesh:8083/'],
  ['port and host', { port: 8083, hostname: 'example.org' }, {}, 302, 'http://example.org:8083/'],
  ['port 80 on http', { port: 80 }, {}, 302, 'http://api.mesh/'],
  ['port 443 on http', { port: 443 }, {}, 302, 'http://api.mesh:443/'],
  ['scheme', { scheme: 'https' }, {}, 302, 'https://api.mesh/'],
  ['scheme and port', { scheme: 'https', port: 8443 }, {}, 302, 'https://api.mesh:8443/'],
  ['scheme and its own port', { scheme: 'https', port: 443 }, {}, 302, 'https://api.mesh/'],
  [
    'scheme http, and a port of the client',
    { scheme: 'http' },
    { authority: 'api.mesh:8080' },
    302,
    'http://api.mesh/',
  ],
  ['the port of the service', {}, { authority: 'api.mesh:8080' }, 302, 'http://api.mesh:8080/'],
  [
    'a full path',
    { path: { type: 'ReplaceFullPath', replaceFullPath: '/full' } },
    { path: '/p/x?q' },
    302,
    'http://api.mesh/full?q',
  ],
  [
    'a prefix',
    { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/r' } },
    { path: '/p/x?q' },
    302,
    'http://api.mesh/r/x?q',
  ],
];
for (const [what, change, head, status, location] of redirects) {
  test(`redirect by ${what}`, async () => {
    const bench = routed({
      rules: [
        { matches: [{ path: { value: '/p' } }], filters: [redirect(change)] },
        { filters: [redirect({ ...change, path: undefined })] },
      ],
    });
    const reply = await bench.finish(bench.get(head));
    deepEqual([reply.head?.status, getField(reply.head?.fields ?? [], 'location'), reply.text], [status, location, '']);
    equal(getField(reply.head?.fields ?? [], 'x-skein-reason'), 'redirect');
    deepEqual([bench.asked, bench.finished[0]?.status, bench.finished[0]?.reason], [[], status, 'redirect']);
  });
}

test('a redirect of one backend is for its share of the requests', async () => {
  const bench = routed({ rules: [{ backendRefs: [V1, { ...V2, filters: [redirect({ hostname: 'example.org' })] }] }] });
  const statuses: (number | undefined)[] = [];
  for (let i = 0; i < 4; i++) statuses.push((await bench.finish(bench.get())).head?.status);
  deepEqual(statuses, [200, 302, 200, 302]);
});

// CORS.

const origins: readonly [pattern: string, origin: string, allowed: boolean][] = [
  ['*', 'https://any.example', true],
  ['https://www.foo.com', 'https://www.foo.com', true],
  ['https://www.foo.com', 'HTTPS://WWW.FOO.COM', true],
  ['https://www.foo.com', 'https://www.foo.com:443', true],
  ['https://www.foo.com:443', 'https://www.foo.com', true],
  ['http://www.foo.com', 'http://www.foo.com:80', true],
  ['https://www.foo.com', 'http://www.foo.com', false],
  ['https://www.foo.com', 'https://www.foo.com:8443', false],
  ['https://www.foo.com', 'https://foo.com', false],
  ['https://*.foo.com', 'https://a.foo.com', true],
  ['https://*.foo.com', 'https://a.b.foo.com', true],
  ['https://*.foo.com', 'https://foo.com', false],
  ['https://*.foo.com', 'https://evilfoo.com', false],
  ['https://*.foo.com:8443', 'https://a.foo.com:8443', true],
  ['https://*', 'https://any.example', true],
  ['https://*', 'http://any.example', false],
  ['https://foo.com', 'null', false],
  ['https://foo.com', 'https://foo.com.evil', false],
  ['https://foo.com', 'https://foo.com@evil', false],
  ['https://foo.com', 'https://foo.com/x', false],
];
test('origins are compared by scheme, host and port', () => {
  for (const [pattern, origin, allowed] of origins)
    equal(compileOrigins([pattern])(origin), allowed, `${pattern}, ${origin}`);
});

const cors = (value: object): object => filter('CORS', 'cors', value);
const PREFLIGHT = { method: 'OPTIONS', path: '/' };

async function askCors(value: object, head: Partial<RequestHead>, appFields: string[] = []) {
  const bench = routed({ rules: [{ filters: [cors(value)], backendRefs: [V1] }] });
  bench.behave = (request) => request.reply.onHead({ status: 200, fields: appFields, upgrade: undefined }, true);
  const { head: answer } = await bench.finish(bench.get(head));
  const shown: Record<string, string> = {};
  const fields = answer?.fields ?? [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.startsWith('access-control-')) shown[name.slice(15)] = fields[i + 1] as string;
  }
  return { status: answer?.status, shown, asked: bench.asked.length };
}

const ask = (origin: string, ...more: string[]): string[] => ['origin', origin, ...more];
const METHOD = ['access-control-request-method', 'PUT'];
const HEADERS = ['access-control-request-headers', 'x-a, x-b'];

test('a preflight is answered for the service, which never sees it', async () => {
  const value = { allowOrigins: ['https://foo.com'], allowMethods: ['PUT'], allowHeaders: ['X-A'], maxAge: 60 };
  deepEqual(await askCors(value, { ...PREFLIGHT, fields: ask('https://foo.com', ...METHOD, ...HEADERS) }), {
    status: 204,
    shown: {
      'allow-origin': 'https://foo.com',
      'allow-methods': 'GET, HEAD, POST, PUT',
      'allow-headers': 'X-A',
      'max-age': '60',
    },
    asked: 0,
  });
  const foreign = await askCors(value, { ...PREFLIGHT, fields: ask('https://evil.com', ...METHOD) });
  deepEqual(foreign, { status: 204, shown: {}, asked: 0 });
});

test('what is open to all is answered with a star, and with credentials by repeating what was asked', async () => {
  const open = { allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'] };
  const head = { ...PREFLIGHT, fields: ask('https://foo.com', ...METHOD, ...HEADERS) };
  deepEqual((await askCors(open, head)).shown, {
    'allow-origin': '*',
    'allow-methods': '*',
    'allow-headers': '*',
    'max-age': '5',
  });
  deepEqual((await askCors({ ...open, allowCredentials: true }, head)).shown, {
    'allow-origin': 'https://foo.com',
    'allow-credentials': 'true',
    'allow-methods': 'PUT',
    'allow-headers': 'x-a, x-b',
    'max-age': '5',
  });
  const without = { ...PREFLIGHT, fields: ask('https://foo.com', ...METHOD) };
  equal((await askCors({ ...open, allowCredentials: true }, without)).shown['allow-headers'], undefined);
});

test('answers say who may read them, and what the application says of that is replaced', async () => {
  const value = { allowOrigins: ['https://foo.com'], exposeHeaders: ['x-a', 'x-b'], allowCredentials: true };
  const own = ['access-control-allow-origin', '*', 'access-control-allow-credentials', 'false'];
  deepEqual(await askCors(value, { fields: ask('https://foo.com') }, own), {
    status: 200,
    shown: { 'allow-origin': 'https://foo.com', 'allow-credentials': 'true', 'expose-headers': 'x-a, x-b' },
    asked: 1,
  });
  for (const head of [{}, { fields: ask('https://evil.com') }]) deepEqual((await askCors(value, head, own)).shown, {});
  // OPTIONS that is no preflight is the application's.
  equal((await askCors(value, { ...PREFLIGHT, fields: ask('https://foo.com') })).asked, 1);
});

// Mirror.

function mirrored(config: object = {}): Bench {
  return routed({
    rules: [{ filters: [filter('RequestMirror', 'requestMirror', { backendRef: V2, ...config })], backendRefs: [V1] }],
  });
}

test('a mirror gets a copy of the request with its body, and its answer goes nowhere', async () => {
  const bench = mirrored();
  const seen: Record<string, ReceivedRequest> = {};
  bench.behave = (request, at) => {
    seen[at.instance] = request;
  };
  const reply = new ReplyRecorder();
  const body = bench.dispatcher.request(requestHead({ method: 'POST', path: '/x' }), false, reply);
  body.write(encodeUtf8('one '));
  await bench.clock.settle();
  body.write(encodeUtf8('two'));
  body.end(['t', '1']);
  for (const instance of ['v1', 'v2']) {
    const request = seen[instance];
    deepEqual([request?.text, request?.head.path, request?.trailers], ['one two', '/x', ['t', '1']], instance);
  }
  ok(seen.v1?.chunks[0] !== seen.v2?.chunks[0], 'whoever takes a chunk may change it');
  seen.v2?.reply.onHead({ status: 500, fields: [], upgrade: undefined }, false);
  seen.v2?.reply.onData(encodeUtf8('mirrored'));
  seen.v2?.reply.onEnd(NO_FIELDS);
  equal(seen.v2?.consumedBytes, 8, 'it is read, so that the endpoint can end');
  equal(reply.head?.status, undefined);
  seen.v1?.answer(201);
  equal(reply.head?.status, 201);
});

test('a mirror that fails, hangs, blocks or is not there delays nothing', async () => {
  for (const behave of ['fail', 'hang', 'block', 'gone']) {
    const bench = mirrored();
    if (behave === 'gone') bench.source.tell('v2.default', []);
    let copy: ReceivedRequest | undefined;
    bench.behave = (request, at) => {
      if (at.instance === 'v1') {
        if (request.trailers !== undefined) request.answer(200);
        else request.hasRoom = true;
        return;
      }
      copy = request;
      request.hasRoom = false;
      if (behave === 'fail') request.reply.onAbort(failure('SKEIN_STREAM_RESET'));
    };
    const reply = new ReplyRecorder();
    const body = bench.dispatcher.request(requestHead({ method: 'PUT' }), false, reply);
    await bench.clock.settle();
    for (let i = 0; i < 40; i++) equal(body.write(new Uint8Array(4096)), true, behave);
    body.end(NO_FIELDS);
    await bench.clock.settle();
    if (behave === 'hang' || behave === 'block') {
      equal(copy?.abortedBy?.code, 'SKEIN_CANCELLED', 'a copy that is not read is dropped with 64 KiB');
      ok((copy?.chunks.length ?? 0) < 20);
    }
  }
});

test('a copy ends by its time, and with too many of them none is made', async () => {
  const bench = mirrored();
  const copies: ReceivedRequest[] = [];
  bench.behave = (request, at) => {
    if (at.instance === 'v1') request.answer(200);
    else copies.push(request);
  };
  for (let i = 0; i < 200; i++) await bench.get().done;
  await bench.clock.settle();
  equal(copies.length, 128);
  await bench.clock.advanceAsync(15_000);
  equal(copies.filter(({ abortedBy }) => abortedBy !== undefined).length, 128);
  await bench.get().done;
  await bench.clock.settle();
  equal(copies.length, 129);
});

const SHARES: readonly [config: object, ratio: number][] = [
  [{ percent: 20 }, 0.2],
  [{ percent: 0 }, 0],
  [{ fraction: { numerator: 1, denominator: 2 } }, 0.5],
  [{ fraction: { numerator: 35 } }, 0.35],
  [{}, 1],
];
test('a share of the requests is mirrored, within three standard deviations of 500', async () => {
  for (const [config, ratio] of SHARES) {
    const bench = mirrored(config);
    for (let i = 0; i < 500; i++) await bench.get().done;
    await bench.clock.settle();
    const copies = bench.asked.filter((instance) => instance === 'v2').length;
    const margin = 3 * Math.sqrt(500 * ratio * (1 - ratio));
    ok(Math.abs(copies - 500 * ratio) <= margin, `${JSON.stringify(config)}: ${copies}`);
  }
});

// Extensions.

function extended(extensions: Parameters<typeof tableWith>[0], rule: object): Bench {
  const bench = routed({ rules: [{ backendRefs: [V1] }] });
  bench.table = tableWith(extensions, httpRoute({ rules: [{ backendRefs: [V1], ...rule }] }));
  return bench;
}

const own = (kind: string, spec: object) => ({ ...manifest(kind, {}, { name: 'x' }), spec });

test('a direct response is given without asking anybody', async () => {
  const headers = [{ name: 'Retry-After', value: '60' }];
  const notice = own('DirectResponse', { status: 503, body: 'closed today ü\n', contentType: 'text/plain', headers });
  const bench = extended([notice], { filters: [extension('DirectResponse', 'x')], backendRefs: [] });
  const reply = await bench.finish(bench.get());
  deepEqual([reply.head?.status, reply.text, bench.asked], [503, 'closed today ü\n', []]);
  deepEqual(reply.head?.fields, [
    ...['retry-after', '60', 'content-type', 'text/plain', 'content-length', '16'],
    ...['x-skein-reason', 'direct-response'],
  ]);
  const head = await bench.finish(bench.get({ method: 'HEAD' }));
  deepEqual([head.head?.fields, head.text], [reply.head?.fields, '']);
});

const missing: readonly [what: string, ref: object][] = [
  ['a name that is not there', { group: 'skein.dev', kind: 'DirectResponse', name: 'other' }],
  ['a kind that nobody knows', { group: 'skein.dev', kind: 'Lua', name: 'x' }],
  ['a group that is not ours', { group: 'example.com', kind: 'DirectResponse', name: 'x' }],
  ['middleware that this member does not have', { group: 'skein.dev', kind: 'Middleware', name: 'x' }],
];
for (const [what, extensionRef] of missing) {
  test(`a filter that refers to ${what} is not skipped: 500`, async () => {
    const bench = extended([own('DirectResponse', { status: 200 })], {
      filters: [{ type: 'ExtensionRef', extensionRef }],
    });
    const reply = await bench.finish(bench.get());
    deepEqual([reply.error?.code, reply.error?.status, bench.asked], ['SKEIN_ROUTE_INVALID', 500, []]);
  });
}

test('middleware stands where it is listed, between the filters before and after it', async () => {
  const filters = [
    setHeaders({ set: [{ name: 'x-a', value: '1' }] }),
    extension('Middleware', 'm'),
    rewrite({ hostname: 'b' }),
  ];
  const bench = extended([], { filters });
  const seen: unknown[] = [];
  bench.middleware.set('m', (next) => ({
    request: (head, complete, reply) => {
      seen.push([head.fields, head.authority]);
      return next.request(head, complete, reply);
    },
  }));
  bench.behave = (request) => {
    seen.push([request.head.fields, request.head.authority]);
    request.answer(200);
  };
  await bench.get().done;
  deepEqual(seen, [
    [['x-a', '1'], 'api.mesh'],
    [['x-a', '1'], 'b'],
  ]);
});

test('a fault delays attempts, fails a share of them, and says nothing about the endpoint', async () => {
  const delayed = extended([own('FaultInjection', { delay: { duration: '2s' } })], {
    filters: [extension('FaultInjection', 'x')],
  });
  const slow = delayed.get();
  delayed.clock.advance(1999);
  await delayed.clock.settle();
  equal(slow.head?.status, undefined);
  await delayed.clock.advanceAsync(1);
  equal(slow.head?.status, 200);

  const bench = extended([own('FaultInjection', { abort: { status: 503, percent: 40 } })], {
    filters: [extension('FaultInjection', 'x')],
  });
  let failed = 0;
  for (let i = 0; i < 500; i++) {
    const { head } = await bench.finish(bench.get());
    if (head?.status === 503) failed++;
    equal(getField(head?.fields ?? [], 'x-skein-reason'), head?.status === 503 ? 'fault-injected' : undefined);
  }
  ok(Math.abs(failed - 200) <= 3 * Math.sqrt(500 * 0.4 * 0.6), `${failed} of 500`);
  const backend = await bench.backends.find({ service: 'v1.default', port: 80, key: 'v1.default:80' });
  equal(backend.pending, 0);
});

test('a fault is what retries and timeouts work on', async () => {
  const fault = own('FaultInjection', { delay: { duration: '1s', percent: 50 }, abort: { status: 503, percent: 50 } });
  const rule = {
    filters: [extension('FaultInjection', 'x')],
    timeouts: { backendRequest: '100ms' },
    retry: { codes: [503], attempts: 20 },
  };
  const bench = extended([fault], rule);
  for (let i = 0; i < 20; i++) equal((await bench.finish(bench.get())).head?.status, 200);
  const reasons = new Set(bench.retried.map(({ reason }) => reason));
  deepEqual(reasons, new Set(['status-503', 'deadline']));
});

test('gRPC gets faults in its own words', async () => {
  const fault = own('FaultInjection', { abort: { grpcStatus: 8 } });
  const bench = extended([fault], { filters: [extension('FaultInjection', 'x')] });
  const { head } = await bench.finish(bench.get({ method: 'POST', fields: ['content-type', 'application/grpc'] }));
  deepEqual([head?.status, getField(head?.fields ?? [], 'grpc-status')], [200, '8']);
});

test('an empty rule with filters still answers 500', async () => {
  const bench = routed({ rules: [{ filters: [setHeaders({ remove: ['x'] })] }] });
  bench.table = tableOf(httpRoute({ rules: [{ filters: [setHeaders({ remove: ['x'] })] }] }));
  bench.source.tell('api.default', [endpoint('a')]);
  equal((await bench.finish(bench.get())).error?.status, 500);
});
