/** DNS messages: what a query says, what is refused and how, and answers that a resolver reads. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type Bytes, concatBytes, encodeUtf8, fromHex } from '../../../src/core/bytes.ts';
import {
  DNS_CODE,
  type DnsQuery,
  encodeDnsAnswer,
  encodeDnsRefusal,
  isDnsAnswerTo,
  parseDnsQuery,
  takeDnsFrame,
  toDnsFrame,
  withDnsId,
} from '../../../src/sidecar/dns-message.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

/** A query as `dig +noedns api.MESH A` sends it. */
const QUERY = fromHex('abcd0100000100000000000003617069044d45534800'.concat('00010001'));
const OPT = fromHex('0000291000000000000000');

function change(at: number, ...bytes: number[]): Bytes {
  const out = QUERY.slice();
  out.set(bytes, at);
  return out;
}

test('A query is read: id, name in lower case, type, and how much its asker takes', () => {
  const query = parseDnsQuery(QUERY) as DnsQuery;
  deepEqual(
    [query.id, query.name, query.type, query.recursionDesired, query.udpBytes],
    [0xabcd, 'api.mesh', 1, true, 512],
  );
  const withOpt = concatBytes(change(11, 1), OPT);
  equal((parseDnsQuery(withOpt) as DnsQuery).udpBytes, 4096);
  const greedy = withOpt.slice();
  greedy.set([0xff, 0xff], QUERY.length + 3);
  equal((parseDnsQuery(greedy) as DnsQuery).udpBytes, 4096);
  const humble = withOpt.slice();
  humble.set([0, 1], QUERY.length + 3);
  equal((parseDnsQuery(humble) as DnsQuery).udpBytes, 512);
});

const refusals: readonly [what: string, message: Bytes, verdict: number | undefined][] = [
  ['nothing', new Uint8Array(0), undefined],
  ['less than a header', QUERY.subarray(0, 11), undefined],
  ['a response', change(2, 0x81), undefined],
  ['another operation than a query', change(2, 0x29), DNS_CODE.notImplemented],
  ['two questions', change(5, 2), DNS_CODE.formatError],
  ['no question', change(5, 0), DNS_CODE.formatError],
  ['an answer in a query', change(7, 1), DNS_CODE.formatError],
  ['another class than IN', change(QUERY.length - 1, 3), DNS_CODE.notImplemented],
  ['a name that ends in the air', QUERY.subarray(0, 18), DNS_CODE.formatError],
  ['a question without its class', QUERY.subarray(0, QUERY.length - 1), DNS_CODE.formatError],
  ['a pointer where nothing is to point to', change(12, 0xc0, 12), DNS_CODE.formatError],
  ['a label of 64 bytes', change(12, 64), DNS_CODE.formatError],
  [
    'a name of more than 255 bytes',
    concatBytes(
      QUERY.subarray(0, 12),
      ...Array.from({ length: 5 }, () => concatBytes(Uint8Array.of(60), new Uint8Array(60).fill(97))),
      fromHex('0000010001'),
    ),
    DNS_CODE.formatError,
  ],
];
for (const [what, message, verdict] of refusals) {
  test(`${what} → ${verdict ?? 'no answer'}`, () => equal(parseDnsQuery(message), verdict));
}

test('A dot or a blank inside a label makes no other name of it', () => {
  for (const byte of [0x2e, 0x20, 0x00, 0xff]) equal((parseDnsQuery(change(14, byte)) as DnsQuery).name, 'a?i.mesh');
});

test('An answer repeats the question as it came, and holds what was found', () => {
  const query = parseDnsQuery(QUERY) as DnsQuery;
  const answer = encodeDnsAnswer(
    query,
    { code: 0, records: [{ type: 'a', address: '127.80.1.2' }], ttlSeconds: 5 },
    512,
  );
  deepEqual(answer.subarray(0, 12), fromHex('abcd85800001000100000000'));
  deepEqual(answer.subarray(12, QUERY.length), QUERY.subarray(12));
  deepEqual(answer.subarray(QUERY.length), fromHex('c00c0001000100000005'.concat('00047f500102')));
  ok(isDnsAnswerTo(answer, 0xabcd, query.question));
  equal(isDnsAnswerTo(answer, 0xabce, query.question), false);
  equal(isDnsAnswerTo(QUERY, 0xabcd, query.question), false, 'a query is no answer');
  equal(isDnsAnswerTo(withDnsId(answer, 1), 1, query.question), true);
});

test('An answer that is too long is cut down to its question, and says so', () => {
  const query = parseDnsQuery(QUERY) as DnsQuery;
  const records = Array.from({ length: 40 }, (_, port) => ({ type: 'srv' as const, port, target: 'api.mesh' }));
  const whole = encodeDnsAnswer(query, { code: 0, records, ttlSeconds: 5 }, 65_535);
  equal(whole.length, QUERY.length + 40 * (12 + 6 + 10));
  const cut = encodeDnsAnswer(query, { code: 0, records, ttlSeconds: 5 }, 512);
  equal(cut.length, QUERY.length);
  equal((cut[2] as number) & 0x02, 0x02);
  equal(cut[7], 0);
});

test('A refusal carries the id of what was not understood, and nothing of it', () => {
  deepEqual(encodeDnsRefusal(change(5, 2), DNS_CODE.formatError), fromHex('abcd80010000000000000000'));
});

test('By TCP a message stands behind its length', () => {
  const frame = toDnsFrame(encodeUtf8('abc'));
  deepEqual([...frame], [0, 3, 97, 98, 99]);
  deepEqual(takeDnsFrame(concatBytes(frame, frame)), encodeUtf8('abc'));
  for (let length = 0; length < frame.length; length++) equal(takeDnsFrame(frame.subarray(0, length)), undefined);
});

test('100,000 mutated messages are read or refused, and none throws', (t) => {
  const random = new SeededRandom();
  t.diagnostic(`seed ${random.seed}`);
  const whole = concatBytes(change(11, 1), OPT);
  let read = 0;
  for (let i = 0; i < 100_000; i++) {
    const message = whole.slice(0, random.ratio() < 0.5 ? whole.length : Math.floor(random.ratio() * whole.length));
    for (let flips = 1 + Math.floor(random.ratio() * 4); flips > 0 && message.length > 0; flips--) {
      message[Math.floor(random.ratio() * message.length)] = Math.floor(random.ratio() * 256);
    }
    const query = parseDnsQuery(message);
    if (typeof query !== 'object') continue;
    read++;
    ok(query.udpBytes >= 512 && query.udpBytes <= 4096);
    ok(encodeDnsAnswer(query, { code: 0, records: [], ttlSeconds: 0 }, 512).length >= 12 + 5);
  }
  t.diagnostic(`${read} of 100000 were queries`);
});
