/** How benches take turns and what they make of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Contender } from '../../../bench/kit/contender.ts';
import { compare, type Measured, measureRounds, median } from '../../../bench/kit/measure.ts';
import { type Figure, type Goal, meetsGoal } from '../../../bench/kit/question.ts';

const contender = (name: string): Contender => ({
  ...{ name, description: '', configuration: [], address: '' },
  pids: () => ({}),
});

const measured = (result: number): Measured<number> => ({ result, cpuSeconds: {}, residentBytes: {} });

describe('measureRounds', () => {
  it('runs everybody once a round, and begins with another one each time', async () => {
    const order: string[] = [];
    const run = async ({ name }: Contender) => order.push(name);
    const rounds = await measureRounds(3, [contender('a'), contender('b'), contender('c')], run, () => undefined);
    assert.deepEqual(order, ['a', 'b', 'c', 'b', 'c', 'a', 'c', 'a', 'b']);
    assert.deepEqual(
      rounds.map((round) => Object.keys(round).sort()),
      [
        ['a', 'b', 'c'],
        ['a', 'b', 'c'],
        ['a', 'b', 'c'],
      ],
    );
  });
});

describe('compare', () => {
  it('gives the median of the ratios within a round, which is not the ratio of the medians', () => {
    const rounds = [
      { own: measured(10), peer: measured(5) },
      { own: measured(30), peer: measured(30) },
      { own: measured(20), peer: measured(40) },
    ];
    assert.deepEqual(
      compare(rounds, 'own', 'peer', ({ result }) => result),
      { value: 20, peerValue: 30, ratio: 1 },
    );
  });

  it('refuses whoever was not measured', () => {
    assert.throws(
      () => compare([{ own: measured(1) }], 'own', 'peer', ({ result }) => result),
      /"peer" was not measured/,
    );
  });
});

describe('median', () => {
  it('is the middle one, or the mean of both', () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([9, 1, 5, 7]), 6);
  });
});

describe('meetsGoal', () => {
  const figure = (goal?: Goal): Figure => ({
    what: '',
    unit: '',
    own: '',
    value: 50,
    peerValue: 100,
    ratio: 0.5,
    ...(goal && { goal }),
  });
  const cases: readonly (readonly [goal: Goal | undefined, expected: boolean | undefined])[] = [
    [undefined, undefined],
    [{ bound: 'at least', value: 0.5, of: 'ratio' }, true],
    [{ bound: 'at least', value: 0.6, of: 'ratio' }, false],
    [{ bound: 'at most', value: 0.4, of: 'ratio' }, false],
    [{ bound: 'at most', value: 50, of: 'value' }, true],
    [{ bound: 'at least', value: 51, of: 'value' }, false],
  ];
  for (const [goal, expected] of cases) {
    it(`says ${expected} to ${goal === undefined ? 'no goal' : `${goal.bound} ${goal.value} of the ${goal.of}`}`, () => {
      assert.equal(meetsGoal(figure(goal)), expected);
    });
  }
});
