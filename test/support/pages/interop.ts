/** A page as a party of the interop matrix: `join` and `call` are there for the test that drives it. */
import { createMesh, type Mesh } from '../../../src/browser.ts';
import { callParty, type Findings, serveParty } from '../interop/party.ts';

let mesh: Mesh | undefined;

Object.assign(globalThis, {
  join: async (hub: string, name: string, token: string): Promise<void> => {
    mesh = await createMesh({ hub, token });
    await serveParty(mesh, name, navigator.userAgent.replace(/^.*Chrome\/(\d+).*$/, 'Chromium $1'));
  },
  call: async (name: string): Promise<Findings> => {
    if (mesh === undefined) throw new TypeError('It has not joined');
    return callParty(mesh, name);
  },
});
