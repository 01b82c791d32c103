import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { lacking } from '../runtime/capabilities.ts';
import { ambiguousRequests } from '../support/ambiguous-http.ts';
import { printFigures } from '../support/figures.ts';
import { HonestClient } from '../support/honest-client.ts';
import { ask, repeat } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { makeNoise, mutate } from '../support/mutants.ts';
import type { Program } from '../support/process.ts';

/** In all, over the places below. */
const MESSAGES = { hubLink: 50_000, hubHttp: 15_000, sidecarHttp: 35_000 };
const ALLOWANCE_KIB = 64 * 1024;
const seed = Number(process.env.SKEIN_TEST_SEED ?? 4711);

describe(`Hostile input, seed ${seed}`, () => {
  const random = new SeededRandom(seed);
  let mesh: TestMesh;
  let a: Sidecar;
  let b: Sidecar;
  /** Behind the service that only the ambiguous requests ask for. */
  let target: { http: string };
  /** Messages that real sidecars sent to the hub from the first one on: good prefixes, and matter to mutate. */
  let recorded: Buffer[] = [];
  /** An honest client asks all the time. */
  let honest: HonestClient;

  before(async () => {
    mesh = await TestMesh.start();
    target = await mesh.startOrigin('target');
    const plain = await mesh.startOrigin('plain');
    b = await mesh.startSidecar({
      name: 'b',
      services: ['plain', 'target'],
      expose: [`plain=${plain.http}`, `target=${target.http}`],
      http: false,
    });
    recorded = await recordSidecar();
    a = await mesh.startSidecar({ name: 'a', services: ['client'] });
    honest = new HonestClient({ through: a.http, host: 'plain.mesh' });
  });
  after(() => mesh?.close());

  /** A sidecar joins through a relay that keeps what it says. */
  async function recordSidecar(): Promise<Buffer[]> {
    const messages: Buffer[] = [];
    const relay = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      handleProtocols: (offered) => [...offered][0] ?? false,
    });
    relay.on('connection', (down, request) => {
      const up = new WebSocket(`${mesh.hubUrl}${request.url}`, [down.protocol], { perMessageDeflate: false });
      const waiting: Buffer[] = [];
      down.on('message', (data) => {
        messages.push(Buffer.from(data as Buffer));
        if (up.readyState === WebSocket.OPEN) up.send(data as Buffer);
        else waiting.push(data as Buffer);
      });
      up.on('open', () => waiting.forEach((data) => void up.send(data)));
      up.on('message', (data) => down.send(data as Buffer));
      for (const [one, other] of [
        [down, up],
        [up, down],
      ] as const) {
        one.on('close', () => other.terminate());
        one.on('error', () => other.terminate());
      }
    });
    await once(relay, 'listening');
    const { port } = relay.address() as { port: number };
    const recordee = await mesh.startSidecar({
      name: 'recorded',
      hub: `ws://127.0.0.1:${port}`,
      services: ['recorded'],
      http: false,
    });
    await recordee.program.stop();
    relay.close();
    assert.ok(messages.length >= 3, 'there is something to mutate');
    return messages;
  }

  const int = (below: number): number => random.integer(below);

  const loopback = (): string => `127.${1 + int(200)}.${int(256)}.${1 + int(250)}`;

  /** Sends up to eight messages on one WebSocket; resolves with how many left, when the hub or we closed it. */
  function attackLink(): Promise<number> {
    return new Promise((resolve) => {
      const socket = new WebSocket(mesh.hubUrl, ['skein.v1'], {
        perMessageDeflate: false,
        localAddress: loopback(),
        handshakeTimeout: 5_000,
      });
      let sent = 0;
      socket.on('open', () => {
        const prefix = int(3);
        for (const message of recorded.slice(0, prefix)) socket.send(message);
        const sendNext = (left: number): void => {
          if (left === 0 || socket.readyState !== WebSocket.OPEN) return void socket.terminate();
          const choice = int(10);
          const message =
            choice < 5
              ? mutate(random, recorded[Math.min(prefix + int(2), recorded.length - 1)] as Buffer)
              : choice < 8
                ? makeNoise(random, int(200))
                : (recorded[int(recorded.length)] as Buffer);
          sent++;
          // The next one when this one is with the kernel, so that the hub may have said no in between.
          socket.send(message, { binary: int(20) > 0 }, () => setImmediate(sendNext, left - 1));
        };
        sendNext(1 + int(8));
      });
      socket.on('error', () => resolve(sent));
      socket.on('close', () => resolve(sent));
    });
  }

  /** One connection, some bytes, and what came back until the other end closed or said enough. */
  function attackTcp(to: string, bytes: Buffer, localAddress?: string): Promise<Buffer> {
    return new Promise((resolve) => {
      const { hostname, port } = new URL(`tcp://${to}`);
      const socket = connect({ host: hostname, port: Number(port), ...(localAddress ? { localAddress } : {}) });
      const chunks: Buffer[] = [];
      const end = () => {
        socket.destroy();
        resolve(Buffer.concat(chunks));
      };
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('error', end);
      socket.on('close', end);
      socket.end(bytes);
    });
  }

  /** @param attack sends a share of the messages; a tenth comes first, so that memory is compared with that of a busy process */
  async function survive(
    name: string,
    program: Program,
    attack: (share: number) => Promise<Record<string, unknown>>,
  ): Promise<void> {
    const idle = program.rssKib();
    await attack(0.1);
    const before = program.rssKib();
    const figures = await attack(0.9);
    const after = program.rssKib();
    printFigures(`hostile ${name}`, { ...figures, rssKib: { idle, before, after, peak: program.peakRssKib() } });
    for (const each of mesh.programs.filter(({ name: who }) => who !== 'recorded')) {
      assert.equal(each.hasExited, false, `${each.name} ended\n${each.tail()}`);
    }
    assert.deepEqual(mesh.accidents(), []);
    assert.ok(after - before < ALLOWANCE_KIB, `${program.name} grew by ${after - before} KiB`);
  }

  it('The hub survives link messages of strangers', { skip: lacking('/proc') }, async () => {
    await survive('link', mesh.hub, async (share) => {
      let messages = 0;
      let connections = 0;
      const attacker = async () => {
        while (messages < MESSAGES.hubLink * share) {
          connections++;
          const sent = await attackLink();
          messages += sent;
        }
      };
      await Promise.all(Array.from({ length: 24 }, attacker));
      return { messages, connections };
    });
  });

  it('The hub survives HTTP of strangers', { skip: lacking('/proc') }, async () => {
    const seeds = [
      ...ambiguousRequests(mesh.hubAddress).map(({ bytes }) => bytes),
      Buffer.from(`GET /.well-known/jwks.json HTTP/1.1\r\nHost: ${mesh.hubAddress}\r\n\r\n`),
      Buffer.from(
        `POST /v1/tokens HTTP/1.1\r\nHost: ${mesh.hubAddress}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
      ),
      Buffer.from(
        `GET / HTTP/1.1\r\nHost: ${mesh.hubAddress}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: skein.v1\r\n\r\n`,
      ),
    ];
    await survive('hub http', mesh.hub, async (share) => {
      const { count, errors } = await repeat(MESSAGES.hubHttp * share, 24, async () => {
        await attackTcp(mesh.hubAddress, mutate(random, seeds[int(seeds.length)] as Buffer), loopback());
      });
      return { messages: count, errors };
    });
    const health = await fetch(`http://${mesh.hubAddress}/healthz`);
    assert.equal(health.status, 200);
  });

  for (const request of ambiguousRequests('target.mesh')) {
    it(`The sidecar refuses: ${request.name}`, async () => {
      const before = await targetStats();
      const answer = (await attackTcp(a.http, request.bytes)).toString('latin1');
      const after = await targetStats();
      assert.match(answer, /^(?:HTTP\/1\.1 (?:4\d\d|50[15]) .*)?$/s, 'refused with a status of its own, or in silence');
      assert.equal(answer.match(/HTTP\/1\.1 \d\d\d/g)?.length ?? 0, answer === '' ? 0 : 1, 'one answer, then the end');
      assert.equal(after.smuggled, before.smuggled, 'the bytes behind it were taken for a request');
      if (!request.reachesUpstream) assert.equal(after.requests, before.requests, 'the application was asked');
    });
  }

  async function targetStats(): Promise<{ requests: number; smuggled: number }> {
    const answer = await ask({ through: new URL(target.http).host, host: 'origin', form: 'host', path: '/stats' });
    return JSON.parse(answer.body.toString());
  }

  it('The sidecar survives mutants of all of them', { skip: lacking('/proc') }, async () => {
    const seeds = ambiguousRequests('target.mesh').map(({ bytes }) => bytes);
    const { smuggled } = await targetStats();
    await survive('sidecar http', a.program, async (share) => {
      const { count, errors } = await repeat(MESSAGES.sidecarHttp * share, 24, async () => {
        await attackTcp(a.http, mutate(random, seeds[int(seeds.length)] as Buffer));
      });
      return { messages: count, errors, smuggledByMutants: (await targetStats()).smuggled - smuggled };
    });
    assert.equal(b.program.hasExited, false);
  });

  it('An honest client never noticed', async () => {
    const result = await honest.stop();
    printFigures('hostile, honest client', { ...result });
    assert.equal(result.failures, 0, JSON.stringify(result.errors));
    assert.ok(result.count > 100);
  });
});
