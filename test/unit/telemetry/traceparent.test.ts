/** `traceparent`: the cases of the W3C Trace Context test suite that concern one field. */

import { deepEqual, equal, match, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { createTraceParent, formatTraceParent, parseTraceParent } from '../../../src/telemetry/traceparent.ts';
import { SeededRandom } from '../../../src/testing/seeded-random.ts';

const TRACE = '12345678901234567890123456789012';
const PARENT = '1234567890123456';

const CASES: readonly [name: string, value: string, valid: boolean][] = [
  ['sampled', `00-${TRACE}-${PARENT}-01`, true],
  ['not sampled', `00-${TRACE}-${PARENT}-00`, true],
  ['unknown flags', `00-${TRACE}-${PARENT}-ff`, true],
  ['test_traceparent_version_0xcc', `cc-${TRACE}-${PARENT}-01`, true],
  ['test_traceparent_version_0xcc with more', `cc-${TRACE}-${PARENT}-01-what-the-future-will-be-like`, true],
  ['test_traceparent_version_0xcc with a bad end', `cc-${TRACE}-${PARENT}-01.what-the-future-will-be-like`, false],
  ['test_traceparent_version_0xff', `ff-${TRACE}-${PARENT}-01`, false],
  ['test_traceparent_version_illegal_characters', `.0-${TRACE}-${PARENT}-01`, false],
  ['test_traceparent_version_too_long', `000-${TRACE}-${PARENT}-01`, false],
  ['test_traceparent_version_too_short', `0-${TRACE}-${PARENT}-01`, false],
  ['version 00 with more', `00-${TRACE}-${PARENT}-01-x`, false],
  ['test_traceparent_trace_id_all_zero', `00-${'0'.repeat(32)}-${PARENT}-01`, false],
  ['test_traceparent_trace_id_illegal_characters', `00-${TRACE.slice(1)}.-${PARENT}-01`, false],
  ['test_traceparent_trace_id_too_long', `00-${TRACE}3-${PARENT}-01`, false],
  ['test_traceparent_trace_id_too_short', `00-${TRACE.slice(1)}-${PARENT}-01`, false],
  ['upper case', `00-${TRACE.replace('1', 'A')}-${PARENT}-01`, false],
  ['test_traceparent_parent_id_all_zero', `00-${TRACE}-${'0'.repeat(16)}-01`, false],
  ['test_traceparent_parent_id_too_long', `00-${TRACE}-${PARENT}7-01`, false],
  ['test_traceparent_parent_id_too_short', `00-${TRACE}-${PARENT.slice(1)}-01`, false],
  ['test_traceparent_trace_flags_illegal_characters', `00-${TRACE}-${PARENT}-.0`, false],
  ['test_traceparent_trace_flags_too_long', `00-${TRACE}-${PARENT}-001`, false],
  ['test_traceparent_trace_flags_too_short', `00-${TRACE}-${PARENT}-1`, false],
  ['surrounding spaces', ` 00-${TRACE}-${PARENT}-01 `, false],
  ['nothing', '', false],
];

for (const [name, value, valid] of CASES) {
  test(`traceparent: ${name} is ${valid ? 'kept' : 'replaced'}`, () => {
    equal(parseTraceParent(value) !== undefined, valid);
  });
}

test('A span of a trace keeps its id and sampling, and has an id of its own', () => {
  const random = new SeededRandom(1);
  const parent = parseTraceParent(`00-${TRACE}-${PARENT}-00`);
  const child = createTraceParent(random, parent);
  deepEqual([child.traceId, child.sampled], [TRACE, false]);
  notEqual(child.parentId, PARENT);
  match(formatTraceParent(createTraceParent(random)), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});
