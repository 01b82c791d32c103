/** A deadline on its way through the mesh: shown to applications, handed on by them, and the end of the work at each hop. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Agent } from '../../../src/agent/agent.ts';
import { type Fields, getField } from '../../../src/http/head.ts';
import { RecordingHandler, type ReplyRecorder, send } from '../../support/http.ts';
import { VirtualMesh } from '../../support/virtual-mesh.ts';

/** `web` calls `api`, whose application takes 300 ms and calls `db` with what it was given, which never answers. */
async function chain(t: TestContext) {
  const mesh = new VirtualMesh(t);
  await mesh.startHub();
  const [db, api, web] = [await mesh.join(['db']), await mesh.join(['api']), await mesh.join(['web'])];
  const atDb = new RecordingHandler();
  await mesh.serve(db.agent, 'db.default', { protocol: 'http', handler: atDb });
  const further: ReplyRecorder[] = [];
  const atApi = new RecordingHandler(({ head, complete }) => {
    const handOn = (name: string): readonly string[] => {
      const value = getField(head.fields, name);
      return value === undefined ? [] : [name, value];
    };
    const fields = ['content-type', 'grpc-timeout', 'x-skein-deadline'].flatMap(handOn);
    mesh.clock.setTimer(300, () => {
      const reply = send(api.agent.outbound, { authority: 'db.mesh', fields }, complete);
      further.push(reply);
    });
  });
  await mesh.serve(api.agent, 'api.default', { protocol: 'http', handler: atApi });
  for (const [agent, service] of [
    [web.agent, 'api.default'],
    [api.agent, 'db.default'],
  ] as const) {
    await mesh.run(agent.mirror.watch(service));
    await mesh.until(() => agent.mirror.endpoints(service).length === 1);
  }
  return { mesh, web: web.agent, atApi, atDb, further };
}

function ask(agent: Agent, fields: Fields): ReplyRecorder {
  return send(agent.outbound, { fields });
}

for (const fields of [
  ['x-skein-deadline', '1s'],
  ['content-type', 'application/grpc', 'grpc-timeout', '1S'],
]) {
  test(`${fields.at(-2)}: each hop knows what is left, and all end together`, async (t) => {
    const { mesh, web, atApi, atDb, further } = await chain(t);
    const begunMs = mesh.clock.epochMs();
    const reply = ask(web, fields);
    await mesh.until(() => reply.isOver);
    equal(mesh.clock.epochMs() - begunMs, 1_000);
    equal(reply.error?.code, 'SKEIN_DEADLINE');
    await mesh.clock.advanceAsync(5);
    deepEqual(
      [atApi, atDb].map(({ seen }) => [seen.length, seen[0]?.aborted !== undefined]),
      [
        [1, true],
        [1, true],
      ],
    );
    equal(further[0]?.error?.code, 'SKEIN_DEADLINE');
    const [first, second] = [atApi, atDb].map(({ seen }) =>
      Number(getField(seen[0]?.head.fields ?? [], 'x-skein-deadline')),
    ) as [number, number];
    // Each hop takes a little, and rounds up.
    ok(Math.abs(first - begunMs - 1_000) <= 10, `${first - begunMs}`);
    ok(Math.abs(second - begunMs - 1_000) <= 10, `${second - begunMs}`);
    const grpc = getField(atDb.seen[0]?.head.fields ?? [], 'grpc-timeout');
    if (fields.includes('grpc-timeout')) ok(/^[67][0-9]{5}u$/.test(grpc ?? ''), grpc);
  });
}

test('Work ends by its deadline also where nothing can be heard of who asked', async (t) => {
  const { mesh, web, atApi } = await chain(t);
  const links = mesh.network.links.length;
  ok(links >= 3);
  ask(web, ['x-skein-deadline', '1s']);
  await mesh.until(() => atApi.seen.length === 1);
  for (const link of mesh.network.links.slice(0, links)) link.blackhole();
  await mesh.clock.advanceAsync(1_100);
  equal(atApi.seen[0]?.aborted?.code, 'SKEIN_DEADLINE');
});

test('A deadline that is none is refused, and one of a caller cannot be forged into an answer', async (t) => {
  const { mesh, web, atApi } = await chain(t);
  const reply = ask(web, ['x-skein-deadline', 'tomorrow']);
  await mesh.until(() => reply.isOver);
  deepEqual([reply.error?.code, atApi.seen.length], ['SKEIN_BAD_REQUEST', 0]);
});
