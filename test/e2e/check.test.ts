/** `skein check` as a process, from behind a NAT: what it finds out, and its exit codes. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { TestMesh } from '../support/mesh.ts';
import { HUB_ADDRESS, NatLab, ROUTER_ADDRESSES } from '../support/netns.ts';
import { startSkein } from '../support/process.ts';

const HUB_PORT = 7000;
const URL = `ws://${HUB_ADDRESS}:${HUB_PORT}`;

interface Step {
  readonly name: string;
  readonly state: string;
  readonly detail: string;
  readonly remedy?: string;
}

interface Report {
  readonly hubs: readonly { readonly steps: readonly Step[] }[];
  readonly nat: {
    readonly observedAddress: string | null;
    readonly keepsPort: boolean | null;
    readonly steps: readonly Step[];
  };
}

describe('skein check', { skip: lacking('network namespaces') }, () => {
  let lab: NatLab;
  let mesh: TestMesh;

  before(async () => {
    lab = new NatLab([HUB_PORT]);
    mesh = await TestMesh.start({ listen: `0.0.0.0:${HUB_PORT}`, within: lab.within('hub'), args: ['--url', URL] });
  });
  after(async () => {
    await mesh?.close();
    lab?.close();
  });

  async function check(...args: readonly string[]): Promise<{ code: number | null; report: Report }> {
    const program = startSkein(['check', '--hub', URL, '-o', 'json', ...args], {
      name: 'check',
      within: lab.within('site-a'),
      env: { HOME: mesh.folder },
    });
    mesh.programs.push(program);
    const { code } = await program.waitForExit();
    assert.notEqual(program.stdout, '', program.tail());
    return { code, report: JSON.parse(program.stdout) as Report };
  }

  it('Tells from behind a NAT how far it comes, and what the NAT makes of its connections', async () => {
    const { code, report } = await check();
    assert.equal(code, 0, JSON.stringify(report));
    const [{ steps = [] } = {}] = report.hubs;
    assert.deepEqual(
      steps.map(({ name, state }) => `${name} ${state}`),
      ['dns skipped', 'tcp ok', 'websocket ok', 'skein ok', 'clock ok'],
    );
    assert.ok(report.nat.observedAddress?.startsWith(`${ROUTER_ADDRESSES.a}:`), JSON.stringify(report.nat));
    assert.equal(report.nat.keepsPort, true);
    assert.match(report.nat.steps.at(-1)?.detail ?? '', /keeps the port/);
  });

  it('Ends with 4 when the hub is another than the token names, with 3 when it cannot be reached', async () => {
    const stranger = await TestMesh.start();
    mesh.programs.push(...stranger.programs);
    const refused = await check('--token', await stranger.createToken(['web']));
    await stranger.close();
    assert.equal(refused.code, 4, JSON.stringify(refused.report));
    lab.lose('a', 'ip protocol tcp');
    const dark = await check();
    lab.heal('a');
    assert.equal(dark.code, 3);
    const step = dark.report.hubs[0]?.steps.at(-1);
    assert.deepEqual([step?.name, step?.state], ['tcp', 'failed']);
    assert.match(step?.remedy ?? '', /firewall/);
    assert.equal(dark.report.nat.observedAddress, null);
  });
});
