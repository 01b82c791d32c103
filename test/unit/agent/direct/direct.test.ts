/** Direct: members on loopback find a path around their hub, whoever of them can be dialled, and dial nothing that a peer merely names. */

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { Direct } from '../../../../src/agent/direct/direct.ts';
import { encodeSignal, type Signal } from '../../../../src/control/signal.ts';
import type { Bytes } from '../../../../src/core/bytes.ts';
import type { DirectSockets, RawConnection } from '../../../../src/core/platform.ts';
import { nodePlatform } from '../../../../src/runtime/node/platform.ts';
import { DirectPair, type End } from '../../../support/direct.ts';
import { RecordedSockets } from '../../../support/raw-recorder.ts';

const ENDS: readonly End[] = ['a', 'b'];

for (const { name, listeners } of [
  { name: 'both have a listener', listeners: ['a', 'b'] },
  { name: 'only the callee has a listener', listeners: ['b'] },
  { name: 'only the caller has a listener, and the callee dials it', listeners: ['a'] },
]) {
  test(`Two members of one host find each other while the relay carries requests: ${name}`, async (t) => {
    const options = (end: End) => (listeners.includes(end) ? {} : ({ listen: false } as const));
    const pair = await DirectPair.start(t, { a: options('a'), b: options('b') });
    equal(await pair.ask(), 'hello');
    await pair.untilDirect();
    for (const end of ENDS) {
      const { state, kind, reason, attempts } = pair.status(end) ?? {};
      deepEqual({ state, kind, reason, attempts }, { state: 'direct', kind: 'host', reason: undefined, attempts: 1 });
    }
    await pair.askUntilOn('direct');
    const before = await pair.relayedBytes();
    equal((await pair.ask(new Uint8Array(1_000_000))).length, 1_000_000);
    ok((await pair.relayedBytes()) - before < 300_000, 'the relay carries probes and nothing else');
    for (const end of ENDS)
      deepEqual(
        pair
          .sessionOf(end)
          .paths.map(({ kind }) => kind)
          .sort(),
        ['direct', 'relay'],
      );
  });
}

test('Without a listener on either side the session stays relayed, and says why', async (t) => {
  const pair = await DirectPair.start(t, { a: { listen: false }, b: { listen: false } });
  equal(await pair.ask(), 'hello');
  await pair.logs.a.waitFor('no-direct-path');
  equal(await pair.ask(), 'hello');
  const { state, reason, retryInMs } = pair.status('a') ?? {};
  equal(state, 'relayed');
  match(reason ?? '', /no end has a listener/);
  ok(retryInMs !== undefined && retryInMs > 55_000);
});

for (const off of ENDS) {
  test(`A member that is switched off answers so, and neither end opens a connection: ${off}`, async (t) => {
    const sockets = { a: new RecordedSockets(nodePlatform()), b: new RecordedSockets(nodePlatform()) };
    const options = (end: End) => ({ platform: sockets[end].platform, isOff: end === off });
    const pair = await DirectPair.start(t, { a: options('a'), b: options('b') });
    equal(await pair.ask(), 'hello');
    if (off === 'b') {
      await pair.logs.a.waitFor('no-direct-path');
      match(pair.status('a')?.reason ?? '', /the peer looks for no direct paths/);
    }
    equal(pair.status(off)?.state, 'off');
    match(pair.status(off)?.reason ?? '', /--no-direct/);
    deepEqual([sockets.a.dials, sockets.b.dials], [[], []]);
  });
}

test('A loopback address is dialled only if the peer has shown to be on this host', async (t) => {
  const a = new RecordedSockets(nodePlatform());
  const b = new RecordedSockets(nodePlatform(), { hostKey: async () => new Uint8Array(32) });
  const pair = await DirectPair.start(t, { a: { platform: a.platform }, b: { platform: b.platform } });
  equal(await pair.ask(), 'hello');
  await Promise.all([pair.logs.a.waitFor('candidates-refused'), pair.logs.b.waitFor('candidates-refused')]);
  await pair.logs.a.waitFor('no-direct-path');
  deepEqual([a.dials, b.dials], [[], []]);
  equal(pair.status('a')?.state, 'relayed');
});

test('Places that a peer names are dialled only if the hub sees the peer there, or it is shown to be near', async (t) => {
  const a = new RecordedSockets(nodePlatform());
  const pair = await DirectPair.start(t, { a: { platform: a.platform, listen: false }, b: { listen: false } });
  equal(await pair.ask(), 'hello');
  await pair.logs.a.waitFor('no-direct-path');
  const offer = (nonce: string, addresses: readonly string[]): Signal => ({
    kind: 'offer',
    nonce: nonce.repeat(32),
    secret: '00'.repeat(32),
    candidates: addresses.map((address) => ({ kind: 'public', address })),
    host: 'ab'.repeat(32),
    canPunch: false,
  });
  const hostile = [
    '127.0.0.1:6379',
    '169.254.169.254:80',
    '10.0.0.7:5432',
    '[::1]:8080',
    '203.0.113.9:443',
    '224.0.0.1:9',
  ];
  pair.sessionOf('b').sendPathMessage(encodeSignal(offer('1', hostile)));
  await pair.logs.a.waitFor('candidates-refused');
  const [line] = pair.logs.a.of('candidates-refused');
  deepEqual((line?.fields.candidates as string[] | undefined)?.length, hostile.length);
  deepEqual(a.dials, []);
  equal(await pair.ask(), 'hello');
});

test('A peer may make a member consider three offers a minute', async (t) => {
  const pair = await DirectPair.start(t, { a: { listen: false }, b: { listen: false } });
  equal(await pair.ask(), 'hello');
  await pair.logs.a.waitFor('no-direct-path');
  const session = pair.sessionOf('b');
  for (const nonce of ['1', '2', '3', '4', '5']) {
    const offer = { nonce: nonce.repeat(32), secret: '00'.repeat(32), candidates: [], canPunch: false };
    session.sendPathMessage(encodeSignal({ kind: 'offer', ...offer }));
  }
  await pair.logs.a.waitFor('offer-declined', 2);
  equal(pair.status('a')?.attempts, 4, 'the own attempt and three more');
  equal(await pair.ask(), 'hello');
});

test('A malformed path message is dropped, and the session goes on', async (t) => {
  const pair = await DirectPair.start(t, { a: { listen: false }, b: { listen: false } });
  equal(await pair.ask(), 'hello');
  const session = pair.sessionOf('b');
  for (const bytes of [new Uint8Array(0), new Uint8Array([0xc1]), new Uint8Array(4096).fill(0x91)])
    session.sendPathMessage(bytes);
  await pair.logs.a.waitFor('path-message-refused', 3);
  equal(await pair.ask(), 'hello');
});

test('A direct path that dies is left for the relay, and looked for again', async (t) => {
  const sockets = new RecordedSockets(nodePlatform());
  const limits = { healthyMs: 0 };
  const pair = await DirectPair.start(t, { a: { platform: sockets.platform, limits }, b: { limits } });
  equal(await pair.ask(), 'hello');
  await pair.untilDirect();
  await pair.askUntilOn('direct');
  for (let round = 1; round <= 3; round++) {
    await pair.untilDirect(round);
    sockets.cut();
    equal(await pair.ask(), 'hello');
    await pair.logs.a.waitFor('direct-path-lost', round);
  }
  equal(pair.agents.a.peers.size, 1, 'one session through it all');
});

test('When both ends dial at once one of the two paths is closed', async (t) => {
  const limits = { yieldMs: 0 };
  const pair = await DirectPair.start(t, { a: { limits }, b: { limits } });
  equal(await pair.ask(), 'hello');
  await pair.untilDirect();
  await pair.askUntilOn('direct');
  for (const end of ENDS) equal(pair.sessionOf(end).paths.filter(({ kind }) => kind === 'direct').length, 1);
});

test('Who has a ticket and does not attach the session gets nothing, and the session stays relayed', async (t) => {
  const base = nodePlatform();
  const sockets = base.directSockets as DirectSockets;
  // The dialling end, tampered with: its first record arrives with one bit of the proof changed.
  const connect: DirectSockets['connect'] = async (to) => {
    const connection = await sockets.connect(to);
    const tampered = Object.create(connection) as RawConnection;
    return Object.assign(tampered, {
      close: () => connection.close(),
      upgrade: async (ticket: string) => {
        const pipe = await connection.upgrade(ticket);
        const send = pipe.send.bind(pipe);
        return Object.assign(pipe, {
          send: (message: Bytes) => {
            if ((message[0] as number) % 16 === 2)
              message[message.length - 1] = (message[message.length - 1] as number) ^ 1;
            send(message);
          },
        });
      },
    });
  };
  const b = new RecordedSockets(base, { connect });
  const limits = { dialMs: 500 };
  const pair = await DirectPair.start(t, { a: { limits }, b: { platform: b.platform, listen: false, limits } });
  equal(await pair.ask(), 'hello');
  await pair.logs.a.waitFor('no-direct-path');
  equal(await pair.ask(), 'hello');
  deepEqual(
    pair.sessionOf('a').paths.map(({ kind }) => kind),
    ['relay'],
  );
  const { direct } = pair.agents.a;
  ok(direct instanceof Direct);
  equal(direct.door.stats.admitted, 1);
  equal(direct.door.halfOpen, 0);
});

for (const [name, greet] of [
  ['says nothing', () => undefined],
  ['repeats what it hears', (socket: Socket) => socket.pipe(socket)],
  ['hangs up', (socket: Socket) => socket.destroy()],
] as const) {
  test(`A stranger at the address of the peer, one that ${name}, does no harm`, async (t) => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      greet(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const limits = { proofMs: 200, dialMs: 400 };
    const pair = await DirectPair.start(t, { a: { listen: false, limits }, b: { listen: false, limits } });
    pair.agents.b.direct.listensAt('127.0.0.1', (server.address() as AddressInfo).port);
    equal(await pair.ask(), 'hello');
    await pair.logs.a.waitFor('no-direct-path');
    equal(sockets.size, 1);
    equal(await pair.ask(), 'hello');
    equal(pair.status('a')?.state, 'relayed');
  });
}
