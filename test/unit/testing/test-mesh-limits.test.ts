/** What a mesh of the test kit refuses, and what it does not wait for. */
import { equal, ok, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { createTestMesh, type TestMesh } from '../../../src/testing.ts';

async function startMesh(options: Parameters<typeof createTestMesh>[0] = {}) {
  const mesh = await createTestMesh(options);
  const api = await mesh.addMember({ services: ['api'] });
  return { mesh, api };
}

/** Closes the mesh whatever happens. */
async function within(mesh: TestMesh, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } finally {
    await mesh.close();
  }
}

test('createTestMesh() refuses a seed that is no 32-bit integer', async () => {
  for (const seed of [-1, 0.5, 2 ** 32, Number.NaN]) await rejects(createTestMesh({ seed }), RangeError);
  await (await createTestMesh({ seed: 2 ** 32 - 1 })).close();
  ok(!Object.hasOwn(crypto.subtle, 'digest'));
});

test('Latency, loss and durations out of range are refused', async () => {
  const { mesh, api } = await startMesh();
  await within(mesh, async () => {
    for (const latencyMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      throws(() => mesh.setLatency(api, latencyMs), RangeError);
      await rejects(mesh.addMember({ services: ['web'], latencyMs }), RangeError);
    }
    for (const ratio of [-0.1, 1.1, Number.NaN]) {
      throws(() => mesh.setLoss(api, ratio), RangeError);
      await rejects(mesh.addMember({ services: ['web'], loss: ratio }), RangeError);
    }
    throws(() => mesh.advance({ seconds: -1 }), RangeError);
    mesh.setLoss(api, 1);
    mesh.setLatency(api, 0);
  });
});

test('A call that nothing ever answers fails when patience is over', async () => {
  const { mesh, api } = await startMesh({ patienceMs: 5_000 });
  await within(mesh, async () => {
    await api.serve('api', () => new Promise(() => undefined));
    const web = await mesh.addMember({ services: ['web'] });
    const before = mesh.clock.monotonicMs();
    await rejects(web.fetch('http://api.mesh/'), / 5 virtual seconds/);
    equal(mesh.clock.monotonicMs(), before + 5_000);
    await rejects(mesh.run(new Promise(() => undefined)), / 5 virtual seconds/);
    await rejects(
      mesh.until(() => false),
      / 5 virtual seconds/,
    );
  });
});

test('Real work that is held takes no virtual time', async () => {
  const { mesh, api } = await startMesh();
  await within(mesh, async () => {
    const realWork = async (): Promise<string> => {
      for (let turn = 0; turn < 50; turn++) {
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
      }
      return `${mesh.clock.monotonicMs()}`;
    };
    await api.serve('api', async () => {
      const before = mesh.clock.monotonicMs();
      return new Response(`${before} ${await mesh.hold(realWork())}`);
    });
    const web = await mesh.addMember({ services: ['web'] });
    const [before, after] = (await (await web.fetch('http://api.mesh/')).text()).split(' ');
    equal(after, before);
  });
});

test('A handler that throws is answered for, and a name that was not granted is refused', async () => {
  const events: string[] = [];
  const { mesh, api } = await startMesh({ onLog: ({ from, event }) => events.push(`${from} ${event}`) });
  await within(mesh, async () => {
    await api.serve('api', () => {
      throw new Error('on purpose');
    });
    const web = await mesh.addMember({ services: ['web'] });
    equal((await web.fetch('http://api.mesh/')).headers.get('x-skein-reason'), 'internal');
    ok(events.includes('api-1 handler-failed'));
    await rejects(
      web.serve('api', () => new Response()),
      { code: 'SKEIN_NAME_NOT_GRANTED' },
    );
  });
});

test('Without a hub that runs nobody joins, and with one again everybody does', async () => {
  const { mesh } = await startMesh();
  await within(mesh, async () => {
    const [hub] = mesh.hubs;
    if (hub === undefined) throw new Error('no hub');
    mesh.kill(hub);
    mesh.kill(hub);
    await rejects(mesh.addMember({ services: ['web'] }), TypeError);
    await rejects(hub.drain(), TypeError);
    await mesh.restart(hub);
    await mesh.addMember({ services: ['web'] });
    equal(mesh.members.length, 2);
  });
});

test('Two meshes in one process do not hear of each other', async () => {
  const [one, two] = [await startMesh({ seed: 1 }), await startMesh({ seed: 2 })];
  await within(one.mesh, () =>
    within(two.mesh, async () => {
      await Promise.all([one.api.serve('api', () => new Response('1')), two.api.serve('api', () => new Response('2'))]);
      const webs = [await one.mesh.addMember({ services: ['web'] }), await two.mesh.addMember({ services: ['web'] })];
      const texts = webs.map(async (web) => (await web.fetch('http://api.mesh/')).text());
      equal((await Promise.all(texts)).join(), '1,2');
      await rejects(one.mesh.restart(two.mesh.hubs[0] as never), TypeError);
    }),
  );
});

test('A member that has left is no longer among the members, and is not called', async () => {
  const { mesh, api } = await startMesh();
  await within(mesh, async () => {
    await api.serve('api', () => new Response('hello'));
    const web = await mesh.addMember({ services: ['web'] });
    equal((await web.fetch('http://api.mesh/')).status, 200);
    await api.close({ drainMs: 1_000 });
    equal(mesh.members.length, 1);
    await mesh.advance({ seconds: 1 });
    equal((await web.fetch('http://api.mesh/')).headers.get('x-skein-reason'), 'no-such-service');
  });
});
