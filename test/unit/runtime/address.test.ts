import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatAddress, isLoopback } from '../../../src/runtime/node/address.ts';

describe('formatAddress', () => {
  const cases: readonly [string | undefined, number | undefined, string | undefined][] = [
    ['127.0.0.1', 80, '127.0.0.1:80'],
    ['::1', 443, '[::1]:443'],
    ['::ffff:10.0.0.1', 80, '10.0.0.1:80'],
    ['::ffff:a00:1', 80, '[::ffff:a00:1]:80'],
    ['example.com', 80, 'example.com:80'],
    [undefined, 80, undefined],
    ['127.0.0.1', undefined, undefined],
  ];
  for (const [host, port, text] of cases) {
    it(`writes ${host} and ${port} as ${text}`, () => assert.equal(formatAddress(host, port), text));
  }
});

describe('isLoopback', () => {
  for (const name of ['localhost', 'LOCALHOST', 'a.localhost', '127.0.0.1', '127.255.0.9', '[::1]', '::1']) {
    it(`knows ${name}`, () => assert.equal(isLoopback(name), true));
  }
  for (const name of [
    'localhost.example.com',
    '127.0.0.1.example.com',
    '128.0.0.1',
    '10.0.0.1',
    '[::2]',
    'notlocalhost',
    '0.0.0.0',
  ]) {
    it(`does not take ${name} for this host`, () => assert.equal(isLoopback(name), false));
  }
});
