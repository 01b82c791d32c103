/** A sidecar with real keys that takes what is not its own and asks for more than its share: refused by name or quota, and nobody else feels it. */
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { encodeRequestHead, MAX_BLOCK_BYTES } from '../../src/http/head-codec.ts';
import { nodePlatform } from '../../src/node.ts';
import { STREAM_KIND } from '../../src/tunnel/stream.ts';
import { printFigures } from '../support/figures.ts';
import { createIdentity, HubClient } from '../support/hub-client.ts';
import { ask, percentiles } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { type Program, startHelper } from '../support/process.ts';
import type { Flood, HostileOptions } from '../support/programs/hostile-member.ts';
import { Pump } from '../support/tunnel.ts';

/** Each flood of a quota lasts so long, beside an honest client. */
const FLOOD_MS = 1_500;
/** So often a flood of members in another process, and then as much work there that reaches nobody; each lasts so long. */
const ROUNDS = 3;
const WINDOW_MS = 1_000;
/** Identities that attack, one after the other. */
const MEMBERS = 12;
/** Streams of one identity that come through whatever is done: all that it may have, and the larger burst of what is refused or taken back. */
const MOST_AT_ONCE = 1_024 + 2_048;
/** And in each second: what is refused at the pace of its identity, or after a second. */
const MOST_PER_SECOND = 500 + 1_024;
/** Whatever is tried, it is over by then: a test that hangs says where. */
const STEP_MS = 60_000;
const FIELDS = 1_000_000;
const RELAYED_BYTES = 16 * 1024 * 1024;

describe('A hostile sidecar', () => {
  const platform = nodePlatform();
  let mesh: TestMesh;
  let a: Sidecar;
  let b: Sidecar;
  let instance = '';
  let rogue: HubClient;
  /** How long the honest client waited for its answers, in milliseconds. */
  const times: number[] = [];
  const failures: string[] = [];
  const agent = new Agent({ keepAlive: true });

  before(async () => {
    const config = join(mkdtempSync(join(tmpdir(), 'skein-test-')), 'hub.yaml');
    writeFileSync(config, 'quotas: { relayedBytesPerSecond: 2000000, relayedBytesBurst: 2000000 }\n');
    mesh = await TestMesh.start({ args: ['--config', config] });
    const plain = await mesh.startOrigin('plain');
    b = await mesh.startSidecar({ name: 'b', services: ['plain'], expose: [`plain=${plain.http}`], http: false });
    instance = String((await b.program.waitForLog(({ event }) => event === 'sidecar-ready')).instance);
    a = await mesh.startSidecar({ name: 'a', services: ['client'] });
    const names = Array.from({ length: 65 }, (_, i) => `rogue-${i}`);
    rogue = await HubClient.connect(platform, mesh.hubUrl, await createIdentity(), await mesh.createToken(names));
  });
  after(async () => {
    agent.destroy();
    await mesh?.close();
  });

  async function startMembers(name: string): Promise<Program> {
    const tokens: string[] = [];
    for (let i = 0; i < MEMBERS; i++) {
      const made = (await mesh.post('/v1/tokens', { services: [`${name}-${i}`] })) as { token: string };
      tokens.push(made.token);
    }
    const options: HostileOptions = { hub: mesh.hubUrl, tokens, instance };
    const program = startHelper('hostile-member', [JSON.stringify(options)], { name: `members, ${name}`, stdin: true });
    await program.ready();
    return program;
  }

  async function step<T>(name: string, run: Promise<T>): Promise<T> {
    const over = new AbortController();
    const late = wait(STEP_MS, undefined, { signal: over.signal }).then(() => {
      throw new Error(`${name}: not over after ${STEP_MS} ms`);
    });
    late.catch(() => undefined); // it is called off
    return Promise.race([run, late]).finally(() => over.abort());
  }

  async function askUntil(endMs: number, into: number[]): Promise<void> {
    while (performance.now() < endMs) {
      const started = performance.now();
      const { status, body } = await ask({ through: a.http, host: 'plain.mesh', timeoutMs: STEP_MS, agent });
      if (status !== 200 || !body.toString().startsWith('hello from plain')) failures.push(`${status} ${body}`);
      into.push(performance.now() - started);
    }
  }

  /** Repeats `once` for a while beside the honest client, and counts what came of it by the code of the refusal. */
  async function flood(name: string, once: () => Promise<unknown>, tracks = 8): Promise<Record<string, number>> {
    const outcomes: Record<string, number> = {};
    const endMs = performance.now() + FLOOD_MS;
    const attack = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const outcome = await once().then(
          () => 'done',
          ({ code, details }) => `${code}${details?.quota === undefined ? '' : ` ${details.quota}`}`,
        );
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      }
    };
    await step(name, Promise.all([askUntil(endMs, times), ...Array.from({ length: tracks }, attack)]));
    printFigures(`hostile sidecar, ${name}`, outcomes);
    return outcomes;
  }

  const register = (services: readonly string[], labels: Record<string, string> = {}): Promise<unknown> =>
    rogue.channel.call('register', {
      instance: rogue.identity.instance,
      services: services.map((service) => ({ service, port: 80, protocol: 'http' as const, healthy: true, labels })),
    });

  it('cannot take the name, the instance or the routes of another', async () => {
    await step('name', assert.rejects(register(['plain.default']), { code: 'SKEIN_NAME_NOT_GRANTED' }));
    const asOther = rogue.channel.call('register', { instance, services: [] });
    await step('instance', assert.rejects(asOther, { code: 'SKEIN_PROTOCOL' }));
    const thief = { ...(await createIdentity()), instance };
    const stolen = HubClient.connect(platform, mesh.hubUrl, thief, await mesh.createToken(['thief']));
    await step('stolen instance', assert.rejects(stolen, { code: 'SKEIN_CONFLICT' }));
    const route = await step(
      'route',
      fetch(`http://${mesh.hubAddress}/v1/apply`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${rogue.identity.wit}` },
        body: JSON.stringify([{ kind: 'HTTPRoute', metadata: { name: 'mine' }, spec: {} }]),
      }),
    );
    assert.ok(route.status === 401 || route.status === 404, `${route.status}`);
    const { body } = await ask({ through: a.http, host: 'plain.mesh' });
    assert.match(body.toString(), /hello from plain/);
  });

  it('registers 64 services and not 65', async () => {
    const names = Array.from({ length: 65 }, (_, i) => `rogue-${i}.default`);
    await step('64', register(names.slice(0, 64)));
    await step(
      '65',
      assert.rejects(register(names), { code: 'SKEIN_LIMIT', details: { quota: 'services', limit: 64 } }),
    );
  });

  it('floods the catalogue and the control stream up to its quotas', async () => {
    let round = 0;
    const catalogue = await flood('catalogue', () => register(['rogue-0.default'], { round: String(round++) }));
    assert.ok((catalogue['SKEIN_LIMIT calls'] ?? 0) > 0, JSON.stringify(catalogue));
    await flood('control messages', () => rogue.channel.call('watch', { services: ['plain.default'] }), 32);
    assert.equal(rogue.channel.isClosed, false, 'it is slowed, not cut');
  });

  it('and others, who ask for streams and send messages as fast as they can, get their share, and nobody else feels it', async () => {
    let tried = 0;
    for (const attack of ['refused', 'reset', 'beyond', 'frames', 'control', 'strangers'] as const) {
      // Others each time: who has broken the protocol is not heard any more.
      const members = await startMembers(attack);
      const [beside, alone]: [number[], number[]] = [[], []];
      const floods: Flood[] = [];
      const started = performance.now();
      const cpu = { callee: { beside: 0, alone: 0 }, hub: { beside: 0, alone: 0 } };
      const window = async (kind: 'beside' | 'alone', command: object): Promise<Flood> => {
        const before = { callee: b.program.cpuSeconds(), hub: mesh.hub.cpuSeconds() };
        const asked = askUntil(performance.now() + WINDOW_MS, kind === 'beside' ? beside : alone);
        const [flood] = await step(attack, Promise.all([members.command<Flood>({ ...command, ms: WINDOW_MS }), asked]));
        const seconds = (ROUNDS * WINDOW_MS) / 1_000;
        cpu.callee[kind] += (b.program.cpuSeconds() - before.callee) / seconds;
        cpu.hub[kind] += (mesh.hub.cpuSeconds() - before.hub) / seconds;
        return flood;
      };
      for (let round = 0; round < ROUNDS; round++) {
        const flood = await window('beside', { attack });
        floods.push(flood);
        // Two processors are shared by all: as much work there, but aimed at nobody, is what to compare with.
        await window('alone', { attack: 'nowhere', share: flood.share });
      }
      const seconds = (performance.now() - started) / 1_000;
      const streams = floods.reduce((sum, flood) => sum + flood.tried, 0);
      const sessions = floods.reduce((sum, flood) => sum + flood.sessions, 0);
      tried += streams;
      const figures = { beside: percentiles(beside), alone: percentiles(alone) };
      const p99Ratio = figures.beside.p99Ms / figures.alone.p99Ms;
      printFigures(`hostile sidecar, ${attack}`, { tried: streams, sessions, p99Ratio, ...figures, cpu });
      assert.ok(beside.length > alone.length / 8, `${beside.length} answers beside it, ${alone.length} without`);
      await members.kill();
      const most = sessions * MOST_AT_ONCE + seconds * MOST_PER_SECOND;
      if (attack === 'refused' || attack === 'reset') assert.ok(streams <= most, `${streams} streams`);
      if (attack === 'beyond' || attack === 'frames') assert.ok(sessions <= MEMBERS * (4 + seconds), `${sessions}`);
    }
    printFigures('hostile sidecar, streams and messages', { tried });
    assert.ok(tried > 100_000, `${tried} were tried`);
  });

  it('relays no more bytes than its share', async () => {
    const block = new Uint8Array(MAX_BLOCK_BYTES);
    const length = encodeRequestHead(block, {
      ...{ method: 'POST', scheme: 'http', authority: 'plain.mesh', path: '/sha256', upgrade: undefined, fields: [] },
      service: 'plain.default:80',
    });
    const session = await step('session', rogue.dial(instance));
    const started = performance.now();
    const pump = new Pump(session.openStream(STREAM_KIND.http, block, length, false), RELAYED_BYTES);
    await flood('relayed bytes', () => wait(50), 1);
    for (const endMs = started + STEP_MS; !pump.ended && performance.now() < endMs; ) await wait(50);
    const bytesPerSecond = Math.round((1_000 * RELAYED_BYTES) / (performance.now() - started));
    const crossed = /quota_crossed_total\{quota="relayed-bytes"\} (\d+)/.exec(await mesh.get('/metrics'))?.[1];
    printFigures('hostile sidecar, relayed bytes', { bytesPerSecond, crossed: Number(crossed ?? 0) });
    assert.ok(pump.ended, `slowed, not cut: ${pump.error}`);
    assert.ok(Number(crossed) > 0);
    assert.ok(bytesPerSecond < 4_000_000, `${bytesPerSecond} bytes a second`);
  });

  it(`sends ${FIELDS} header fields, of which its own listener takes none`, async () => {
    const answer = await step(
      'fields',
      new Promise<string>((resolve) => {
        const { hostname, port } = new URL(`tcp://${a.http}`);
        const socket = connect({ host: hostname, port: Number(port) });
        let text = '';
        socket.on('data', (chunk) => {
          text += chunk.toString('latin1');
        });
        socket.on('error', () => resolve(text));
        socket.on('close', () => resolve(text));
        socket.write(`GET / HTTP/1.1\r\nHost: plain.mesh\r\n${'x-a: b\r\n'.repeat(FIELDS)}\r\n`);
      }),
    );
    assert.match(answer, /^(?:HTTP\/1\.1 431 .*)?$/s);
  });

  it('kept nobody out', () => {
    printFigures('hostile sidecar, honest client beside its quotas', { ...percentiles(times), answers: times.length });
    assert.deepEqual(failures.slice(0, 5), []);
    assert.ok(times.length > 20);
    for (const each of mesh.programs) assert.equal(each.hasExited, false, `${each.name} ended\n${each.tail()}`);
    assert.deepEqual(mesh.accidents(), []);
  });
});
