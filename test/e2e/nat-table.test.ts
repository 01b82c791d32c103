import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { TestMesh } from '../support/mesh.ts';
import { type Program, type Runtime, startHelper } from '../support/process.ts';
import type { NatPeerOptions, NatPeerResult } from '../support/programs/nat-peer.ts';
import { HUB_IP, type NatKind, PunchLab } from '../support/punch-lab.ts';

/** From the opening of the session, relayed, to the proof of both ends on the direct link: 3 s, and the work of a busy machine. */
const DIRECT_WITHIN_MS = 12_000;
const LATE_MS = [10, 100, 500, 2_000];

interface Run {
  /** Whose first dial is late, and by how much. */
  readonly late?: 'a' | 'b';
  readonly lateMs?: number;
  readonly runtimes?: readonly [Runtime, Runtime];
}

interface Lab {
  readonly name: string;
  readonly a: NatKind;
  readonly b: NatKind;
  readonly runs: readonly Run[];
  readonly expected: 'direct' | 'relayed';
}

const kind = (mapping: NatKind['mapping'], strangers: NatKind['strangers']): NatKind => ({ mapping, strangers });
const [drops, resets] = [kind('preserving', 'dropped'), kind('preserving', 'reset')];
const [symmetric, firewall] = [kind('symmetric', 'dropped'), kind('none', 'dropped')];
const skews: readonly Run[] = [
  {},
  ...LATE_MS.map((lateMs) => ({ late: 'b', lateMs }) as const),
  ...LATE_MS.map((lateMs) => ({ late: 'a', lateMs }) as const),
];
const runtimes: readonly Run[] = (
  [
    ['bun', 'node'],
    ['node', 'deno'],
    ['deno', 'bun'],
  ] as const
).map((pair) => ({ runtimes: pair }));

const LABS: readonly Lab[] = [
  { name: 'both drop strangers', a: drops, b: drops, runs: [...skews, ...runtimes], expected: 'direct' },
  { name: 'both reset strangers', a: resets, b: resets, runs: [...skews, ...runtimes], expected: 'direct' },
  {
    name: 'the caller drops, the callee resets',
    a: drops,
    b: resets,
    runs: [{}, { late: 'b', lateMs: 500 }],
    expected: 'direct',
  },
  {
    name: 'the caller resets, the callee drops',
    a: resets,
    b: drops,
    runs: [{}, { late: 'a', lateMs: 500 }],
    expected: 'direct',
  },
  { name: 'firewalls without NAT', a: firewall, b: firewall, runs: [{}], expected: 'direct' },
  { name: 'the caller is symmetric', a: symmetric, b: drops, runs: [{}], expected: 'relayed' },
  { name: 'the callee is symmetric', a: drops, b: symmetric, runs: [{}], expected: 'relayed' },
  { name: 'both are symmetric', a: symmetric, b: symmetric, runs: [{}], expected: 'relayed' },
];

const BOTH_NODE: readonly [Runtime, Runtime] = ['node', 'node'];
const skip = lacking('delay link');

describe('NAT table', () => {
  for (const { name, a, b, runs, expected } of LABS) {
    it(`Two members behind NATs: ${name}`, { skip }, async () => {
      const lab = await PunchLab.start({ a, b });
      let mesh: TestMesh | undefined;
      try {
        mesh = await TestMesh.start({ listen: `${HUB_IP}:7000`, within: lab.within('hub') });
        // The second one, beside the hub, to tell a member where it is seen.
        await mesh.startSidecar({
          ...{ name: 'public', within: lab.within('public'), services: ['public'], http: false, direct: true },
          args: ['--direct-listen', '0.0.0.0:7443'],
        });
        const tokens = { a: await mesh.createToken(['a']), b: await mesh.createToken(['b']) };
        for (const [index, run] of runs.entries()) {
          const { result, tail } = await observe(lab, mesh, run, index === 0 ? tokens : undefined);
          const { late = null, lateMs = 0, runtimes: pair = BOTH_NODE } = run;
          printFigures('nat table', { name, late, lateMs, runtimes: pair, ...result });
          assert.equal(result.failures, 0, tail);
          assert.equal(result.state, expected, `${JSON.stringify(result)}\n${tail}`);
          if (expected === 'relayed') {
            assert.match(result.reason ?? '', /symmetric/);
            continue;
          }
          assert.equal(result.kind, 'punched');
          const { attachedMs = Number.POSITIVE_INFINITY } = result;
          assert.ok(attachedMs <= DIRECT_WITHIN_MS, JSON.stringify({ run, ...result }));
        }
        assert.deepEqual(mesh.accidents(), []);
      } finally {
        await mesh?.close();
        lab.close();
      }
    });
  }
});

/** One pair of fresh processes; only the first of a lab need tokens. */
async function observe(
  lab: PunchLab,
  mesh: TestMesh,
  { late, lateMs = 0, runtimes: [left, right] = BOTH_NODE }: Run,
  tokens: Readonly<Record<'a' | 'b', string>> | undefined,
): Promise<{ result: NatPeerResult; tail: string }> {
  const start = (end: 'a' | 'b', runtime: Runtime): Program => {
    const options: NatPeerOptions = {
      ...{ end, hub: mesh.hubUrl, token: tokens?.[end], data: join(mesh.folder, end) },
      lateMs: late === end ? lateMs : 0,
    };
    const within = lab.within(`site-${end}`);
    const program = startHelper('nat-peer', [JSON.stringify(options)], {
      ...{ name: end, within, runtime },
    });
    mesh.programs.push(program);
    return program;
  };
  const callee = start('b', right);
  await callee.ready();
  const caller = start('a', left);
  const { code } = await caller.waitForExit();
  const tail = `${caller.tail()}\n${callee.tail()}\n${mesh.hub.tail()}`;
  assert.equal(code, 0, tail);
  await callee.kill();
  return { result: JSON.parse(caller.stdout) as NatPeerResult, tail };
}
