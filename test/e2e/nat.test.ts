import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { createKeep } from '../support/keep.ts';
import type { Load, LoadResult } from '../support/load.ts';
import { TestMesh } from '../support/mesh.ts';
import { HUB_ADDRESS, type NamespaceName, NatLab, ROUTER_ADDRESSES, SITE_ADDRESSES } from '../support/netns.ts';
import { Nginx, TestAuthority, terminatingProxy } from '../support/nginx.ts';
import { helperPath, type Program, runProgram, startHelper } from '../support/process.ts';

const HUB_PORT = 7000;
const REQUESTS = 1_000;
const ECHOES = 200;
const TCP_CONNECTIONS = 50;

const noLab = lacking('network namespaces');

/** Runs a load from inside a namespace. */
async function loadFrom(lab: NatLab, place: NamespaceName, load: Load): Promise<LoadResult> {
  const client = startHelper('client', [JSON.stringify(load)], { within: lab.within(place) });
  const { code } = await client.waitForExit(120_000);
  assert.equal(code, 0, client.tail());
  return JSON.parse(client.stdout) as LoadResult;
}

/** Two sites that call each other; every answer is checked at the caller. */
async function exercise(
  name: string,
  lab: NatLab,
  mesh: TestMesh,
  hub: string,
  env: Record<string, string>,
): Promise<void> {
  const common = { hub, env };
  const [originA, originB] = await Promise.all([
    mesh.startOrigin('a', lab.within('site-a')),
    mesh.startOrigin('b', lab.within('site-b')),
  ]);
  const b = await mesh.startSidecar({
    ...common,
    name: 'sidecar b',
    within: lab.within('site-b'),
    services: ['there', 'raw'],
    expose: [`there=${originB.http}`, `raw=tcp://${originB.tcp}`],
  });
  const a = await mesh.startSidecar({
    ...common,
    name: 'sidecar a',
    within: lab.within('site-a'),
    services: ['here'],
    expose: [`here=${originA.http}`],
    tcp: ['raw'],
  });

  const there = { through: a.http, host: 'there.mesh' };
  const loads: Record<string, [NamespaceName, Load]> = {
    http: ['site-a', { kind: 'http', ...there, count: REQUESTS, concurrency: 16 }],
    posts: ['site-a', { kind: 'http', ...there, count: 100, concurrency: 8, bodyBytes: 20_000 }],
    byHost: ['site-a', { kind: 'http', ...there, form: 'host', count: 100, concurrency: 4 }],
    otherWay: ['site-b', { kind: 'http', through: b.http, host: 'here.mesh', count: 100, concurrency: 4 }],
    webSocket: ['site-a', { kind: 'websocket', ...there, count: ECHOES, sockets: 10 }],
    tcp: ['site-a', { kind: 'tcp', to: a.tcp('raw'), count: TCP_CONNECTIONS, concurrency: 5, bytes: 100_000 }],
  };
  const results: Record<string, LoadResult> = {};
  for (const [key, [place, load]] of Object.entries(loads)) results[key] = await loadFrom(lab, place, load);
  const dropped = { a: lab.droppedPackets('a'), b: lab.droppedPackets('b') };
  printFigures(name, { ...results, dropped });

  for (const [key, { failures, errors }] of Object.entries(results)) {
    assert.equal(failures, 0, `${key}: ${JSON.stringify(errors)}\n${a.program.tail()}\n${b.program.tail()}`);
  }
  assert.deepEqual(mesh.accidents(), []);
}

describe('NAT lab', () => {
  const keep = createKeep();

  it('Drops all that comes from outside and lets nothing out but to the hub', { skip: noLab }, async () => {
    const lab = keep(new NatLab([HUB_PORT]));
    const probes: Program[] = [];
    const listen = async (place: NamespaceName, at: string) => {
      const probe = startHelper('probe', ['listen', at], { within: lab.within(place) });
      probes.push(probe);
      await probe.ready();
    };
    const connect = async (place: NamespaceName, to: string) =>
      (await runProgram(process.execPath, [helperPath('probe'), 'connect', to], { within: lab.within(place) })).trim();

    await Promise.all([
      listen('hub', `0.0.0.0:${HUB_PORT}`),
      listen('hub', '0.0.0.0:7001'),
      listen('site-a', '0.0.0.0:80'),
      listen('site-b', '0.0.0.0:80'),
    ]);
    const attempts: [NamespaceName, string, string][] = [
      ['site-a', `${HUB_ADDRESS}:${HUB_PORT}`, `connected ${HUB_ADDRESS}`],
      ['site-b', `${HUB_ADDRESS}:${HUB_PORT}`, `connected ${HUB_ADDRESS}`],
      ['site-a', `${HUB_ADDRESS}:7001`, 'nothing'],
      ['site-a', `${ROUTER_ADDRESSES.b}:80`, 'nothing'],
      ['site-a', `${SITE_ADDRESSES.b}:80`, 'nothing'],
      ['hub', `${ROUTER_ADDRESSES.a}:80`, 'nothing'],
      ['hub', `${SITE_ADDRESSES.a}:80`, 'nothing'],
      ['hub', `${SITE_ADDRESSES.b}:80`, 'nothing'],
    ];
    const verdicts = await Promise.all(attempts.map(([from, to]) => connect(from, to)));
    attempts.forEach(([from, to, expected], i) => {
      assert.equal(verdicts[i], expected, `${from} to ${to}`);
    });
    assert.ok(lab.droppedPackets('a').inbound > 0 && lab.droppedPackets('b').inbound > 0);
    assert.ok(lab.droppedPackets('a').outbound > 0);
    await Promise.all(probes.map((probe) => probe.kill()));
  });

  it('Carries HTTP, WebSockets and TCP between two sites without one error', { skip: noLab }, async () => {
    const lab = keep(new NatLab([HUB_PORT]));
    const mesh = keep(await TestMesh.start({ listen: `${HUB_ADDRESS}:${HUB_PORT}`, within: lab.within('hub') }));
    await exercise('nat', lab, mesh, mesh.hubUrl, {});
  });

  it('Carries the same when nginx ends TLS in front of the hub', { skip: noLab || lacking('nginx') }, async () => {
    const lab = keep(new NatLab([443]));
    const mesh = keep(await TestMesh.start({ listen: `127.0.0.1:${HUB_PORT}`, within: lab.within('hub') }));
    const authority = new TestAuthority();
    keep({ close: () => authority.remove() });
    const certificate = authority.issue('hub', [`IP:${HUB_ADDRESS}`]);
    const nginx = await Nginx.start({
      http: terminatingProxy(`${HUB_ADDRESS}:443`, certificate, `127.0.0.1:${HUB_PORT}`),
      within: lab.within('hub'),
    });
    keep({ close: () => nginx.stop() });
    await exercise('nat behind nginx', lab, mesh, `wss://${HUB_ADDRESS}`, {
      NODE_EXTRA_CA_CERTS: authority.certificatePath,
    });
  });
});
