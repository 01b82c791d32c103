/** Policy age: a hub that is cut off from the store cannot take a policy away that another hub has told of. */

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyAge } from '../../../src/agent/policy-age.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/event-log.ts';

function create() {
  const clock = new VirtualClock();
  const log = new EventLog();
  return { clock, log, age: new PolicyAge(clock, log) };
}

test('Policies are believed that are as new as those in force', () => {
  const { age, log } = create();
  const at = (revision: number, isCurrent = true): boolean => age.accepts({ revision, isCurrent });
  deepEqual(
    [at(5), at(5), at(7), at(7, false), at(6), at(6, false), at(8, false)],
    [true, true, true, true, false, false, true],
  );
  equal(log.of('policies-older').length, 1, 'said once');
});

test('A hub that is cut off and knows less is not believed, however long it is followed', () => {
  const { age, clock } = create();
  age.accepts({ revision: 100, isCurrent: true });
  age.onHub();
  // It learns within a lease that it is cut off.
  equal(age.accepts({ revision: 90, isCurrent: true }), false);
  for (let i = 0; i < 60; i++) {
    clock.advance(60_000);
    equal(age.accepts({ revision: 90, isCurrent: false }), false);
  }
  // It is back, and catches up.
  equal(age.accepts({ revision: 95, isCurrent: true }), false);
  clock.advance(1000);
  equal(age.accepts({ revision: 101, isCurrent: true }), true);
});

test('A store that was put back is believed after ten seconds, and that is logged', () => {
  const { age, clock, log } = create();
  age.accepts({ revision: 100, isCurrent: true });
  age.onHub();
  equal(age.accepts({ revision: 3, isCurrent: true }), false);
  clock.advance(9_999);
  equal(age.accepts({ revision: 4, isCurrent: true }), false);
  clock.advance(1);
  equal(age.accepts({ revision: 5, isCurrent: true }), true);
  deepEqual(
    log.of('policies-put-back').map(({ fields }) => fields),
    [{ revision: 5, known: 100 }],
  );
  equal(age.accepts({ revision: 4, isCurrent: true }), false, 'and counts anew from there');
});

test('A hub whose store is its own is believed at once', () => {
  const { age } = create();
  age.accepts({ revision: 100, isCurrent: true });
  equal(age.accepts(undefined), true);
  equal(age.accepts({ revision: 1, isCurrent: false }), true);
});
