/** LimitedLog: no flood of others becomes a flood of lines, and what was left out is counted. */

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { LimitedLog } from '../../../src/core/limited-log.ts';
import { VirtualClock } from '../../../src/testing/virtual-clock.ts';
import { EventLog } from '../../support/event-log.ts';

test('LimitedLog passes a burst, then so many a second; the next line says how many were left out', () => {
  const clock = new VirtualClock();
  const log = new EventLog();
  const limited = new LimitedLog(log, clock, { perSecond: 20, burst: 100 });
  for (let n = 0; n < 1000; n++) limited.log('warn', 'refused', { n });
  equal(log.lines.length, 100);
  clock.advance(1000);
  for (let n = 0; n < 1000; n++) limited.log('warn', 'refused', { n });
  equal(log.lines.length, 120);
  deepEqual(log.lines[100], { level: 'warn', event: 'refused', fields: { n: 0, notLogged: 900 } });
  deepEqual(log.lines[101], { level: 'warn', event: 'refused', fields: { n: 1 } });
});
