/** The same seed gives the same run, whatever happens in it. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { createTestMesh, type TestMember, type TestMesh } from '../../../src/testing.ts';
import { printFigures } from '../../support/figures.ts';

type Story = (mesh: TestMesh) => Promise<void>;

const names = ['a', 'b', 'c'];

/** Six members, two for each service, all NATs; everybody asks everybody. */
async function populate(mesh: TestMesh) {
  const members: TestMember[] = [];
  for (const [i, nat] of (['cone', 'resetting', 'symmetric', 'public', 'blocked', 'cone'] as const).entries()) {
    const service = names[i % 3] as string;
    const member = await mesh.addMember({ services: [service], nat, latencyMs: 5 * i });
    await member.serve(service, async (request) => new Response(await request.text()));
    members.push(member);
  }
  const ask = async (): Promise<void> => {
    const asked = members.flatMap((member) =>
      names.map(async (name) => {
        const reply = await member.fetch(`http://${name}.mesh/`, { method: 'POST', body: name.repeat(5_000) });
        await reply.text();
      }),
    );
    await Promise.all(asked);
  };
  return { members, ask };
}

const STORIES: Readonly<Record<string, Story>> = {
  async 'nothing happens'(mesh) {
    const { ask } = await populate(mesh);
    for (let i = 0; i < 5; i++) {
      await ask();
      await mesh.advance({ seconds: 10 });
    }
  },
  async 'packets are lost'(mesh) {
    const { members, ask } = await populate(mesh);
    for (const member of members) mesh.setLoss(member, 0.1);
    for (let i = 0; i < 5; i++) await ask();
  },
  async 'connections are cut, hosts parted'(mesh) {
    const { members, ask } = await populate(mesh);
    await ask();
    await mesh.advance({ seconds: 5 });
    mesh.partition(members.slice(0, 2), members.slice(2, 4));
    await ask();
    for (const member of members) mesh.cut(member);
    await ask();
    mesh.heal();
    await mesh.advance({ minutes: 3 });
    await ask();
  },
  async 'hubs come and go'(mesh) {
    const [first] = mesh.hubs;
    const second = await mesh.addHub();
    const { members, ask } = await populate(mesh);
    await ask();
    if (first !== undefined) mesh.kill(first);
    await ask();
    if (members[0] !== undefined) mesh.kill(members[0]);
    if (first !== undefined) await mesh.restart(first);
    await mesh.advance({ minutes: 1 });
    await second.drain();
    await mesh.advance({ minutes: 1 });
    await ask();
  },
  async 'hours pass'(mesh) {
    const member = await mesh.addMember({ services: ['a'] });
    await member.serve('a', () => new Response('a'));
    const other = await mesh.addMember({ services: ['b'] });
    for (let hour = 0; hour < 3; hour++) {
      await (await other.fetch('http://a.mesh/')).text();
      await mesh.advance({ hours: 1 });
    }
  },
};

async function trace(seed: number, story: Story): Promise<string[]> {
  const lines: string[] = [];
  const mesh = await createTestMesh({
    seed,
    onTrace: ({ atMs, what, from, to, bytes }) => lines.push(`${atMs} ${what} ${from} ${to} ${bytes}`),
    onLog: ({ atMs, from, event }) => lines.push(`${atMs} ${from} ${event}`),
  });
  try {
    await story(mesh);
  } finally {
    await mesh.close();
  }
  return lines;
}

for (const [name, story] of Object.entries(STORIES)) {
  test(`The same seed gives the same trace: ${name}`, async () => {
    const [first, second] = [await trace(3, story), await trace(3, story)];
    const differs = first.findIndex((line, i) => line !== second[i]);
    deepEqual(second.slice(differs, differs + 10), first.slice(differs, differs + 10), `from line ${differs} on`);
    equal(second.length, first.length);
    ok(first.length > 1_000);
    printFigures('test mesh, trace', { story: name, lines: first.length });
  });
}
