/** Request targets and authorities: four forms, and nothing that merely looks like one. */
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { isOriginForm, parseAuthority, parseTarget, tryParseAuthority } from '../../../src/http/target.ts';

const authorities: readonly [text: string, host: string, port?: number][] = [
  ['a', 'a'],
  ['api.mesh', 'api.mesh'],
  ['API.Mesh', 'API.Mesh'],
  ['a_b.mesh:0', 'a_b.mesh', 0],
  ['a:65535', 'a', 65_535],
  ['127.0.0.1:80', '127.0.0.1', 80],
  ['[::1]', '[::1]'],
  ['[::ffff:1.2.3.4]:8080', '[::ffff:1.2.3.4]', 8080],
];

for (const [text, host, port] of authorities) {
  test(`parseAuthority reads ${text}`, () => deepEqual(parseAuthority(text), { host, port }));
}

const noAuthorities = [
  '',
  ':',
  ':80',
  'a:',
  'a:b',
  'a:65536',
  'a:000080',
  'a:-1',
  'a@b',
  'a/b',
  'a b',
  'a,b',
  'a%00',
  '[::1',
  '::1',
  '[]',
  '[::1]x',
  'a:1:2',
  '\u00e9',
  'a\r\n',
  `${'a'.repeat(256)}`,
];

for (const text of noAuthorities) {
  test(`parseAuthority refuses ${JSON.stringify(text.slice(0, 20))}`, () => {
    equal(tryParseAuthority(text), undefined);
    throws(() => parseAuthority(text), { code: 'SKEIN_BAD_REQUEST' });
  });
}

const targets: readonly [
  method: string,
  target: string,
  form: string,
  scheme: string,
  authority: string,
  path: string,
][] = [
  ['GET', '/', 'origin', '', '', '/'],
  ['GET', '/a?b', 'origin', '', '', '/a?b'],
  ['GET', '//a', 'origin', '', '', '//a'],
  ['GET', 'http://a', 'absolute', 'http', 'a', '/'],
  ['GET', 'HTTPS://a:1/b', 'absolute', 'https', 'a:1', '/b'],
  ['GET', 'http://a?b', 'absolute', 'http', 'a', '/?b'],
  ['OPTIONS', 'http://a', 'absolute', 'http', 'a', '*'],
  ['OPTIONS', '*', 'asterisk', '', '', '*'],
  ['CONNECT', 'a:1', 'authority', '', 'a:1', ''],
];

for (const [method, target, form, scheme, authority, path] of targets) {
  test(`parseTarget reads ${method} ${target}`, () => {
    deepEqual(parseTarget(method, target), { form, scheme, authority, path });
  });
}

const noTargets: readonly [method: string, target: string][] = [
  ['GET', ''],
  ['GET', '*'],
  ['GET', 'a'],
  ['GET', 'a:80'],
  ['GET', '/a#b'],
  ['GET', '/a b'],
  ['GET', '/\u0100'],
  ['GET', 'ftp://a/'],
  ['GET', 'http://u@a/'],
  ['GET', 'http://'],
  ['GET', 'http://a:99999/'],
  ['CONNECT', 'a'],
  ['CONNECT', '/'],
  ['CONNECT', 'u@a:1'],
];

for (const [method, target] of noTargets) {
  test(`parseTarget refuses ${method} ${JSON.stringify(target)}`, () => {
    throws(() => parseTarget(method, target), { code: 'SKEIN_BAD_REQUEST', status: 400 });
  });
}

test('isOriginForm wants a slash first', () => {
  equal(isOriginForm('/a?b'), true);
  for (const text of ['', 'a', '*', 'http://a/', '/a b', '/a\u0100']) equal(isOriginForm(text), false, text);
});
