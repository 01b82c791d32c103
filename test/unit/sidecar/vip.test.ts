/** Loopback addresses of services: stable, distinct, bounded. */
import { deepEqual, equal, match, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { parseNameServers } from '../../../src/sidecar/dns-forwarder.ts';
import { VipTable } from '../../../src/sidecar/vip.ts';

test('A service has one address, the same in every process', () => {
  const [one, other] = [new VipTable(100), new VipTable(100)];
  const address = one.addressOf('api.default');
  match(address ?? '', /^127\.80\.\d+\.\d+$/);
  equal(one.addressOf('api.default'), address);
  other.addressOf('web.default');
  equal(other.addressOf('api.default'), address);
  notEqual(one.addressOf('web.default'), address);
});

test('No two services share an address, and none is that of a network or a broadcast', () => {
  const table = new VipTable(30_000);
  const seen = new Set<string>();
  for (let i = 0; i < 30_000; i++) {
    const address = table.addressOf(`s${i}.default`) ?? '';
    match(address, /^127\.80\.(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])\.(?:[1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-4])$/);
    seen.add(address);
  }
  equal(seen.size, 30_000);
  equal(table.addressOf('one-more.default'), undefined);
});

test('Name servers are read from a resolver configuration', () => {
  const text =
    '# nameserver 1.1.1.1\nsearch lan\nnameserver 10.0.0.1\n nameserver  fe80::1%eth0 \nnameserver x\noptions edns0';
  deepEqual(parseNameServers(text), ['10.0.0.1', 'fe80::1']);
});
