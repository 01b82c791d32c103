/** The channel between sidecar and hub, over an in-memory stream in small chunks. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { type CallHandlers, Channel, type PushHandlers } from '../../../src/control/channel.ts';
import { encodeMessage } from '../../../src/control/codec.ts';
import { frameMessage } from '../../../src/control/framing.ts';
import { MAX_MESSAGES_IN_A_TURN, MAX_PENDING_CALLS } from '../../../src/control/limits.ts';
import { chooseControlVersion, encodeControlOffer } from '../../../src/control/version.ts';
import { concatBytes } from '../../../src/core/bytes.ts';
import { SkeinError } from '../../../src/core/errors.ts';
import { createMemoryStreams, type MemoryStream } from '../../../src/testing/memory-stream.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';

interface Ends {
  readonly clock: VirtualClock;
  readonly sidecar: Channel;
  readonly hub: Channel;
  readonly streams: readonly [MemoryStream, MemoryStream];
  readonly closes: { sidecar?: SkeinError; hub?: SkeinError };
}

function connect(calls: CallHandlers, pushes: PushHandlers = {}, maxChunkBytes = 7): Ends {
  const clock = new VirtualClock();
  const streams = createMemoryStreams(clock, { maxChunkBytes });
  const closes: Ends['closes'] = {};
  const sidecar = new Channel(streams[0], { clock, pushes, onClose: (error) => (closes.sidecar = error) });
  const hub = new Channel(streams[1], { clock, calls, onClose: (error) => (closes.hub = error) });
  return { clock, sidecar, hub, streams, closes };
}

test('A call is answered, at once or later', async () => {
  const { clock, sidecar } = connect({
    watch: () => ({}),
    register: async () => ({ epoch: 3, revision: 9 }),
  });
  const answers = Promise.all([
    sidecar.call('watch', { services: ['api.default'] }),
    sidecar.call('register', { instance: 'i1', services: [] }),
  ]);
  await clock.settle();
  deepEqual(await answers, [{}, { epoch: 3, revision: 9 }]);
});

test('What comes at once is read a few messages in a turn, in order, and its end behind it', async () => {
  const clock = new VirtualClock();
  const [near, far] = createMemoryStreams(clock);
  const closes: SkeinError[] = [];
  let turn = 0;
  const nextTurn = (): void => {
    if (++turn < 10_000 && closes.length === 0) clock.endOfTick(nextTurn);
  };
  nextTurn();
  /** In which turn each was read. */
  const read: number[] = [];
  const calls: CallHandlers = {
    watch: () => {
      read.push(turn);
      return {};
    },
  };
  new Channel(far, { clock, calls, onClose: (error) => closes.push(error) });
  const all = Array.from({ length: 1_000 }, (_, i) =>
    frameMessage(encodeMessage([0, i + 1, 'watch', { services: [] }])),
  );
  near.write(concatBytes(...all));
  near.end();
  await clock.settle();
  equal(read.length, 1_000);
  equal(closes[0]?.code, 'SKEIN_HUB_UNREACHABLE');
  const most = Math.max(...read.map((at, i) => i - read.indexOf(at) + 1));
  ok(most <= MAX_MESSAGES_IN_A_TURN, `${most} in a turn`);
});

test('An error travels with code, message and details', async () => {
  const { clock, sidecar, closes } = connect({
    openCircuit: () => {
      throw new SkeinError('SKEIN_NO_ENDPOINT', 'Cannot open circuit: "x" is not connected', {
        details: { instance: 'x' },
      });
    },
    leave: () => Promise.reject(new TypeError('boom')),
  });
  const circuit = rejects(sidecar.call('openCircuit', { instance: 'x', circuit: 1 }), {
    code: 'SKEIN_NO_ENDPOINT',
    message: 'Cannot open circuit: "x" is not connected',
    details: { instance: 'x' },
  });
  const leave = rejects(sidecar.call('leave', {}), { code: 'SKEIN_INTERNAL' });
  const unanswered = rejects(sidecar.call('resync', {}), { code: 'SKEIN_PROTOCOL' });
  await clock.settle();
  await Promise.all([circuit, leave, unanswered]);
  deepEqual(closes, {});
});

test('Pushes and an answer made at once arrive in the order they were made', async () => {
  const seen: string[] = [];
  const ends: Ends = connect(
    {
      watch: () => {
        ends.hub.push('goaway', { reconnectInMs: 5 });
        return {};
      },
    },
    { goaway: ({ reconnectInMs }) => seen.push(`goaway ${reconnectInMs}`) },
  );
  const call = ends.sidecar.call('watch', { services: [] }).then(() => seen.push('answer'));
  await ends.clock.settle();
  await call;
  deepEqual(seen, ['goaway 5', 'answer']);
});

test('A call without an answer fails in time, and a late answer is no error', async () => {
  let answer: (value: Record<string, never>) => void = () => undefined;
  const { clock, sidecar, closes } = connect({ leave: () => new Promise((resolve) => (answer = resolve)) });
  const call = rejects(sidecar.call('leave', {}, { timeoutMs: 500 }), { code: 'SKEIN_DEADLINE' });
  await clock.advanceAsync(500);
  await call;
  answer({});
  await clock.settle();
  deepEqual(closes, {});
  equal(clock.pendingTimers, 0);
});

test('Calls beyond the limit are refused on this side', async () => {
  const { clock, sidecar } = connect({ leave: () => new Promise(() => undefined) });
  const calls = Array.from({ length: MAX_PENDING_CALLS }, () =>
    rejects(sidecar.call('leave', {}), { code: 'SKEIN_DEADLINE' }),
  );
  await rejects(sidecar.call('leave', {}), { code: 'SKEIN_LIMIT' });
  await clock.advanceAsync(10_000);
  await Promise.all(calls);
});

test('The end of the stream fails every call that waits', async () => {
  const { clock, sidecar, hub, closes } = connect({ leave: () => new Promise(() => undefined) });
  const call = rejects(sidecar.call('leave', {}), { code: 'SKEIN_DRAINING' });
  await clock.settle();
  hub.close(new SkeinError('SKEIN_DRAINING', 'Cannot use hub: it stops'));
  await clock.settle();
  await call;
  equal(closes.sidecar?.code, 'SKEIN_DRAINING');
  equal(clock.pendingTimers, 0);
  await rejects(sidecar.call('leave', {}), { code: 'SKEIN_DRAINING' });
});

const call = (name: unknown, body: unknown): Uint8Array => frameMessage(encodeMessage([0, 1, name, body]));
const VIOLATIONS: readonly [name: string, wire: Uint8Array][] = [
  ['a length of zero', new Uint8Array(4)],
  ['a length beyond 64 KiB', Uint8Array.of(0, 1, 0, 1)],
  ['a length of 4 G', new Uint8Array(4).fill(255)],
  ['malformed MessagePack', Uint8Array.of(0, 0, 0, 1, 0xc1)],
  ['no array', frameMessage(encodeMessage({ call: 1 }))],
  ['an unknown kind of message', frameMessage(encodeMessage([9, 1]))],
  ['too many elements', frameMessage(encodeMessage([0, 1, 'leave', {}, 0]))],
  ['a call with a body that does not fit', call('watch', { services: ['API'] })],
  ['a call with too many services', call('watch', { services: Array.from({ length: 1025 }, (_, i) => `a${i}.b`) })],
  ['a call with a port of 0', call('register', { instance: 'i', services: [served(0)] })],
  ['a call with a fractional port', call('register', { instance: 'i', services: [served(1.5)] })],
  ['a push to the hub', frameMessage(encodeMessage([3, 'goaway', { reconnectInMs: 1 }]))],
  ['an answer to no call', frameMessage(encodeMessage([1, 1, {}]))],
];

function served(port: number): unknown {
  return { service: 'api.default', port, protocol: 'http', healthy: true };
}

for (const [name, wire] of VIOLATIONS) {
  test(`The channel is closed by ${name}`, async () => {
    const clock = new VirtualClock();
    const [a, b] = createMemoryStreams(clock);
    let closed: SkeinError | undefined;
    let reset: SkeinError | undefined;
    a.attach({
      onData: () => undefined,
      onEnd: () => undefined,
      onDrain: () => undefined,
      onReset: (error) => (reset = error),
    });
    const hub = new Channel(b, {
      clock,
      calls: { watch: () => ({}), register: () => ({ epoch: 1, revision: 1 }) },
      onClose: (error) => (closed = error),
    });
    a.write(wire);
    await clock.settle();
    equal(closed?.code, 'SKEIN_PROTOCOL');
    equal(reset?.code, 'SKEIN_PROTOCOL');
    ok(hub.isClosed);
  });
}

test('An unknown call is answered with an error, an unknown push is ignored', async () => {
  const clock = new VirtualClock();
  const [a, b] = createMemoryStreams(clock);
  const closes: SkeinError[] = [];
  const hub = new Channel(b, { clock, calls: {}, onClose: (error) => closes.push(error) });
  const sidecar = new Channel(a, { clock, pushes: {}, onClose: (error) => closes.push(error) });
  b.write(frameMessage(encodeMessage([3, 'weather', { rain: true }])));
  const refused = rejects(sidecar.call('dance' as 'leave', {}), { code: 'SKEIN_PROTOCOL' });
  await clock.settle();
  await refused;
  deepEqual(closes, []);
  ok(!hub.isClosed);
});

test('A peer that does not read is given up before it costs more than the limit', async () => {
  const clock = new VirtualClock();
  const [, b] = createMemoryStreams(clock);
  let closed: SkeinError | undefined;
  const hub = new Channel(b, { clock, onClose: (error) => (closed = error) });
  const removals = Array.from({ length: 120 }, () => 'x'.repeat(500));
  for (let i = 0; i < 100 && closed === undefined; i++) {
    hub.push('catalogue', {
      epoch: 1,
      revision: i,
      base: i,
      digest: '0'.repeat(32),
      full: false,
      more: false,
      upserts: [],
      removals,
    });
  }
  equal(closed?.code, 'SKEIN_LIMIT');
});

test('Control versions: the best one that both speak', () => {
  equal(chooseControlVersion(encodeControlOffer()), 1);
  equal(chooseControlVersion(encodeControlOffer([3, 2, 1]), [2, 1]), 2);
  for (const meta of ['', 'skein.control.v9', 'skein.control.v01', 'x', `skein.control.v1,${'x'.repeat(300)}`]) {
    const offer = new TextEncoder().encode(meta);
    try {
      chooseControlVersion(offer);
      ok(false, meta);
    } catch (thrown) {
      ok(thrown instanceof SkeinError && thrown.code === 'SKEIN_PROTOCOL');
    }
  }
});
