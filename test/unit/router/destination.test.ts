/** Which names are of the mesh, which are not, and what a connection to one service may ask for. */
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { SkeinError } from '../../../src/core/errors.ts';
import {
  checkAuthority,
  type NameOptions,
  parseDestination,
  parseDestinationKey,
  toDestination,
  tryParseDestination,
} from '../../../src/router/destination.ts';

const strict: NameOptions = { namespace: 'shop' };
const short: NameOptions = { namespace: 'shop', allowShort: true };

const named: readonly [authority: string, options: NameOptions, key: string][] = [
  ['api.mesh', strict, 'api.shop:80'],
  ['api.mesh:8080', strict, 'api.shop:8080'],
  ['api.default.mesh', strict, 'api.default:80'],
  ['API.Default.MESH', strict, 'api.default:80'],
  ['api.mesh.', strict, 'api.shop:80'],
  ['a-1.b-2.mesh:65535', strict, 'a-1.b-2:65535'],
  ['api', short, 'api.shop:80'],
  ['api:81', short, 'api.shop:81'],
  ['api.mesh', { ...strict, port: 443 }, 'api.shop:443'],
  ['api.mesh:80', { ...strict, port: 443 }, 'api.shop:80'],
];
for (const [authority, options, key] of named) {
  test(`"${authority}" is ${key}`, () => equal(parseDestination(authority, options).key, key));
}

const foreign = [
  ...['', 'api', 'api.default', 'example.com', 'mesh', '.mesh', 'api..mesh', 'a.b.c.mesh', 'mesh.example.com'],
  ...[
    '127.0.0.1',
    '[::1]',
    'localhost',
    '169.254.169.254',
    'api.mesh:0',
    'api.mesh:65536',
    'api.mesh:',
    'api.mesh:80x',
  ],
  ...[
    'user@api.mesh',
    'api.mesh/path',
    'api%2emesh',
    'api_.mesh',
    '-api.mesh',
    'api.mesh..',
    ' api.mesh',
    'api.mesh\r\n',
  ],
];
for (const authority of foreign) {
  test(`${JSON.stringify(authority)} is no name of the mesh`, () => {
    throws(
      () => parseDestination(authority, strict),
      (error) => error instanceof SkeinError && error.code === 'SKEIN_NOT_A_MESH_NAME' && !/[\r\n]/.test(error.message),
    );
  });
}

test('where short names are allowed, addresses and names of other networks are still refused', () => {
  for (const authority of [
    '127.0.0.1',
    '[::1]:80',
    'www.example.com',
    'example.com',
    'api.default',
    'localhost',
    'mesh',
  ]) {
    equal(tryParseDestination(authority, short), undefined, authority);
  }
});

test('the form inside the mesh is read strictly', () => {
  deepEqual(parseDestinationKey('api.default:80'), toDestination('api.default', 80));
  for (const key of [
    '',
    'api',
    'api.default',
    'api:80',
    'api.default:0',
    'api.default:080',
    'api.default:65536',
    ':80',
  ]) {
    throws(() => parseDestinationKey(key), { code: 'SKEIN_BAD_REQUEST' }, key);
  }
});

test('a connection to a service carries requests for any name of the mesh, and for no other', () => {
  const dialled = toDestination('api.shop', 8080);
  for (const name of ['', 'api.mesh', 'api.shop.mesh:8080', 'API.mesh:8080', 'web.mesh', 'api.default.mesh:80']) {
    checkAuthority(name, dialled, strict);
  }
  for (const other of ['localhost', 'example.com', '127.0.0.1:80', 'mesh']) {
    throws(() => checkAuthority(other, dialled, strict), { code: 'SKEIN_MISDIRECTED', status: 421 }, other);
  }
});
