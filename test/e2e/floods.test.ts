/** Floods of those who have shown nothing: a thousand slow connections at each listener, garbage for handshakes, tokens that are none. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { createJoinToken, parseJoinToken } from '../../src/auth/join-token.ts';
import { createIdentityKey } from '../../src/auth/key-pair.ts';
import { nodePlatform } from '../../src/node.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { HonestClient } from '../support/honest-client.ts';
import { HubClient, type Identity } from '../support/hub-client.ts';
import { repeat } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { makeNoise } from '../support/mutants.ts';
import type { Program } from '../support/process.ts';
import { type SlowOptions, SlowSockets } from '../support/slow-sockets.ts';
import { frame, OPCODE, rawUpgrade } from '../unit/runtime/raw-websocket.ts';

const SOCKETS = 1_000;
/** A deadline is kept to the second on a machine that has nothing else to do; a slow one may take so much longer. */
const SLACK_MS = 30_000;
/** Those that have no deadline are there for so long. */
const HELD_MS = 3_000;
/** Socket, parser and what it said: far below 64 KiB. */
const PER_SOCKET_KIB = 64;
/** As many as a hub lets wait at once, less some for the honest. */
const STRANGERS = 240;
const GARBAGE = 3_000;
const TOKENS = 500;
const seed = Number(process.env.SKEIN_TEST_SEED ?? 4713);

interface Slow extends Omit<SlowOptions, 'count'> {
  readonly name: string;
  readonly program: Program;
  /**
   * By then the other end has closed it. Absent: it is not waited for. What fits into the system's buffers is no slow read to who wrote
   * it, and such a connection ends as an idle one; answers that do not fit end after 10 s (http.test.ts) or 300 s (h1-server.test.ts).
   */
  readonly deadlineMs?: number;
}

describe(`Floods, seed ${seed}`, () => {
  const random = new SeededRandom(seed);
  const platform = nodePlatform();
  let mesh: TestMesh;
  let a: Sidecar;
  let b: Sidecar;

  before(async () => {
    mesh = await TestMesh.start();
    const plain = await mesh.startOrigin('plain');
    b = await mesh.startSidecar({
      ...{ name: 'b', services: ['plain', 'raw'], http: false, direct: true },
      expose: [`plain=${plain.http}`, `raw=${plain.tcp}`],
      args: ['--direct-listen', '127.0.0.1:0'],
    });
    a = await mesh.startSidecar({ name: 'a', services: ['client'], tcp: ['raw'] });
  });
  after(() => mesh?.close());

  /** An honest client asks all the while, and is answered each time. */
  async function beside<T>(attack: () => Promise<T>): Promise<{ figures: T; honest: Record<string, number> }> {
    const client = new HonestClient({ through: a.http, host: 'plain.mesh' });
    const figures = await attack().catch(async (error) => {
      await client.stop();
      throw error;
    });
    const { count, failures, errors, p50Ms, p99Ms } = await client.stop();
    assert.equal(failures, 0, JSON.stringify(errors));
    assert.ok(count > 3, `an honest client was served ${count} times`);
    for (const each of mesh.programs) assert.equal(each.hasExited, false, `${each.name} ended\n${each.tail()}`);
    assert.deepEqual(mesh.accidents(), []);
    return { figures, honest: { count, p50Ms, p99Ms } };
  }

  const listeners = (): readonly Slow[] => {
    const { hubAddress } = mesh;
    const hub = { program: mesh.hub, to: hubAddress };
    const admin = { program: a.program, to: new URL(a.addresses.admin ?? '').host };
    const proxy = { program: a.program, to: a.http };
    const metrics = (host: string): string => `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(8);
    const json = 'Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{';
    const ask = 'HTTP/1.1\r\nHost: plain.mesh\r\n';
    return [
      { name: 'hub, slow head', ...hub, first: 'GET / HTTP/1.1\r\nX-A: ', drip: 'a', deadlineMs: 2_500 },
      { name: 'hub, nothing', ...hub, first: '', deadlineMs: 2_500 },
      {
        ...{ name: 'hub, slow body', ...hub, drip: ' ', deadlineMs: 10_500 },
        first: `POST /v1/tokens HTTP/1.1\r\nHost: ${hubAddress}\r\n${json}`,
      },
      { name: 'hub, slow read', ...hub, first: metrics(hubAddress), reads: false },
      { name: 'admin port, slow head', ...admin, first: 'GET / HTTP/1.1\r\nX-A: ', drip: 'a', deadlineMs: 2_500 },
      {
        ...{ name: 'admin port, slow body', ...admin, drip: ' ', deadlineMs: 10_500 },
        first: `POST /v1/explain HTTP/1.1\r\nHost: 127.0.0.1\r\n${json}`,
      },
      { name: 'admin port, slow read', ...admin, first: metrics('127.0.0.1'), reads: false },
      {
        ...{ name: 'direct listener, slow head', program: b.program, to: b.addresses.direct ?? '' },
        ...{ first: 'GET / HTTP/1.1\r\nX-A: ', drip: 'a', deadlineMs: 2_500 },
      },
      { name: 'HTTP proxy, slow head', ...proxy, first: `GET / ${ask}X-A: `, drip: 'a', deadlineMs: 10_500 },
      {
        // One that drips is an upload on a slow line, and has its place as long as it comes.
        ...{ name: 'HTTP proxy, body that stops', ...proxy, deadlineMs: 30_500 },
        first: `POST /echo ${ask}Content-Length: 900\r\n\r\n`,
      },
      { name: 'HTTP proxy, slow read', ...proxy, first: `GET /bytes/150000 ${ask}\r\n`, reads: false },
      // Nobody knows what runs over it: an hour of silence is its deadline (limits.test.ts).
      { name: 'TCP port, nothing', program: a.program, to: a.tcp('raw'), first: '', reads: false },
      { name: 'TCP port, slow read', program: a.program, to: a.tcp('raw'), first: 'x'.repeat(10_000), reads: false },
    ];
  };

  it('Strangers pin no more than 64 KiB each, and are gone after 2 s', { skip: lacking('/proc') }, async () => {
    const port = Number(new URL(mesh.hubUrl).port);
    const { figures, honest } = await beside(async () => {
      const idleKib = mesh.hub.rssKib();
      const livesMs: number[] = [];
      // As many as may wait at once; each as near to its limit as one can come without being dropped.
      const opened = await Promise.all(Array.from({ length: STRANGERS }, () => rawUpgrade(port)));
      const sinceMs = performance.now();
      const ended = opened.map(({ socket }) =>
        once(socket, 'close').then(() => livesMs.push(performance.now() - sinceMs)),
      );
      for (const { socket } of opened) {
        socket.write(frame({ opcode: OPCODE.binary, length: 200_000, payload: makeNoise(random, 62_000) }));
      }
      await Promise.race([Promise.all(ended), wait(2_000 + SLACK_MS)]);
      assert.equal(livesMs.length, STRANGERS, 'some are still there');
      const perSocketKib = (mesh.hub.rssKib() - idleKib) / STRANGERS;
      return { sockets: STRANGERS, longestMs: Math.round(Math.max(...livesMs)), perSocketKib };
    });
    printFigures('flood, strangers at the hub', { ...figures, honest });
    // What the process has taken and not given back is among it: 90 to 125 where 64 are kept. 256 were kept once.
    assert.ok(figures.perSocketKib < 3 * PER_SOCKET_KIB, `${figures.perSocketKib} KiB a socket`);
  });

  it(`${SOCKETS} slow connections at each listener keep nobody out, and are gone at their deadline`, {
    skip: lacking('/proc'),
  }, async () => {
    for (const { name, program, deadlineMs, ...options } of listeners()) {
      const { figures, honest } = await beside(async () => {
        const idleKib = program.rssKib();
        const slow = await SlowSockets.open({ ...options, count: SOCKETS });
        const perSocketKib = (program.rssKib() - idleKib) / SOCKETS;
        if (deadlineMs === undefined) await wait(HELD_MS);
        else await slow.ended(deadlineMs + SLACK_MS);
        const [left, livesMs] = [slow.open, [...slow.livesMs].sort((x, y) => x - y)];
        slow.close();
        if (deadlineMs !== undefined) assert.equal(left, 0, `${name}: ${left} are still there`);
        return { ended: livesMs.length, longestMs: Math.round(livesMs.at(-1) ?? 0), deadlineMs, perSocketKib };
      });
      printFigures(`flood, ${name}`, { ...figures, honest });
      assert.ok(figures.perSocketKib < PER_SOCKET_KIB, `${name}: ${figures.perSocketKib} KiB a socket`);
    }
  });

  it('Garbage in place of handshakes, and tokens that are none, cost an honest client nothing', async () => {
    const port = Number(new URL(mesh.hubUrl).port);
    const { figures, honest } = await beside(async () => {
      const livesMs: number[] = [];
      await repeat(GARBAGE, 32, async () => {
        const { socket } = await rawUpgrade(port);
        const sinceMs = performance.now();
        socket.write(frame({ opcode: OPCODE.binary, payload: makeNoise(random, 1 + random.integer(2_000)) }));
        await new Promise((resolve) => socket.once('close', resolve));
        livesMs.push(performance.now() - sinceMs);
      });
      livesMs.sort((x, y) => x - y);
      return { garbage: GARBAGE, goneAfterMs: { p50: livesMs[GARBAGE >> 1], longest: livesMs.at(-1) } };
    });
    printFigures('flood, garbage for handshakes', { ...figures, honest });
    const enrolment = await beside(async () => {
      // All but the secret is right, so that the newcomer believes the hub, and the hub has to look.
      const { trustDomain, issuerThumbprint } = parseJoinToken(await mesh.createToken(['newcomer']));
      const refusals: Record<string, number> = {};
      const key = await createIdentityKey();
      await repeat(TOKENS, 8, async (index) => {
        const identity: Identity = { instance: `stranger-${index}`, key, wit: '', bundle: undefined, id: '' };
        const { text } = createJoinToken({ trustDomain, issuerThumbprint, random });
        const outcome = await HubClient.connect(platform, mesh.hubUrl, identity, text).then(
          () => 'admitted',
          ({ code }) => String(code),
        );
        refusals[outcome] = (refusals[outcome] ?? 0) + 1;
      });
      return refusals;
    });
    printFigures('flood, tokens', { ...enrolment.figures, honest: enrolment.honest });
    assert.equal(enrolment.figures.admitted, undefined);
  });
});
