import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { printFigures } from '../support/figures.ts';
import { ask, echo, openWebSocket } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { countInMemory } from '../support/proc-memory.ts';
import { Tap } from '../support/tap.ts';

const noProc = lacking('/proc');
/** The record that holds a message of this size is larger than any other that passes. */
const SENT_BYTES = 5_000;
/** A record that is missing is given 2 s, a new circuit some round trips; without them it never comes. The rest is for a busy machine. */
const RECOVERED_WITHIN_MS = 60_000;

const canary = (place: string): string => `canary-${place}-${randomBytes(12).toString('hex')}`;

describe('The hub is blind', () => {
  let mesh: TestMesh;
  let tapA: Tap;
  let tapB: Tap;
  let a: Sidecar;
  let b: Sidecar;
  const places = ['path', 'query', 'request-header', 'request-body', 'response-body', 'socket-message'] as const;
  const canaries = Object.fromEntries(places.map((place) => [place, canary(place)])) as Record<
    (typeof places)[number],
    string
  >;

  before(async () => {
    mesh = await TestMesh.start();
    [tapA, tapB] = await Promise.all([Tap.listen(mesh.hubAddress), Tap.listen(mesh.hubAddress)]);
    const origin = await mesh.startOrigin();
    b = await mesh.startSidecar({
      name: 'sidecar b',
      hub: `ws://${tapB.address}`,
      services: ['secretive'],
      expose: [`secretive=${origin.http}`],
    });
    a = await mesh.startSidecar({ name: 'sidecar a', hub: `ws://${tapA.address}`, services: ['client'] });
  });

  after(async () => {
    await tapA?.close();
    await tapB?.close();
    await mesh?.close();
  });

  const target = () => ({ through: a.http, host: 'secretive.mesh' });

  it('Canaries sent both ways are nowhere in its memory, its files, its log or on either link', {
    skip: noProc,
  }, async () => {
    for (let i = 0; i < 20; i++) {
      const answer = await ask({
        ...target(),
        method: 'POST',
        path: `/echo/${canaries.path}?q=${canaries.query}`,
        headers: { 'x-canary': canaries['request-header'], 'content-type': 'text/plain' },
        body: `${canaries['request-body']} ${canaries['response-body']}`,
      });
      assert.equal(answer.status, 200);
      // What the application saw comes back whole in the response, so each canary crosses twice.
      for (const place of places.slice(0, 5)) assert.ok(answer.body.includes(canaries[place as 'path']), place);
    }
    const socket = await openWebSocket(target());
    for (let i = 0; i < 20; i++) await echo(socket, Buffer.from(canaries['socket-message']));
    socket.terminate();

    const texts = Object.values(canaries);
    const countIn = (bytes: Buffer) => texts.filter((text) => bytes.includes(text)).length;
    const wire = Buffer.concat([...tapA.captured, ...tapB.captured]);
    const log = Buffer.from(mesh.hub.log.map(({ text }) => text).join('\n') + mesh.hub.stdout);
    const files = Buffer.concat(
      readdirSync(mesh.hubData, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath ?? entry.path, entry.name))),
    );
    const hub = countInMemory(mesh.hub.pid, texts);
    const sidecars = [a, b].map(({ program }) => countInMemory(program.pid, texts));
    const found = {
      hubMemory: [...hub.values()].filter((count) => count > 0).length,
      hubLog: countIn(log),
      hubFiles: countIn(files),
      wire: countIn(wire),
      callerMemory: [...(sidecars[0] ?? [])].filter(([, count]) => count > 0).length,
      calleeMemory: [...(sidecars[1] ?? [])].filter(([, count]) => count > 0).length,
    };
    printFigures('blindness', { canaries: texts.length, capturedBytes: wire.length, found });

    // The controls first: a scan that finds nothing anywhere proves nothing.
    assert.ok(
      found.callerMemory >= 4 && found.calleeMemory >= 4,
      `the scan finds the canaries in the sidecars: ${JSON.stringify(found)}`,
    );
    assert.ok(wire.length > 20 * 500 && log.length > 0 && files.length > 0, 'there was something to look at');
    assert.ok(wire.includes('skein.v1'), 'the capture holds the links from their first byte');
    assert.deepEqual([found.hubMemory, found.hubLog, found.hubFiles, found.wire], [0, 0, 0, 0]);
  });

  for (const [where, choose] of [
    ['the tag', (length: number) => length - 1],
    ['the body', (length: number) => length >> 1],
    ['the record header', (_: number) => 6],
  ] as const) {
    it(`One flipped bit in ${where} is noticed and never delivered; the record comes again, as it was`, {
      timeout: RECOVERED_WITHIN_MS,
    }, async (t) => {
      const distrusted = () => b.program.count('path-distrusted');
      const before = { distrusted: distrusted() };
      // A caller of its own: three altered records within a minute end a session that has no other path.
      const tap = await Tap.listen(mesh.hubAddress);
      t.after(() => tap.close());
      const caller = { name: `caller, ${where}`, hub: `ws://${tap.address}`, services: ['client'] };
      const { http } = await mesh.startSidecar(caller);
      const socket = await openWebSocket({ through: http, host: 'secretive.mesh' });
      await echo(socket, randomBytes(1_000));
      const sent = randomBytes(SENT_BYTES);

      tap.tamper = ({ direction, payloadBytes }) => {
        if (direction !== 'up' || payloadBytes < SENT_BYTES || tap.flippedBits > 0) return undefined;
        return choose(payloadBytes);
      };
      // Rejects when something else than what was sent comes back, or the stream does not outlive its path.
      await echo(socket, sent);
      tap.tamper = undefined;
      socket.terminate();

      assert.equal(tap.flippedBits, 1);
      await b.program.waitForLog(() => distrusted() > before.distrusted);
      printFigures('flipped bit', { where, distrusted: distrusted() - before.distrusted });
    });
  }
});
