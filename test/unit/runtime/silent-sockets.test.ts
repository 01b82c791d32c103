/** SilentSockets: one address has its share, and the oldest makes room. */
import { deepEqual, equal } from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { SilentSockets } from '../../../src/runtime/node/silent-sockets.ts';

class Connection extends EventEmitter {
  readonly remoteAddress: string;
  isDestroyed = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }
}

test('An address has its share of connections that say nothing, and gets it back; this machine is no address', () => {
  const silent = new SilentSockets({ maxSilent: 100, maxSilentPerAddress: 2 });
  const enter = (address: string): Connection => {
    const connection = new Connection(address);
    silent.enter(connection, 0);
    return connection;
  };
  const first = enter('203.0.113.1');
  enter('203.0.113.1');
  equal(enter('203.0.113.1').isDestroyed, true);
  equal(enter('203.0.113.2').isDestroyed, false);
  equal(silent.leave(first), 0);
  equal(silent.leave(first), undefined);
  equal(enter('203.0.113.1').isDestroyed, false);
  for (let i = 0; i < 5; i++) equal(enter('127.0.0.1').isDestroyed, false);
});

test('The oldest makes room', () => {
  const silent = new SilentSockets({ maxSilent: 2, maxSilentPerAddress: 10 });
  const all = Array.from({ length: 4 }, () => new Connection('203.0.113.1'));
  all.forEach((connection, i) => void silent.enter(connection, i));
  deepEqual(
    all.map(({ isDestroyed }) => isDestroyed),
    [true, true, false, false],
  );
  silent.destroyAll();
  equal(
    all.every(({ isDestroyed }) => isDestroyed),
    true,
  );
});
