import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { printFigures } from '../support/figures.ts';
import { type Answer, ask, percentiles } from '../support/load.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';

/** Base of the back-off is 250 ms and full jitter (reliability.md F10); a hub alone is back at once, if the machine is not busy. */
const BACK_WITHIN_MS = 30_000;

describe('Restarts', () => {
  let mesh: TestMesh;
  let a: Sidecar;
  let b: Sidecar;
  let origin: { http: string };

  before(async () => {
    mesh = await TestMesh.start();
    origin = await mesh.startOrigin();
    b = await startB('b');
    a = await mesh.startSidecar({ name: 'a', services: ['client'], data: join(mesh.folder, 'a') });
    assert.equal((await call()).status, 200);
  });
  after(() => mesh?.close());

  const startB = (name: string) =>
    mesh.startSidecar({
      name,
      services: ['api'],
      expose: [`api=${origin.http}`],
      data: join(mesh.folder, name),
      http: false,
    });
  const call = (path = '/'): Promise<Answer> => ask({ through: a.http, host: 'api.mesh', path });

  /** Milliseconds until a call is answered; the sidecars were told nothing. */
  async function untilBack(): Promise<number> {
    const started = performance.now();
    for (;;) {
      const answer = await call().catch((error: Error) => error);
      if ('status' in answer && answer.status === 200) return Math.round(performance.now() - started);
      const { tail } = a.program;
      assert.ok(
        performance.now() - started < BACK_WITHIN_MS,
        `no call after ${BACK_WITHIN_MS} ms\n${tail.call(a.program)}\n${mesh.hub.tail()}`,
      );
    }
  }

  it('A hub killed with -9 and started with its data takes its sidecars back without a new token', async () => {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      await mesh.hub.kill();
      await mesh.startHub();
      times.push(await untilBack());
      assert.equal(mesh.hub.count('sidecar-enrolled'), 0, 'somebody enrolled again');
      assert.match(await mesh.admin('get', 'policies'), /allow-same-namespace/);
    }
    printFigures('hub killed and back', { timesMs: times });
    assert.deepEqual(
      [a, b].filter(({ program }) => program.hasExited),
      [],
    );
  });

  it('A hub that wrote half a record when it died starts, says so, and has lost nothing that was answered', async () => {
    const spare = await mesh.createToken(['later']);
    for (const [name, damage] of [
      ['half a record behind the last', (path: string) => appendFileSync(path, readFileSync(path).subarray(-40, -12))],
      ['zeros behind the last', (path: string) => appendFileSync(path, Buffer.alloc(100))],
      ['noise behind the last', (path: string) => appendFileSync(path, Buffer.from('\x05torn write of a crash'))],
    ] as const) {
      await mesh.hub.kill();
      damage(storeFile());
      await mesh.startHub();
      await mesh.hub
        .waitForLog(({ event }) => /^store-/.test(event ?? ''))
        .catch((error: Error) => assert.fail(`${name}: ${error.message}`));
      await untilBack();
    }
    // The last record itself was cut: what it said is gone, all else stands.
    await mesh.hub.kill();
    truncateSync(storeFile(), statSync(storeFile()).size - 3);
    await mesh.startHub();
    await mesh.hub.waitForLog(({ event }) => event === 'store-tail-truncated');
    await untilBack();
    const late = await mesh.startSidecar({ name: 'later', token: spare, http: false });
    await late.program.stop();
  });

  it('Two hubs cannot share one data folder', async () => {
    const second = await mesh.launchSecondHub();
    const { code } = await second.waitForExit();
    assert.equal(code, 1, second.tail());
    assert.match(second.tail(), /SKEIN_STORE/);
    assert.equal((await call()).status, 200);
  });

  it('A sidecar with its data starts again without a token, also after kill -9', async () => {
    const { code } = await b.program.stop();
    assert.equal(code, 0, b.program.tail());
    b = await mesh.startSidecar({
      name: 'b again',
      expose: [`api=${origin.http}`],
      data: join(mesh.folder, 'b'),
      http: false,
    });
    const afterStop = await untilBack();
    await b.program.kill();
    b = await mesh.startSidecar({
      name: 'b once more',
      expose: [`api=${origin.http}`],
      data: join(mesh.folder, 'b'),
      http: false,
    });
    printFigures('sidecar back', { afterStopMs: afterStop, afterKillMs: await untilBack() });
  });

  it('A second sidecar on the folder of one that runs is refused, and says what to do', async () => {
    const second = await mesh.launchSidecar({ name: 'second', data: join(mesh.folder, 'b'), http: false });
    const { code } = await second.waitForExit();
    assert.equal(code, 1, second.tail());
    assert.match(second.tail(), /another sidecar uses it/);
    assert.match(second.tail(), /Stop that one, or give this one a folder and a token of its own/);
    assert.equal((await call()).status, 200);
  });

  it('A sidecar waits for its hub: started first, it is ready when the hub is', async () => {
    await a.program.stop();
    await mesh.hub.kill();
    const early = await mesh.launchSidecar({ name: 'early', data: join(mesh.folder, 'a'), http: false });
    await early.waitForLog(({ level }) => level === 'warn');
    assert.equal(early.hasExited, false);
    await mesh.startHub();
    await early.ready();
    await early.stop();
    a = await mesh.startSidecar({ name: 'a again', data: join(mesh.folder, 'a') });
    await untilBack();
  });

  it('SIGTERM under load: not one request fails, at the callee or at the caller', async () => {
    const twin = await startB('twin');
    const errors: string[] = [];
    const times: number[] = [];
    let stopped = false;
    let phase = 'both are there';
    const track = async () => {
      while (!stopped) {
        const started = performance.now();
        const answer = await call('/echo').catch((error: Error) => error);
        if (!('status' in answer)) errors.push(String(answer));
        else if (answer.status !== 200)
          errors.push(`while ${phase}: ${answer.status} ${answer.headers['x-skein-reason'] ?? ''}: ${answer.body}`);
        times.push(performance.now() - started);
      }
    };
    const tracks = Array.from({ length: 8 }, track);
    await until(() => times.length > 200);
    // One of two replicas leaves, comes back, and the other leaves.
    phase = 'one leaves';
    const first = await b.program.stop();
    phase = 'one is there';
    b = await mesh.startSidecar({
      name: 'b back',
      expose: [`api=${origin.http}`],
      data: join(mesh.folder, 'b'),
      http: false,
    });
    phase = 'the other leaves';
    const second = await twin.program.stop();
    stopped = true;
    await Promise.all(tracks);
    printFigures('drain of a callee', {
      requests: times.length,
      failures: errors.length,
      errors: errors.slice(0, 5),
      ...percentiles(times),
    });
    assert.deepEqual([first.code, second.code], [0, 0]);
    assert.deepEqual(errors, []);

    // What a caller has begun is finished before it goes.
    const held = Array.from({ length: 20 }, () => call('/hold?ms=3000'));
    await callsArrived(20);
    const { code } = await a.program.stop();
    const answers = await Promise.all(held);
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(code, 0);
    assert.deepEqual(mesh.accidents(), []);

    /** Resolves when the condition holds and `more` further requests were made. */
    async function until(holds: () => boolean, more = 0): Promise<void> {
      const start = times.length;
      while (!(holds() && times.length >= start + more)) await call();
    }
  });

  async function callsArrived(count: number): Promise<void> {
    const read = async () => {
      const answer = await ask({ through: new URL(origin.http).host, host: 'origin', form: 'host', path: '/stats' });
      return (JSON.parse(answer.body.toString()) as { holding: number }).holding;
    };
    const deadline = performance.now() + 15_000;
    while ((await read()) < count) assert.ok(performance.now() < deadline, 'the held calls arrived');
  }

  /** The one file that grows: the store's log. */
  function storeFile(): string {
    const files = readdirSync(mesh.hubData)
      .map((name) => join(mesh.hubData, name))
      .filter((path) => statSync(path).isFile() && !/\.(?:lock|token|url|json)$/.test(path));
    const [largest] = files.sort((x, y) => statSync(y).size - statSync(x).size);
    assert.ok(largest !== undefined, `a store among ${files}`);
    return largest;
  }
});
