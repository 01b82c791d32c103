/** The request that `skein call` makes of its arguments. */
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { type CallOptions, createCallRequest, parseCallTarget } from '../../../src/cli/call-request.ts';
import { encodeUtf8 } from '../../../src/core/bytes.ts';

const targets: readonly [args: [string, string?, string?], url: string][] = [
  [['api'], 'http://api.default.mesh/'],
  [['api/'], 'http://api.default.mesh/'],
  [['api', '/'], 'http://api.default.mesh/'],
  [['api', 'orders/7'], 'http://api.default.mesh/orders/7'],
  [['api/orders/7?full=1'], 'http://api.default.mesh/orders/7?full=1'],
  [['api?full=1'], 'http://api.default.mesh/?full=1'],
  [['api.shop:8080/x'], 'http://api.shop.mesh:8080/x'],
  [['http://api.mesh/x'], 'http://api.default.mesh/x'],
  [['http://api.shop.mesh/x'], 'http://api.shop.mesh/x'],
  [['api', undefined, 'shop'], 'http://api.shop.mesh/'],
];
for (const [args, url] of targets) {
  test(`parseCallTarget(${JSON.stringify(args)}) is ${url}`, () => equal(parseCallTarget(...args), url));
}

for (const text of ['', '/path', 'API', 'https://api.mesh/', 'api:x/', 'api/a b', 'a.b.c/', 'api/\r\nx: y']) {
  test(`parseCallTarget refuses ${JSON.stringify(text)}`, () => {
    throws(() => parseCallTarget(text), { code: 'SKEIN_CONFIG' });
  });
}

const NOTHING: CallOptions = { method: undefined, fields: [], data: [], json: false, head: false };
const URL = 'http://api.default.mesh/';

test('a request without options is a GET', async () => {
  const request = createCallRequest(URL, NOTHING);
  deepEqual([request.method, request.headers.get('accept'), await request.text()], ['GET', '*/*', '']);
});

test('data makes it a POST of a form; parts are joined by &', async () => {
  const request = createCallRequest(URL, { ...NOTHING, data: [encodeUtf8('a=1'), encodeUtf8('b=2')] });
  deepEqual(
    [request.method, request.headers.get('content-type'), await request.text()],
    ['POST', 'application/x-www-form-urlencoded', 'a=1&b=2'],
  );
});

test('--json sets both types', async () => {
  const request = createCallRequest(URL, { ...NOTHING, data: [encodeUtf8('{}')], json: true });
  deepEqual(
    [request.method, request.headers.get('content-type'), request.headers.get('accept'), await request.text()],
    ['POST', 'application/json', 'application/json', '{}'],
  );
});

test('-X and -I choose the method', () => {
  equal(createCallRequest(URL, { ...NOTHING, method: 'DELETE' }).method, 'DELETE');
  equal(createCallRequest(URL, { ...NOTHING, head: true }).method, 'HEAD');
});

test('-H replaces what is set by itself, and adds to what -H has set', () => {
  const { headers } = createCallRequest(URL, { ...NOTHING, fields: ['Accept: text/html', 'X-A: 1', 'x-a:2'] });
  deepEqual([headers.get('accept'), headers.get('x-a')], ['text/html', '1, 2']);
});

for (const options of [
  { ...NOTHING, fields: ['no colon'] },
  { ...NOTHING, fields: ['bad name: x'] },
  { ...NOTHING, fields: ['x: a\r\nb: c'] },
  { ...NOTHING, method: 'A B' },
  { ...NOTHING, method: 'GET', data: [encodeUtf8('x')] },
]) {
  test(`createCallRequest refuses ${JSON.stringify({ method: options.method, fields: options.fields })}`, () => {
    throws(() => createCallRequest(URL, options), { code: 'SKEIN_CONFIG' });
  });
}
