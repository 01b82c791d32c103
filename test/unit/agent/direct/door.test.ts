/** Door: what strangers can do at the listener, on real sockets — ask where they are, be turned away, and no more at once than is allowed. */

import { deepEqual, equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Door } from '../../../../src/agent/direct/door.ts';
import { DIRECT_LIMITS, type DirectLimits } from '../../../../src/agent/direct/options.ts';
import { createTicket, Tickets } from '../../../../src/agent/direct/tickets.ts';
import { REFLECTION_PATH, Reflections } from '../../../../src/control/reflection.ts';
import type { DirectSockets, MessagePipe, RawConnection } from '../../../../src/core/platform.ts';
import { nodePlatform } from '../../../../src/runtime/node/platform.ts';
import { lacking } from '../../../runtime/capabilities.ts';
import { createSessions } from '../../../support/tunnel.ts';

const { clock, crypto, directSockets } = nodePlatform();
const sockets = directSockets as DirectSockets;
const noKept = lacking('kept http connections');
const SOURCE = { nonce: '0f'.repeat(16), secret: 'a1'.repeat(32) };

interface Guest {
  readonly pipe: MessagePipe;
  readonly settle: () => void;
}

/** A door at a listener, with a ticket for the initiator of a session. */
async function open(t: TestContext, limits: Partial<DirectLimits> = {}) {
  const { responder } = await createSessions();
  const tickets = new Tickets(crypto);
  tickets.issue(SOURCE, responder.session, 'initiator');
  const guests: Guest[] = [];
  let onGuest: () => void = () => undefined;
  const door = new Door({
    ...{ clock, tickets, limits: { ...DIRECT_LIMITS, ...limits }, reflections: new Reflections(clock) },
    onGuest: (pipe, session, settle) => {
      equal(session, responder.session);
      guests.push({ pipe, settle });
      onGuest();
    },
  });
  const listener = await sockets.listen({ host: '127.0.0.1', port: 0 }, (connection) => door.enter(connection));
  t.after(() => listener.close());
  const dial = async (): Promise<RawConnection> => {
    const connection = await sockets.connect({ host: '127.0.0.1', port: listener.port });
    t.after(() => connection.close());
    return connection;
  };
  const stranger = async (): Promise<Socket> => {
    const socket = connect(listener.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.resume();
    await once(socket, 'connect');
    return socket;
  };
  const guest = (): Promise<void> =>
    new Promise((resolve) => {
      onGuest = resolve;
      if (guests.length > 0) resolve();
    });
  const ticket = createTicket(crypto, SOURCE, responder.session.id, 'initiator');
  return { door, tickets, guests, guest, dial, stranger, ticket, session: responder.session };
}

test('A silent stranger is gone after its time, and leaves nothing behind', async (t) => {
  const { door, stranger } = await open(t, { proofMs: 50 });
  const socket = await stranger();
  await once(socket, 'close');
  equal(door.halfOpen, 0);
  deepEqual([door.stats.refused, door.stats.admitted, door.stats.reflected], [0, 0, 0]);
});

test('Of many that say nothing only so many are kept; the next ones are closed as they come', async (t) => {
  const { door, stranger } = await open(t, { maxHalfOpen: 4 });
  const kept = await Promise.all([stranger(), stranger(), stranger(), stranger()]);
  const [fifth, sixth] = [await stranger(), await stranger()];
  await Promise.all([fifth.closed || once(fifth, 'close'), sixth.closed || once(sixth, 'close')]);
  equal(door.halfOpen, 4);
  equal(door.stats.refused, 2);
  const [first] = kept;
  first?.destroy();
  await once(first as Socket, 'close');
});

test('One address may come so often a second', async (t) => {
  const { door, stranger } = await open(t, { handshakes: { perSecond: 0.001, burst: 3, maxKeys: 10 } });
  for (let i = 0; i < 3; i++) (await stranger()).destroy();
  const fourth = await stranger();
  if (!fourth.closed) await once(fourth, 'close');
  equal(door.stats.refused, 1);
});

test('The peer comes in by its ticket, which is good for one end of one session and no other', async (t) => {
  const { door, tickets, dial, guest, guests, ticket, session } = await open(t);
  const wrong = [
    createTicket(crypto, SOURCE, session.id, 'responder'),
    createTicket(crypto, SOURCE, '00'.repeat(16), 'initiator'),
    createTicket(crypto, { ...SOURCE, secret: 'a2'.repeat(32) }, session.id, 'initiator'),
    createTicket(crypto, { ...SOURCE, nonce: '0e'.repeat(16) }, session.id, 'initiator'),
    ticket.slice(1),
    `${ticket}0`,
    '',
  ];
  for (const each of wrong) {
    const refused = await (await dial()).upgrade(each).then(
      () => 'taken',
      () => 'refused',
    );
    equal(refused, 'refused', each);
  }
  equal(door.stats.admitted, 0);
  const pipe = await (await dial()).upgrade(ticket);
  await guest();
  equal(door.halfOpen, 1, 'until it has attached');
  guests[0]?.settle();
  guests[0]?.settle();
  equal(door.halfOpen, 0);
  pipe.terminate();
  tickets.revoke(SOURCE.nonce);
  const late = await (await dial()).upgrade(ticket).then(
    () => 'taken',
    () => 'refused',
  );
  equal(late, 'refused', 'the attempt is over');
  equal(tickets.size, 0);
});

test('A guest that attaches nothing is closed', async (t) => {
  const { dial, guest, ticket } = await open(t, { proofMs: 80 });
  const pipe = await (await dial()).upgrade(ticket);
  await guest();
  await new Promise<void>((resolve) => {
    pipe.attach({ onMessage: () => undefined, onProgress: () => undefined, onClose: () => resolve() });
  });
});

test('Tells who asks where it is seen, keeps so many connections for a while, and counts them apart', {
  skip: noKept,
}, async (t) => {
  const { door, dial } = await open(t, { maxAsking: 2, askingMs: 5_000, proofMs: 5_000 });
  const asked = [await dial(), await dial()];
  for (const connection of asked) {
    equal(await connection.get('peer', REFLECTION_PATH), `127.0.0.1:${connection.localPort}`);
  }
  equal(door.halfOpen, 0);
  const third = await (await dial()).get('peer', REFLECTION_PATH).then(
    () => 'told',
    () => 'refused',
  );
  equal(third, 'refused');
  equal(door.stats.reflected, 2);
});

test('Behind a closed door nobody is heard', async (t) => {
  const { door, stranger } = await open(t);
  door.close();
  const socket = await stranger();
  if (!socket.closed) await once(socket, 'close');
  ok(door.stats.refused === 1);
});
