/** A hub and many members that have joined it and have nothing to do: P8, P9 and P10. */
import { setTimeout as wait } from 'node:timers/promises';
import { TestMesh } from '../../test/support/mesh.ts';
import type { Bench } from './bench.ts';
import { Members } from './membership.ts';
import { residentBytes } from './processes.ts';

/** What the last ones to join set going is over by then: the audit log is told of every 30 s. */
const SETTLE_MS = 35_000;

export interface Crowd {
  readonly mesh: TestMesh;
  readonly members: Members;
  /** Of the hub, before the first member. */
  readonly emptyBytes: number;
}

export async function startCrowd(bench: Bench): Promise<Crowd> {
  const mesh = await TestMesh.start();
  bench.keep(() => mesh.close());
  const emptyBytes = residentBytes(mesh.hub.pid);
  const members = await Members.start(mesh);
  bench.keep(async () => void (await members.program.kill()));
  bench.progress(`${bench.members} sidecars join`);
  const { seconds } = await members.join(bench.members);
  bench.progress(`they have joined within ${seconds.toFixed(0)} s`);
  bench.contenders.push({
    name: 'skein hub',
    description: `one hub process; ${bench.members} agents of the library in one process, with a service each`,
    configuration: ['skein hub --listen 127.0.0.1:0 --data DIR'],
    address: mesh.hubAddress,
    pids: () => ({ hub: [mesh.hub.pid] }),
  });
  return { mesh, members, emptyBytes };
}

export async function settle(bench: Bench): Promise<void> {
  bench.progress('waiting until nothing goes on any more');
  await wait(SETTLE_MS);
}
