/** Streams and requests between two sites, relayed or direct, while the network between them changes (punch-lab.ts). */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { printFigures } from './figures.ts';
import { assertUnbroken } from './lasting-kinds.ts';
import type { LastingResult } from './lasting-streams.ts';
import { type Sidecar, TestMesh } from './mesh.ts';
import { runSkein, startHelper } from './process.ts';
import { HUB_IP, type NatKind, PunchLab } from './punch-lab.ts';
import { countIdsWithin, judgePosts, SteadyClient } from './steady-client.ts';

const STREAMS = 10;
const LINE_EVERY_MS = 50;
const REQUESTS_PER_SECOND = 20;
/** Before the change, and behind it: time enough for what is slow to be found out. */
const BEFORE_MS = 1_000;
const BEHIND_MS = 6_000;
/** A punched path is found, proven and measured within three seconds; a busy machine needs longer. */
const DIRECT_WITHIN_MS = 60_000;
const NAT: NatKind = { mapping: 'preserving', strangers: 'dropped' };

type Way = 'relay' | 'direct';

export interface NetworkChange {
  readonly name: string;
  readonly make: (lab: PunchLab) => void;
}

/** Changes that reach streams by relay and direct ones alike. */
export const CHANGES: readonly NetworkChange[] = [
  { name: "the caller's NAT gives other ports", make: (lab) => lab.remapPorts('a') },
  { name: "the callee's NAT gives other ports", make: (lab) => lab.remapPorts('b') },
  { name: "the caller's NAT gets another address", make: (lab) => lab.renumber('a') },
  { name: "the callee's NAT gets another address", make: (lab) => lab.renumber('b') },
  { name: "the caller's host gets another address", make: (lab) => lab.readdress('a') },
  { name: "the caller's NAT forgets, and says nothing", make: (lab) => lab.forgetSilently('a') },
];

/** What `skein paths` tells of the one peer. */
interface Ways {
  readonly switches: number;
  readonly resumes: number;
  readonly paths: readonly { readonly kind: Way; readonly how: string | null; readonly active: boolean }[];
}

/** Makes the change under streams that go that way, and fails when one breaks, or loses or doubles anything. */
export async function changeUnderStreams(way: Way, change: NetworkChange): Promise<LastingResult> {
  const lab = await PunchLab.start({ a: NAT, b: NAT });
  let mesh: TestMesh | undefined;
  try {
    mesh = await TestMesh.start({ listen: `${HUB_IP}:7000`, within: lab.within('hub') });
    return await run(way, change, lab, mesh);
  } finally {
    await mesh?.close();
    lab.close();
  }
}

async function run(way: Way, { name, make }: NetworkChange, lab: PunchLab, mesh: TestMesh): Promise<LastingResult> {
  const direct = way === 'direct';
  const origin = await mesh.startOrigin('origin', lab.within('site-b'));
  await mesh.startSidecar({
    ...{ name: 'callee', within: lab.within('site-b'), direct, http: false },
    services: ['api', 'lines'],
    expose: [`api=${origin.http}`, `lines=tcp://${origin.tcp}`],
  });
  const caller = await mesh.startSidecar({
    ...{ name: 'caller', within: lab.within('site-a'), direct, services: ['client'], tcp: ['lines'] },
  });
  const within = lab.within('site-a');
  const talk = startHelper('talk', [caller.tcp('lines'), String(STREAMS), String(LINE_EVERY_MS)], {
    ...{ name: 'talk', within, stdin: true },
  });
  mesh.programs.push(talk);
  await talk.ready();
  const target = { through: caller.http, host: 'api.mesh', perSecond: REQUESTS_PER_SECOND };
  const client = await SteadyClient.start(target, 'requests', within);
  mesh.programs.push(client.program);

  const startedMs = performance.now();
  const isOnWay = ({ paths }: Ways): boolean => paths.some(({ kind, active }) => kind === way && active);
  let before = await askWays(caller, within);
  while (!isOnWay(before)) {
    assert.ok(performance.now() - startedMs < DIRECT_WITHIN_MS, JSON.stringify(before));
    before = await askWays(caller, within);
  }
  await wait(BEFORE_MS);
  make(lab);
  await wait(BEHIND_MS);
  talk.endInput();
  const { code } = await talk.waitForExit(90_000);
  assert.equal(code, 0, talk.tail());
  const streams = JSON.parse(talk.stdout.trim().split('\n').at(-1) ?? '') as LastingResult;
  const { answered, failed, slow: _, ...requests } = await client.finish();
  const posts = judgePosts({ answered, failed }, await countIdsWithin(lab.within('site-b'), origin.http));
  const after = await askWays(caller, within);

  printFigures(`NAT change: ${name}`, {
    ...{ way, how: before.paths.find(({ active }) => active)?.how, longestStallMs: streams.maxMs },
    ...{ switches: after.switches - before.switches, resumes: after.resumes - before.resumes },
    ...{ after: after.paths.map(({ kind, active }) => `${kind}${active ? ', in use' : ''}`) },
    ...{ streams, requests: { ...requests, ...posts } },
  });
  assertUnbroken(streams, 'raw', `${caller.program.tail()}\n${mesh.hub.tail()}`);
  assert.deepEqual([requests.failedGets, posts.twice, posts.answeredButUnseen], [0, 0, 0], JSON.stringify(requests));
  assert.deepEqual(mesh.accidents(), []);
  return streams;
}

async function askWays(sidecar: Sidecar, within: readonly string[]): Promise<Ways> {
  const address = new URL(sidecar.addresses.admin ?? '').host;
  const env = { SKEIN_SIDECAR_ADMIN_TOKEN: sidecar.adminToken() };
  const { code, program } = await runSkein(['paths', '--sidecar', address, '-o', 'json'], { within, env });
  assert.equal(code, 0, program.tail());
  const { peers } = JSON.parse(program.stdout) as { peers: readonly Ways[] };
  return peers[0] ?? assert.fail(program.stdout);
}
