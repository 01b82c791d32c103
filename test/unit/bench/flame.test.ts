/** What a profile of V8 becomes as a flame graph. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Flame, toFlame } from '../../../bench/kit/flame.ts';
import type { CpuProfile } from '../../../bench/kit/profile-sums.ts';

const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber });

/** Of 100 µs busy: `read` 10 by itself and `parse` 50 below it, twice from different places of the tree; `write` 38, `rare` 2. */
const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 3, 5, 6, 7] },
    { id: 2, callFrame: frame('(idle)') },
    { id: 3, callFrame: frame('read', 'file:///x/dist/http/reader.js', 9), children: [4] },
    { id: 4, callFrame: frame('parse', 'file:///x/dist/http/reader.js', 19) },
    { id: 5, callFrame: frame('writev') },
    { id: 6, callFrame: frame('', 'node:net', 0) },
    { id: 7, callFrame: frame('read', 'file:///x/dist/http/reader.js', 9), children: [8] },
    { id: 8, callFrame: frame('parse', 'file:///x/dist/http/reader.js', 19) },
  ],
  samples: [2, 3, 4, 5, 6, 8],
  timeDeltas: [0, 900, 10, 20, 38, 2, 30],
};

const outline = ({ name, share, below }: Flame): unknown => [name, share, ...below.map(outline)];

describe('toFlame', () => {
  it('puts the same chains of calls together, with the time of what they called, and leaves idle time out', () => {
    assert.deepEqual(outline(toFlame(PROFILE, 0)), [
      'all',
      1,
      ['read', 0.6, ['parse', 0.5]],
      ['writev', 0.38],
      ['(anonymous)', 0.02],
    ]);
  });

  it('leaves out what is too little to be drawn, and keeps its time in what called it', () => {
    assert.deepEqual(outline(toFlame(PROFILE, 0.1)), ['all', 1, ['read', 0.6, ['parse', 0.5]], ['writev', 0.38]]);
  });

  it('says where a function stands, and what its time counts as', () => {
    const [read, write] = toFlame(PROFILE, 0.1).below;
    assert.deepEqual([read?.place, read?.category], ['dist/http/reader.js:10', 'src/http']);
    assert.deepEqual([write?.place, write?.category], ['', 'system calls of sockets (write, read, shutdown)']);
  });

  it('makes of nothing nothing', () => {
    assert.deepEqual(toFlame({ nodes: [], samples: [], timeDeltas: [] }, 0.1), {
      ...{ name: 'all', place: '', category: '', share: 0, below: [] },
    });
  });
});
