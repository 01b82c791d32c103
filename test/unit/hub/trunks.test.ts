/** Trunks listen on loopback, where whoever is on this machine can come: without the secret nobody gets in, or keeps anything. */

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { Conversation } from '../../../src/core/conversation.ts';
import type { DirectSockets, MessagePipe, RawConnection } from '../../../src/core/platform.ts';
import { Neighbours } from '../../../src/hub/workers/neighbours.ts';
import { type Neighbour, Trunks } from '../../../src/hub/workers/trunks.ts';
import { nodePlatform } from '../../../src/runtime/node/platform.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/event-log.ts';

const SECRET = 'a'.repeat(43);
const MAX_UNPROVEN = 64;

test('Who shows no secret is closed after a while, the oldest at once when they are many; a worker gets in beside them', async (t) => {
  const clock = new VirtualClock();
  const log = new EventLog();
  const platform = nodePlatform();
  const directSockets = platform.directSockets as DirectSockets;
  const open = new Set<RawConnection>();
  const arrivals: (() => void)[] = [];
  const counting: DirectSockets = {
    ...directSockets,
    listen: (at, onConnection) =>
      directSockets.listen(at, (connection) => {
        open.add(connection);
        const close = connection.close.bind(connection);
        connection.close = () => {
          open.delete(connection);
          close();
        };
        onConnection(connection);
        arrivals.shift()?.();
      }),
  };
  const conversation = new Conversation(() => undefined, {});
  const trunks = new Trunks({
    platform: { ...platform, clock, directSockets: counting },
    log,
    conversation,
    secret: SECRET,
  });
  await trunks.listen();
  t.after(() => trunks.close());
  const at = { host: '127.0.0.1', port: trunks.port };
  const strangers: RawConnection[] = [];
  t.after(() => {
    for (const stranger of strangers) stranger.close();
  });
  for (let i = 0; i < MAX_UNPROVEN + 8; i++) {
    const arrived = new Promise<void>((resolve) => arrivals.push(resolve));
    strangers.push(await directSockets.connect(at));
    await arrived;
  }
  const left = [...open];
  equal(left.length, MAX_UNPROVEN);
  for (const wrong of ['', '.', 'x', `${SECRET}x.hub`, `${SECRET.slice(1)}.hub`, `${'b'.repeat(43)}.hub`]) {
    await rejects((await directSockets.connect(at)).upgrade(wrong), () => true, wrong);
  }
  const pipe = await (await directSockets.connect(at)).upgrade(`${SECRET}.other`);
  t.after(() => pipe.terminate());
  clock.advance(5_000);
  equal(left.filter((one) => open.has(one)).length, 0);
  // Nor does a worker that ends before it has said anything take this one with it.
  clock.advance(30_000);
  await log.waitFor('trunk-closed');
});

test('A trunk that breaks is dialled again while the other worker lives, and no longer', async (t) => {
  const log = new EventLog();
  const platform = nodePlatform();
  const { clock, random } = platform;
  const directSockets = platform.directSockets as DirectSockets;
  const pipes: MessagePipe[] = [];
  const watched: DirectSockets = {
    ...directSockets,
    connect: async (at) => {
      const connection = await directSockets.connect(at);
      const upgrade = connection.upgrade.bind(connection);
      connection.upgrade = async (ticket) => {
        const pipe = await upgrade(ticket);
        pipes.push(pipe);
        return pipe;
      };
      return connection;
    },
  };
  const living = new Set<string>();
  const asked: unknown[] = [];
  let onAsked = (): void => undefined;
  const supervisor: Conversation = new Conversation((message) => conversation.receive(message), {
    join: () => [{ hub: 'acceptor', port: acceptor.port }] satisfies Neighbour[],
    lives: (hub) => {
      asked.push(hub);
      onAsked();
      return living.has(String(hub));
    },
  });
  const conversation = new Conversation((message) => supervisor.receive(message), {});
  const acceptor = new Trunks({ platform, log: new EventLog(), conversation, secret: SECRET });
  await acceptor.listen();
  t.after(() => acceptor.close());
  const dialler: Trunks = new Trunks({
    ...{ platform: { ...platform, directSockets: watched }, log, conversation, secret: SECRET },
    onBroken: (neighbour) => neighbours.onBroken(neighbour),
  });
  const neighbours = new Neighbours({ clock, random, log, conversation, dial: (each) => dialler.dial(each) });
  t.after(() => {
    neighbours.close();
    dialler.close();
  });
  living.add('acceptor');
  await neighbours.join({ hub: 'dialler', port: 1 });
  await log.waitFor('trunk-open');
  for (let times = 1; times <= 3; times++) {
    pipes.at(-1)?.terminate();
    await log.waitFor('trunk-open', times + 1);
  }
  deepEqual(asked, ['acceptor', 'acceptor', 'acceptor']);
  living.clear();
  const told = new Promise<void>((resolve) => {
    onAsked = resolve;
  });
  pipes.at(-1)?.terminate();
  await told;
  // What is dialled after that is the next trunk.
  await dialler.dial({ hub: 'another', port: acceptor.port });
  equal(pipes.length, 5);
});
