/** Candidates: what a member says of itself, and which of a peer's words it acts on. */

import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import {
  gatherCandidates,
  judgeCandidates,
  judgeEndpoint,
  type Reach,
  type Vantage,
} from '../../../../src/agent/direct/candidates.ts';
import { MAX_CANDIDATES } from '../../../../src/control/signal.ts';
import { parseIpEndpoint } from '../../../../src/core/ip.ts';

const apart: Vantage = { own: '198.51.100.2', peer: '192.0.2.2', isSameNetwork: false };
const behindOneNat: Vantage = { own: '198.51.100.2', peer: '198.51.100.2', isSameNetwork: false };
const labelled: Vantage = { ...apart, isSameNetwork: true };
const inside: Vantage = { own: '10.0.0.7', peer: '10.0.0.8', isSameNetwork: false };
const unseen: Vantage = { isSameNetwork: false };
const LOCAL = [
  { name: 'eth0', ip: '192.168.1.5' },
  { name: 'eth1', ip: '10.0.0.7' },
  { name: 'docker0', ip: '172.17.0.1' },
  { name: 'eth0', ip: '2001:db8::5' },
];
const reach = (parts: Partial<Reach>): Reach => ({ listener: undefined, advertise: undefined, local: LOCAL, ...parts });
const everywhere = reach({ listener: { ip: '0.0.0.0', port: 7443 } });
const onLoopback = reach({ listener: { ip: '127.0.0.1', port: 7443 } });

test('gatherCandidates tells each peer only of places that are of use to it', () => {
  const cases: [string, Reach, Vantage, string[]][] = [
    ['no listener', reach({}), apart, []],
    ['a listener on loopback, and a peer elsewhere', onLoopback, apart, []],
    ['a listener on loopback, and a peer behind the same NAT', onLoopback, behindOneNat, ['host 127.0.0.1:7443']],
    ['a listener on loopback, and a hub that sees nothing', onLoopback, unseen, ['host 127.0.0.1:7443']],
    ['everywhere, behind a NAT', everywhere, apart, []],
    [
      'everywhere, no NAT',
      { ...everywhere, local: [{ name: 'eth0', ip: '198.51.100.2' }] },
      apart,
      ['public 198.51.100.2:7443'],
    ],
    [
      'everywhere, behind one NAT',
      everywhere,
      behindOneNat,
      ['host 127.0.0.1:7443', 'network 192.168.1.5:7443', 'network 10.0.0.7:7443'],
    ],
    ['everywhere, one label', everywhere, labelled, ['network 192.168.1.5:7443', 'network 10.0.0.7:7443']],
    ['everywhere, seen inside by the hub', everywhere, inside, ['network 10.0.0.7:7443']],
    [
      'a forwarded port',
      reach({ listener: { ip: '0.0.0.0', port: 7443 }, advertise: { ip: '198.51.100.2', port: 443 } }),
      apart,
      ['public 198.51.100.2:443'],
    ],
    [
      'one private address, one label',
      reach({ listener: { ip: '10.0.0.7', port: 1 } }),
      labelled,
      ['network 10.0.0.7:1'],
    ],
    [
      'IPv6 everywhere',
      reach({ listener: { ip: '::', port: 7443 } }),
      { ...apart, own: '2001:db8::5' },
      ['public [2001:db8::5]:7443'],
    ],
  ];
  for (const [name, from, vantage, expected] of cases) {
    deepEqual(
      gatherCandidates(from, vantage).map(({ kind, address }) => `${kind} ${address}`),
      expected,
      name,
    );
  }
});

test('gatherCandidates tells no more than may be told', () => {
  const local = Array.from({ length: 50 }, (_, i) => ({ name: 'eth0', ip: `10.1.1.${i}` }));
  equal(gatherCandidates({ ...everywhere, local }, labelled).length, MAX_CANDIDATES);
});

test('judgeEndpoint lets nobody aim this member at a third party, at itself, or at what trusts insiders', () => {
  const yes = undefined;
  const cases: [string, Vantage, boolean, RegExp | undefined][] = [
    ['192.0.2.2:7443', apart, false, yes],
    ['192.0.2.3:7443', apart, false, /not the address from which the hub sees/],
    ['192.0.2.2:443', apart, false, /below 1024/],
    ['192.0.2.2:443', apart, true, yes],
    ['192.0.2.2:7443', unseen, false, /does not see/],
    ['127.0.0.1:7443', apart, false, /of this host/],
    ['127.0.0.1:7443', behindOneNat, false, /of this host/],
    ['127.0.0.1:7443', labelled, false, /of this host/],
    ['127.0.0.1:80', unseen, true, yes],
    ['[::1]:7443', apart, false, /of this host/],
    ['[::ffff:127.0.0.1]:7443', apart, false, /of this host/],
    ['10.0.0.8:5432', apart, false, /private/],
    ['10.0.0.8:5432', behindOneNat, false, yes],
    ['10.0.0.8:5432', labelled, false, yes],
    ['10.0.0.8:22', labelled, false, /below 1024/],
    ['10.0.0.8:7443', inside, false, yes],
    ['10.0.0.9:7443', inside, false, /private/],
    ['10.0.0.8:7443', { ...apart, peer: '10.0.0.8' }, false, /private/],
    ['169.254.169.254:8080', labelled, true, /no peer is ever/],
    ['[fd00:ec2::254]:8080', labelled, true, /no peer is ever/],
    ['[fe80::1]:8080', labelled, true, /no peer is ever/],
    ['224.0.0.251:5353', labelled, true, /no peer is ever/],
    ['0.0.0.0:7443', behindOneNat, true, /no peer is ever/],
    ['255.255.255.255:7443', labelled, true, /no peer is ever/],
    ['[64:ff9b::a00:8]:7443', labelled, true, /no peer is ever/],
    // Even if the hub lies.
    ['169.254.169.254:8080', { ...apart, peer: '169.254.169.254' }, false, /no peer is ever/],
    ['127.0.0.1:8080', { ...apart, own: '127.0.0.1', peer: '127.0.0.1' }, false, /of this host/],
  ];
  for (const [address, vantage, isSameHost, expected] of cases) {
    const endpoint = parseIpEndpoint(address);
    const problem = endpoint === undefined ? 'unreadable' : judgeEndpoint(endpoint, vantage, isSameHost);
    if (expected === undefined) equal(problem, undefined, address);
    else match(problem ?? 'allowed', expected, `${address} ${JSON.stringify(vantage)}`);
  }
});

test('judgeCandidates orders from near to far, takes eight, and names what it leaves out', () => {
  const { usable, refused } = judgeCandidates(
    [
      { kind: 'public', address: '198.51.100.2:9000' },
      { kind: 'network', address: '10.0.0.8:9000' },
      { kind: 'host', address: '127.0.0.1:9000' },
      { kind: 'network', address: '203.0.113.1:9000' },
    ],
    behindOneNat,
    true,
  );
  deepEqual(
    usable.map(({ ip }) => ip),
    ['127.0.0.1', '10.0.0.8', '198.51.100.2'],
  );
  equal(refused.length, 1);
  match(refused[0] ?? '', /^203\.0\.113\.1:9000: /);
  const many = Array.from({ length: 20 }, (_, i) => ({ kind: 'network' as const, address: `10.0.0.8:${2000 + i}` }));
  equal(judgeCandidates(many, labelled, false).usable.length, MAX_CANDIDATES);
});
