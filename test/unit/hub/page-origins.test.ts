import { equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { createUpgradeGuard } from '../../../src/hub/page-origins.ts';

/** The status of the refusal for a request with these fields. */
function ask(allowed: readonly string[], fields: Readonly<Record<string, string>>): number | undefined {
  const asked = { remoteAddress: '10.0.0.9:1', isProxied: false, field: (name: string) => fields[name] };
  return createUpgradeGuard(allowed)(asked)?.status;
}

const SHOP = 'https://shop.example.com';

test('Whoever is no page is let in, pages are not unless their origin is named', () => {
  equal(ask([], {}), undefined);
  equal(ask([SHOP], {}), undefined);
  equal(ask([], { origin: SHOP }), 403);
  equal(ask([SHOP], { origin: SHOP }), undefined);
  equal(ask([SHOP, 'http://localhost:8080'], { origin: 'http://localhost:8080' }), undefined);
  const others = [
    ...['http://shop.example.com', 'https://shop.example.com:8443', 'https://shop.example.com.evil.test', 'null', ''],
    ...[
      'https://evil.test',
      'https://shop.example.com/',
      'https://SHOP.example.com',
      `${SHOP}, https://evil.test`,
      '*',
    ],
  ];
  for (const origin of others) equal(ask([SHOP], { origin }), 403, origin);
  equal(ask([SHOP], { 'sec-fetch-site': 'cross-site' }), 403, 'a page that names no origin');
});

test('A star lets in pages of all origins that name one', () => {
  for (const origin of [SHOP, 'null', 'http://localhost:1']) equal(ask(['*'], { origin }), undefined);
  equal(ask(['*'], { 'sec-fetch-site': 'same-site' }), 403);
});

test('What is no origin as browsers write it is refused', () => {
  const wrong = ['', 'shop.example.com', 'https://shop.example.com/', 'https://Shop.example.com', 'https://a.test:443'];
  for (const text of [...wrong, 'wss://a.test', 'https://u@a.test', 'https://*.a.test/', 'null']) {
    throws(() => createUpgradeGuard([SHOP, text]), { code: 'SKEIN_CONFIG' }, text);
  }
});
