/** Which names and addresses are this very machine. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopbackAddress, isLoopbackName } from '../../../src/core/loopback.ts';

const NAMES: readonly [host: string, isLoopback: boolean][] = [
  ['127.0.0.1', true],
  ['localhost', true],
  ['LOCALHOST', true],
  ['[::1]', true],
  ['', false],
  ['127.0.0.2', false],
  ['127.0.0.1.evil.test', false],
  ['localhost.evil.test', false],
  ['localhost.', false],
  ['0.0.0.0', false],
  ['2130706433', false],
];

for (const [host, isLoopback] of NAMES) {
  test(`A client may${isLoopback ? '' : ' not'} call this machine "${host}"`, () =>
    equal(isLoopbackName(host), isLoopback));
}

const ADDRESSES: readonly [address: string, isLoopback: boolean][] = [
  ['127.0.0.1', true],
  ['127.0.0.1:80', true],
  ['127.80.0.1:5432', true],
  ['::1', true],
  ['[::1]:80', true],
  ['[::ffff:127.0.0.1]:80', true],
  ['0.0.0.0:80', false],
  ['[::]:80', false],
  ['10.0.0.1', false],
  ['127.0.0.1.evil.test', false],
  ['', false],
];

for (const [address, isLoopback] of ADDRESSES) {
  test(`"${address}" is ${isLoopback ? '' : 'not '}of the loopback interface`, () =>
    equal(isLoopbackAddress(address), isLoopback));
}
