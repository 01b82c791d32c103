/** Test kit: a whole mesh in one process, on a virtual clock and a seeded network in memory. */

import { nodePlatform } from './runtime/node/platform.ts';
import { createTestMesh as createTestMeshOn, type TestMesh, type TestMeshOptions } from './testing/test-mesh.ts';

export type * from './hub.ts';
export type * from './index.ts';
export type { TraceLine } from './testing/network-conditions.ts';
export type { TestHub, TestHubOptions } from './testing/test-hub.ts';
export type { TestMember, TestMemberOptions, TestNat } from './testing/test-member.ts';
export type { TestDuration, TestLogLine, TestMesh, TestMeshOptions, TestNode } from './testing/test-mesh.ts';

/**
 * A mesh with one hub, to test services with. What is waited for takes no real time, and the same seed gives the same run. While a mesh
 * is open, calls of `crypto.subtle` of this process are counted, which `close` ends.
 * @throws RangeError on a seed that is no 32-bit integer; SkeinError SKEIN_CONFIG
 * @example
 * const mesh = await createTestMesh({ seed: 7 });
 * const api = await mesh.addMember({ services: ['api'], nat: 'symmetric', latencyMs: 20 });
 * await api.serve('api', () => new Response('hello'));
 * const web = await mesh.addMember({ services: ['web'] });
 * const reply = await web.fetch('http://api.mesh/');
 * await mesh.close();
 */
export function createTestMesh(options: TestMeshOptions = {}): Promise<TestMesh> {
  return createTestMeshOn(nodePlatform(), options);
}
