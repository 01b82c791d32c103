import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { classifyIp, formatIpEndpoint, type IpKind, parseIp, parseIpEndpoint } from '../../../src/core/ip.ts';

test('classifyIp tells where an address leads to', () => {
  const cases: Record<IpKind, string[]> = {
    public: [
      '8.8.8.8',
      '1.1.1.1',
      '172.32.0.1',
      '100.63.255.255',
      '100.128.0.1',
      '203.0.113.7',
      '2001:db8::1',
      '2a00::1',
    ],
    private: [
      '10.0.0.1',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '100.64.0.1',
      '198.19.0.1',
      'fd12::1',
      'fc00::1',
    ],
    loopback: ['127.0.0.1', '127.80.1.2', '::1'],
    forbidden: [
      ...[
        '0.0.0.0',
        '169.254.169.254',
        '169.254.1.1',
        '192.0.0.192',
        '192.88.99.1',
        '224.0.0.1',
        '239.1.1.1',
        '240.0.0.1',
      ],
      ...['255.255.255.255', '100.100.100.200', '168.63.129.16', '::', 'fe80::1', 'ff02::1', 'fd00:ec2::254'],
      ...[
        'fd20:ce::254',
        '64:ff9b::a9fe:a9fe',
        '2002:a9fe:a9fe::1',
        '2001:0:1::1',
        '::ffff:10.0.0.1',
        '::2',
        'fec0::1',
      ],
      ...['', 'localhost', '1.2.3', '1.2.3.4.5', '01.2.3.4', '256.1.1.1', '0x7f.0.0.1', '2130706433', 'fe80::1%eth0'],
    ],
  };
  for (const [kind, addresses] of Object.entries(cases)) {
    for (const address of addresses) equal(classifyIp(address), kind, address);
  }
});

test('parseIp gives one spelling, and the IPv4 that a mapped address holds', () => {
  const cases: [string, string | undefined][] = [
    ['10.1.2.3', '10.1.2.3'],
    ['010.1.2.3', undefined],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['::ffff:a9fe:a9fe', '169.254.169.254'],
    ['1:2:3:4:5:6:7', undefined],
    ['1:2:3:4:5:6:7:8:9', undefined],
    ['1::2::3', undefined],
    ['1:2:3:4::5:6:7:8', undefined],
    ['12345::', undefined],
    [':1', undefined],
    ['::1.2.3', undefined],
    ['::1.2.3.4:5', undefined],
  ];
  for (const [text, expected] of cases) equal(parseIp(text), expected, text);
});

test('parseIpEndpoint reads an address with a port and nothing else', () => {
  deepEqual(parseIpEndpoint('203.0.113.7:80'), { ip: '203.0.113.7', port: 80 });
  deepEqual(parseIpEndpoint('[2001:DB8::7]:65535'), { ip: '2001:db8::7', port: 65_535 });
  deepEqual(parseIpEndpoint('[::ffff:127.0.0.1]:80'), { ip: '127.0.0.1', port: 80 });
  for (const text of [
    '203.0.113.7',
    '203.0.113.7:0',
    '203.0.113.7:65536',
    '203.0.113.7:080',
    'hub:80',
    '2001:db8::7:80',
  ]) {
    equal(parseIpEndpoint(text), undefined, text);
  }
  for (const text of ['[2001:db8::7]', ' 1.2.3.4:80', '1.2.3.4:80\n', '1.2.3.4:+80', '1.2.3.4:8e1']) {
    equal(parseIpEndpoint(text), undefined, text);
  }
  for (const text of ['203.0.113.7:80', '[2001:db8::7]:443']) equal(formatIpEndpoint(parseIpEndpoint(text)!), text);
});
