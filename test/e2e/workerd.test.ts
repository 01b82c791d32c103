import { equal } from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { LocalMesh } from '../support/local-mesh.ts';
import { Workerd } from '../support/workerd.ts';

const noWorkerd = lacking('workerd');

describe('A Worker without an object', () => {
  it('Joins for the time of a request, calls a service, and leaves', { skip: noWorkerd }, async (t) => {
    const mesh = await LocalMesh.start(t);
    const api = await mesh.join(['api']);
    await api.mesh.serve('api', (request) => new Response(`hello ${request.headers.get('x-skein-client-id')}`));
    const vars = { HUB: mesh.hub.url, TARGET: 'http://api.mesh', TOKEN: await mesh.token(['edge']) };
    const worker = await Workerd.start({ entry: 'test/support/workers/caller.ts', vars });
    t.after(() => worker.close());

    const reply = await fetch(`${worker.url}/`);
    equal(await reply.text(), 'hello spiffe://skein.mesh/ns/default/sa/edge');
    const again = await fetch(`${worker.url}/`);
    equal(again.status, 401);
    equal(await again.text(), '{"code":"SKEIN_TOKEN_USED"}');
  });
});
