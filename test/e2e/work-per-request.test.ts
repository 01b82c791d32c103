/** What a request takes that can be counted: it must not grow unnoticed. No wall time: a slow machine counts the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findGrowth } from '../../bench/guard/baseline.ts';
import { countWork } from '../../bench/guard/count.ts';
import { printFigures } from '../support/figures.ts';

describe('The work of a request', () => {
  it('Is no more than the baseline says, in bytes, records and writes', async () => {
    const counted = await countWork();
    printFigures('work per request', counted);
    const growth = findGrowth(counted);
    const remedy = 'if it has to be, make it the baseline: npm run bench -- guard --update';
    assert.deepEqual(growth, [], `A request takes more than it did; ${remedy}`);
  });
});
