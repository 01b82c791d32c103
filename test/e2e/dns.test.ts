/** A machine whose name server is the sidecar: programs that know nothing of a mesh call its services by name, and the world as before. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { TestMesh } from '../support/mesh.ts';
import { HUB_ADDRESS, NatLab } from '../support/netns.ts';
import { runProgram } from '../support/process.ts';

const HUB_PORT = 7000;
const noLab = lacking('network namespaces');

describe('DNS of a machine', () => {
  it('Leads curl to services by name, without a proxy and without a port', { skip: noLab }, async (t) => {
    const lab = new NatLab([HUB_PORT]);
    t.after(() => lab.close());
    const inside = lab.within('site-a');
    // `ip netns exec` mounts what stands here over /etc, for programs of this namespace alone.
    const etc = `/etc/netns/${inside.at(-1)}`;
    mkdirSync(etc, { recursive: true });
    t.after(() => rmSync(etc, { recursive: true, force: true }));
    writeFileSync(`${etc}/resolv.conf`, 'nameserver 127.0.0.1\noptions timeout:10 attempts:2\n');

    const mesh = await TestMesh.start({ listen: `0.0.0.0:${HUB_PORT}`, within: lab.within('hub') });
    t.after(() => mesh.close());
    const hub = `ws://${HUB_ADDRESS}:${HUB_PORT}`;
    const origin = await mesh.startOrigin('b', lab.within('site-b'));
    await mesh.startSidecar({
      ...{ name: 'sidecar b', hub, within: lab.within('site-b'), http: false },
      ...{ services: ['there'], expose: [`there=${origin.http}`] },
    });
    const a = await mesh.startSidecar({
      ...{ name: 'sidecar a', hub, within: inside, http: false, services: ['web'] },
      args: ['--listen-dns', '127.0.0.1:53'],
    });
    assert.equal(a.addresses.dns, '127.0.0.1:53');

    const run = (command: string, ...args: string[]): Promise<string> => runProgram(command, args, { within: inside });
    const found = (await run('getent', 'ahostsv4', 'there.default.mesh')).trim().split(/\s+/)[0] ?? '';
    assert.match(found, /^127\.80\./);
    const startedMs = performance.now();
    const answer = await run('curl', '-sS', '-i', 'http://there.mesh/echo');
    printFigures('dns', { address: found, curlMs: Math.round(performance.now() - startedMs) });
    assert.match(answer, /^HTTP\/1\.1 200 /);
    await assert.rejects(run('getent', 'ahostsv4', 'nobody.mesh'));
    assert.deepEqual(mesh.accidents(), []);
  });
});
