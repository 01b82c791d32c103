/** Addresses as people write them: what they mean, and that nonsense is refused. */
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatAddress,
  formatTarget,
  parseHubUrl,
  parseListenAddress,
  parseServicePort,
  parseTarget,
  splitAssignment,
  toHttpUrl,
} from '../../../src/cli/address.ts';

function accepts<T>(parse: (text: string) => T, cases: readonly (readonly [text: string, value: T])[]): void {
  for (const [text, value] of cases) {
    test(`${parse.name} reads ${JSON.stringify(text)}`, () => deepEqual(parse(text), value));
  }
}

function refuses(parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts) {
    test(`${parse.name} refuses ${JSON.stringify(text)}`, () => {
      throws(() => parse(text), { code: 'SKEIN_CONFIG' });
    });
  }
}

accepts(parseListenAddress, [
  ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
  ['0.0.0.0:0', { host: '0.0.0.0', port: 0 }],
  ['localhost:1', { host: 'localhost', port: 1 }],
  ['[::1]:80', { host: '::1', port: 80 }],
  [':8080', { host: '127.0.0.1', port: 8080 }],
  ['8080', { host: '127.0.0.1', port: 8080 }],
]);
refuses(parseListenAddress, ['', ':', 'a:b', '1.2.3.4', '::1:80', '1:65536', 'http://a:1', '1.2.3.4:-1', 'a b:1']);

accepts(parseServicePort, [
  ['api', { service: 'api.default', port: 80 }],
  ['api.shop', { service: 'api.shop', port: 80 }],
  ['api:8080', { service: 'api.default', port: 8080 }],
  ['api.shop:1', { service: 'api.shop', port: 1 }],
]);
refuses(parseServicePort, ['', 'API', 'a.b.c', 'api:', 'api:0', 'api:65536', '-a', 'a/b', 'a:1:2']);

accepts(parseTarget, [
  ['3000', { protocol: 'http', host: '127.0.0.1', port: 3000 }],
  ['10.0.0.1:3000', { protocol: 'http', host: '10.0.0.1', port: 3000 }],
  ['http://127.0.0.1:3000', { protocol: 'http', host: '127.0.0.1', port: 3000 }],
  ['http://app', { protocol: 'http', host: 'app', port: 80 }],
  ['http://app:3000/', { protocol: 'http', host: 'app', port: 3000 }],
  ['h2c://127.0.0.1:50051', { protocol: 'h2c', host: '127.0.0.1', port: 50051 }],
  ['tcp://[::1]:5432', { protocol: 'tcp', host: '::1', port: 5432 }],
]);
refuses(parseTarget, [
  '',
  '0',
  'https://a:1',
  'tcp://a',
  'http://a:1/path',
  'http://u:p@a:1',
  'http://a:1?x',
  'ftp://a:1',
]);

accepts(parseHubUrl, [
  ['wss://hub.example.com', 'wss://hub.example.com'],
  ['wss://hub.example.com/', 'wss://hub.example.com'],
  ['https://hub.example.com', 'wss://hub.example.com'],
  ['http://127.0.0.1:7000', 'ws://127.0.0.1:7000'],
  ['ws://[::1]:7000', 'ws://[::1]:7000'],
  ['127.0.0.1:7000', 'ws://127.0.0.1:7000'],
  ['localhost:7000', 'ws://localhost:7000'],
  ['hub.example.com', 'wss://hub.example.com'],
  ['wss://example.com/mesh', 'wss://example.com/mesh'],
]);
refuses(parseHubUrl, ['', 'ftp://a', 'ws://', 'wss://user:secret@hub', 'wss://hub?x=1', 'wss://hub#x']);

test('a refused hub URL does not repeat its password', () => {
  throws(
    () => parseHubUrl('ftp://user:hunter2@hub'),
    (error) => !String(error).includes('hunter2'),
  );
});

test('what is read is written back the same', () => {
  for (const text of ['127.0.0.1:8080', '[::1]:80']) equal(formatAddress(parseListenAddress(text)), text);
  for (const text of ['tcp://[::1]:5432', 'h2c://app:1']) equal(formatTarget(parseTarget(text)), text);
  equal(toHttpUrl('wss://hub.example.com/mesh'), 'https://hub.example.com/mesh');
  equal(toHttpUrl('ws://127.0.0.1:7000'), 'http://127.0.0.1:7000');
});

test('splitAssignment splits at the first = and wants both sides', () => {
  deepEqual(splitAssignment('option', 'api=http://a?b=c', 'name=target'), ['api', 'http://a?b=c']);
  for (const text of ['api', '=x', 'api=']) {
    throws(() => splitAssignment('option', text, 'name=target'), { code: 'SKEIN_CONFIG' });
  }
});
