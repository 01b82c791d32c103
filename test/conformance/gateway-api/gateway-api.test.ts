/** Conformance with Gateway API in a mesh: each case under its upstream id, and every id of the list accounted for. */
import { deepEqual } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { currentHost } from '../../runtime/capabilities.ts';
import { printFigures } from '../../support/figures.ts';
import { type Case, GatewayMesh } from './harness.ts';
import { BINDING_CASES } from './mesh-binding.ts';
import { FILTER_CASES } from './mesh-filters.ts';
import { MATCHING_CASES } from './mesh-matching.ts';
import { TRAFFIC_CASES } from './mesh-traffic.ts';
import { NORTH_SOUTH_BACKENDS } from './north-south-backends.ts';
import { NORTH_SOUTH_FILTERS } from './north-south-filters.ts';
import { NORTH_SOUTH_MATCHING } from './north-south-matching.ts';
import { NORTH_SOUTH_TIME } from './north-south-time.ts';
import { EXCEPTIONS, MESH_IDS, MISSED_UPSTREAM_IDS, NORTH_SOUTH_IDS, REQUIRED_IDS } from './required.ts';

const CASES: readonly Case[] = [
  ...BINDING_CASES,
  ...MATCHING_CASES,
  ...FILTER_CASES,
  ...TRAFFIC_CASES,
  ...NORTH_SOUTH_MATCHING,
  ...NORTH_SOUTH_BACKENDS,
  ...NORTH_SOUTH_FILTERS,
  ...NORTH_SOUTH_TIME,
];

let mesh: GatewayMesh;
const passed: string[] = [];
const closing: (() => unknown)[] = [];
before(async () => {
  mesh = await GatewayMesh.start({ after: (close) => void closing.unshift(close as () => unknown) });
});
after(async () => {
  for (const close of closing) await close();
});

for (const each of CASES) {
  test(each.id, async (t) => {
    await mesh.run(t, each);
    passed.push(each.id);
  });
}

test('Every id of the list has passed, or is an exception with its reason', () => {
  const excepted = Object.keys(EXCEPTIONS);
  deepEqual([...passed, ...excepted].sort(), [...REQUIRED_IDS].sort());
  printFigures('Gateway API conformance', {
    runtime: currentHost().runtime,
    mesh: `${passed.filter((id) => id.startsWith('Mesh')).length}/${MESH_IDS.length}`,
    northSouth: `${passed.filter((id) => /^[a-z]+route-/.test(id)).length}/${NORTH_SOUTH_IDS.length}`,
    missedUpstream: `${passed.filter((id) => id.startsWith('kuma')).length}/${MISSED_UPSTREAM_IDS.length}`,
    exceptions: excepted.length,
  });
});
