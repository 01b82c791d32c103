/** Revocation between real processes: how long after `skein revoke` the last byte passes, in either direction. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createMesh, type Mesh } from '../../src/node.ts';
import { printFigures } from '../support/figures.ts';
import { percentiles } from '../support/load.ts';
import { TestMesh } from '../support/mesh.ts';

const SESSIONS = 20;
/** What is promised is a second; a machine that is short of time may be late, but never by this much. */
const ALLOWANCE_MS = 10_000;
const EVERY_MS = 5;

describe('Revocation', () => {
  let mesh: TestMesh;
  let app: Server;
  /** When the application heard the last byte of anybody. */
  let heardAtMs = 0;

  before(async () => {
    app = createServer((socket) => {
      socket.on('data', (bytes) => {
        heardAtMs = performance.now();
        socket.write(bytes);
      });
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    mesh = await TestMesh.start();
    const { port } = app.address() as AddressInfo;
    const expose = [`echo=tcp://127.0.0.1:${port}`];
    await mesh.startSidecar({ name: 'callee', services: ['echo'], expose, http: false, direct: true });
  });
  after(async () => {
    app?.close();
    await mesh?.close();
  });

  it(`Ends ${SESSIONS} live sessions, relayed and direct ones`, async () => {
    const times: number[] = [];
    const reasons = new Set<unknown>();
    for (let i = 0; i < SESSIONS; i++) {
      const { token } = (await mesh.post('/v1/tokens', { services: [`caller-${i}`] })) as { token: string };
      const isDirect = i % 2 === 1;
      const member = await createMesh({ hub: mesh.hubUrl, token, ...(isDirect ? {} : { direct: false }) });
      const talk = await Talk.start(member);
      // A direct path is found while they talk; one that is not would be a relayed one, which is as good here.
      if (isDirect) await talk.said(100);
      const atMs = performance.now();
      await mesh.post('/v1/revocations', { id: member.id, reason: 'test' });
      reasons.add(await talk.ended);
      times.push(Math.max(talk.heardAtMs, heardAtMs) - atMs);
      await member.close();
    }
    const { p50Ms, p99Ms, maxMs } = percentiles(times.map((ms) => Math.max(0, ms)));
    printFigures('revoked until the last byte', { sessions: times.length, p50Ms, p99Ms, maxMs, reasons: [...reasons] });
    assert.ok(maxMs < ALLOWANCE_MS, `${maxMs} ms`);
    assert.deepEqual([...reasons], ['SKEIN_REVOKED']);
    const list = JSON.parse(await mesh.admin('revoke', '--list', '-o', 'json')) as { revocations: unknown[] };
    assert.equal(list.revocations.length, SESSIONS);
    assert.deepEqual(mesh.accidents(), []);
  });
});

/** A connection on which something is said all the time, and echoed. */
class Talk {
  heardAtMs = 0;
  /** The code of what ended it. */
  readonly ended: Promise<unknown>;
  #heard = 0;
  #onHeard: () => void = () => undefined;

  private constructor(ended: Promise<unknown>) {
    this.ended = ended;
  }

  static async start(member: Mesh): Promise<Talk> {
    const socket = await member.connect('echo');
    const talk = new Talk(
      socket.closed.then(
        () => 'closed',
        (error: { code: string }) => error.code,
      ),
    );
    const writer = socket.writable.getWriter();
    const timer = setInterval(() => writer.write(new Uint8Array(64)).catch(() => clearInterval(timer)), EVERY_MS);
    void talk.ended.then(() => clearInterval(timer));
    const reader = socket.readable.getReader();
    const read = async (): Promise<void> => {
      for (;;) {
        if ((await reader.read()).done) return;
        talk.#heard++;
        talk.heardAtMs = performance.now();
        talk.#onHeard();
      }
    };
    read().catch(() => undefined); // `ended` tells
    await talk.said(10);
    return talk;
  }

  /** Resolves when that much more was heard. */
  said(count: number): Promise<void> {
    const until = this.#heard + count;
    return new Promise((resolve) => {
      this.#onHeard = () => {
        if (this.#heard >= until) resolve();
      };
    });
  }
}
