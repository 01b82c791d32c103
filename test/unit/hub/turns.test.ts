/** Workers of a hub get links alike, although connections are dealt out in turn and every second one is none. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteStream } from '../../../src/core/byte-stream.ts';
import { Turns } from '../../../src/hub/workers/turns.ts';

const SILENT: ByteStream = {
  attach: () => undefined,
  write: () => true,
  end: () => undefined,
  reset: () => undefined,
  consumed: () => undefined,
};

/** Deals connections out in turn, as the port of a hub does; `kinds` says which of them are links. */
function deal(workers: number, kinds: readonly ('link' | 'question')[], rounds: number): number[] {
  const links = new Array<number>(workers).fill(0);
  let turn = 0;
  const turns = new Turns({
    connectTcp: () => {
      turn++;
      return SILENT;
    },
  });
  for (let worker = 0; worker < workers; worker++) turns.enter(worker);
  for (let i = 0; i < rounds; i++) {
    const worker = turn++ % workers;
    if (kinds[i % kinds.length] === 'question') continue;
    links[worker] = (links[worker] ?? 0) + 1;
    turns.linked(worker, links[worker] ?? 0, '127.0.0.1:7000');
  }
  return links;
}

test('Whatever comes between links, no worker has many more than another', () => {
  for (const workers of [2, 3, 4, 8]) {
    for (const kinds of [['link'], ['link', 'question'], ['question', 'link', 'question', 'question']] as const) {
      const links = deal(workers, kinds, 800);
      ok(Math.max(...links) - Math.min(...links) <= workers + 2, `${workers} workers, ${kinds.join(' ')}: ${links}`);
    }
  }
});

test('Nothing is done where links come alike, for one worker alone, and before the address is known', () => {
  const made: unknown[] = [];
  const connectTcp = (to: unknown): ByteStream => {
    made.push(to);
    return SILENT;
  };
  const turns = new Turns({ connectTcp });
  turns.enter(0);
  turns.linked(0, 5, '127.0.0.1:7000');
  turns.enter(1);
  turns.linked(0, 6, '');
  deepEqual(made, []);
  turns.linked(1, 5, '127.0.0.1:7000');
  deepEqual(made, []);
  turns.linked(0, 9, '0.0.0.0:7000');
  turns.linked(0, 10, '[::]:7000');
  deepEqual(made, [
    { host: '127.0.0.1', port: 7000 },
    { host: '[::1]', port: 7000 },
  ]);
  turns.forget(1);
  turns.linked(0, 11, '0.0.0.0:7000');
  deepEqual(made.length, 2);
});
