/** A member with real keys that says what it likes: to other members inside its sessions, and to the hub inside its own. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { encodeMessage } from '../../src/control/codec.ts';
import { frameMessage } from '../../src/control/framing.ts';
import { encodeControlOffer } from '../../src/control/version.ts';
import { encodeUtf8 } from '../../src/core/bytes.ts';
import { encodeRequestHead, encodeTrailers, MAX_BLOCK_BYTES } from '../../src/http/head-codec.ts';
import { nodePlatform } from '../../src/node.ts';
import { SeededRandom } from '../../src/testing/seeded-random.ts';
import { FrameWriter } from '../../src/tunnel/frame.ts';
import { STREAM_KIND } from '../../src/tunnel/stream.ts';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { HonestClient } from '../support/honest-client.ts';
import { createIdentity, HubClient, type Identity } from '../support/hub-client.ts';
import { repeat } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { mutate } from '../support/mutants.ts';
import type { Program } from '../support/process.ts';
import type { RogueInitiator } from '../support/tunnel.ts';

const ROGUES = 60;
/** Sessions that each tries to have: after the third that it has broken it gets no other for a while. */
const SESSIONS = 6;
/** Of them attack at once. */
const TRACKS = 6;
/** The records of a session: heads that are no heads in frames that are frames, and then frames that are none. */
const BAD_HEADS = 12;
const BAD_FRAMES = 12;
/** Links to the hub, and the control messages on each. */
const LINKS = 300;
const CONTROL_MESSAGES = 20;
const CREDIT = 256 * 1024;
const ALLOWANCE_KIB = 64 * 1024;
const seed = Number(process.env.SKEIN_TEST_SEED ?? 4712);

describe(`A hostile member, seed ${seed}`, () => {
  const random = new SeededRandom(seed);
  const platform = nodePlatform();
  const members: Identity[] = [];
  let mesh: TestMesh;
  let b: Sidecar;
  let instance = '';
  let honest: HonestClient;

  before(async () => {
    mesh = await TestMesh.start();
    const plain = await mesh.startOrigin('plain');
    b = await mesh.startSidecar({ name: 'b', services: ['plain'], expose: [`plain=${plain.http}`], http: false });
    instance = String((await b.program.waitForLog(({ event }) => event === 'sidecar-ready')).instance);
    const a = await mesh.startSidecar({ name: 'a', services: ['client'] });
    for (let i = 0; i < ROGUES; i++) {
      const identity = await createIdentity();
      const { token } = (await mesh.post('/v1/tokens', { services: [`rogue-${i}`] })) as { token: string };
      (await HubClient.connect(platform, mesh.hubUrl, identity, token)).close();
      members.push(identity);
    }
    honest = new HonestClient({ through: a.http, host: 'plain.mesh' });
  });
  after(() => mesh?.close());

  const head = (): Buffer => {
    const block = new Uint8Array(MAX_BLOCK_BYTES);
    const length = encodeRequestHead(block, {
      ...{ method: 'POST', scheme: 'http', authority: 'plain.mesh', path: '/echo?x=1', upgrade: undefined },
      ...{ fields: ['content-type', 'text/plain', 'x-own', 'value'], service: 'plain.default:80' },
    });
    return Buffer.from(block.subarray(0, length));
  };
  const trailers = (): Buffer => {
    const block = new Uint8Array(MAX_BLOCK_BYTES);
    return Buffer.from(block.subarray(0, encodeTrailers(block, ['x-checksum', '4711'])));
  };

  /** Streams whose frames are in order; one of the two blocks is not. */
  function writeBadHead(writer: FrameWriter, id: number): void {
    const isFirst = random.integer(2) === 0;
    writer.open(id, false, STREAM_KIND.http, CREDIT, isFirst ? mutate(random, head()) : head());
    const body = encodeUtf8('body');
    writer.data(id, false, body, 0, body.length);
    writer.headers(id, 3, isFirst ? trailers() : mutate(random, trailers()));
  }

  function writeAll(writer: FrameWriter, id: number): void {
    const body = encodeUtf8('some bytes');
    writer.open(id, false, STREAM_KIND.http, CREDIT, head());
    writer.data(id, false, body, 0, body.length);
    writer.headers(id, 3, trailers());
    writer.credit(0, 2 ** 30);
    writer.credit(id, CREDIT);
    writer.resetStream(id, 7, body.length, false);
    writer.ping(false, new Uint8Array(8));
    writer.maxStreams(300);
    writer.path(encodeUtf8('way'));
    writer.goAway(8, 0, true, encodeUtf8('bye'));
  }

  /** Resolves with the records that were sent until the other end closed the session, or all were. */
  async function attackSession(rogue: RogueInitiator): Promise<number> {
    let sent = 0;
    let id = 1;
    const sendNext = async (plaintext: Uint8Array): Promise<void> => {
      rogue.sendPlaintext(Uint8Array.from(plaintext));
      sent++;
      // Whatever it says to that may come in between.
      await nextTurn();
    };
    for (let i = 0; i < BAD_HEADS && rogue.closedBy === undefined; i++, id += 2) {
      const writer = new FrameWriter(new Uint8Array(MAX_BLOCK_BYTES));
      writeBadHead(writer, id);
      await sendNext(writer.bytes.subarray(0, writer.length));
    }
    for (let i = 0; i < BAD_FRAMES && rogue.closedBy === undefined; i++, id += 2) {
      const writer = new FrameWriter(new Uint8Array(MAX_BLOCK_BYTES));
      writeAll(writer, id);
      await sendNext(mutate(random, writer.bytes.subarray(0, writer.length)));
    }
    return sent;
  }

  /** Half of them are as they should be but for one body; the lengths in front are right, or no mutant would be whole. */
  function writeControl(writer: FrameWriter, round: number): void {
    const calls = [
      ['register', { instance: 'mine', services: [{ service: 'rogue-0', port: 80, protocol: 'http', healthy: true }] }],
      ['watch', { services: ['plain.default', 'nobody.default'] }],
      ['openCircuit', { instance, circuit: 2 * round + 1 }],
      ['resync', {}],
      ['renew', {}],
    ] as const;
    const [name, request] = random.pick(calls);
    const message = encodeMessage([0, round, name, request]);
    const framed = frameMessage(random.integer(2) === 0 ? message : Uint8Array.from(mutate(random, message)));
    writer.data(1, false, framed, 0, framed.length);
  }

  async function attackHub(identity: Identity): Promise<number> {
    const [link, rogue] = await HubClient.intrudeHub(platform, mesh.hubUrl, identity);
    let sent = 0;
    for (let round = 0; round < CONTROL_MESSAGES && rogue.closedBy === undefined && rogue.isReady; round++) {
      rogue.send((writer) => {
        if (round === 0) writer.open(1, false, STREAM_KIND.internal, CREDIT, encodeControlOffer());
        writeControl(writer, round);
      });
      sent++;
      await nextTurn();
    }
    link.close(1000, 'done');
    return sent;
  }

  async function survive(name: string, program: Program, attack: () => Promise<Record<string, number>>): Promise<void> {
    const idle = program.rssKib();
    const figures = await attack();
    const grown = program.rssKib() - idle;
    printFigures(`hostile member, ${name}`, { ...figures, grownKib: grown });
    assert.ok(grown < ALLOWANCE_KIB, `${program.name} grew by ${grown} KiB`);
    for (const each of mesh.programs) assert.equal(each.hasExited, false, `${each.name} ended\n${each.tail()}`);
    assert.deepEqual(mesh.accidents(), []);
  }

  it('Costs a sidecar no more than the sessions it has with it', { skip: lacking('/proc') }, async () => {
    await survive('sidecar', b.program, async () => {
      const figures = { sessions: 0, records: 0, refused: 0 };
      const attackAll = async (identity: Identity): Promise<void> => {
        const client = await HubClient.connect(platform, mesh.hubUrl, identity);
        for (let i = 0; i < SESSIONS; i++) {
          const rogue = await client.intrude(instance);
          // It may have broken too many.
          if (rogue.isReady) figures.sessions++;
          else figures.refused++;
          if (rogue.isReady) figures.records += await attackSession(rogue);
          rogue.leave();
        }
        client.close();
      };
      await repeat(members.length, TRACKS, (i) => attackAll(members[i] as Identity));
      assert.ok(figures.sessions >= ROGUES, JSON.stringify(figures));
      assert.ok(figures.refused >= ROGUES, 'who breaks one session after the other is let in again');
      return figures;
    });
  });

  it('Costs the hub no more than its links', { skip: lacking('/proc') }, async () => {
    await survive('hub', mesh.hub, async () => {
      let messages = 0;
      let links = 0;
      const attackAll = async (identity: Identity): Promise<void> => {
        for (; links < LINKS; links++) messages += await attackHub(identity);
      };
      await Promise.all(members.slice(0, TRACKS).map(attackAll));
      assert.ok(messages > LINKS);
      return { links, messages };
    });
  });

  it('An honest client never noticed', async () => {
    const result = await honest.stop();
    printFigures('hostile member, honest client', { ...result });
    assert.equal(result.failures, 0, JSON.stringify(result.errors));
    assert.ok(result.count > 100);
  });
});

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
