import assert from 'node:assert/strict';
import { createWriteStream, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'node:test';
import { lacking } from '../runtime/capabilities.ts';
import { deterministicDigest, deterministicStream } from '../support/deterministic-bytes.ts';
import { printFigures } from '../support/figures.ts';
import { type Sidecar, TestMesh } from '../support/mesh.ts';
import { HUB_ADDRESS, NatLab } from '../support/netns.ts';
import { Postgres } from '../support/postgres.ts';
import { runProgram, startHelper } from '../support/process.ts';

const GIB = 1024 ** 3;
/** What one transfer may add to the hub's memory (reliability.md F2: bounded by windows, not by the transfer). */
const HUB_ALLOWANCE_KIB = 64 * 1024;
const POSTGRES_PORT = 5433;
/** A transfer takes as long as the machine needs for it, but never stands still for so long. */
const STILL_SECONDS = 60;
const WITHIN_SECONDS = 500;

const noLab = lacking('network namespaces');

describe('Real applications between two sites behind NAT', () => {
  let lab: NatLab;
  let mesh: TestMesh;
  let a: Sidecar;
  let postgres: Postgres | undefined;
  /** The hub's memory when all have joined and nothing was sent. */
  let idleKib = 0;
  const file = join(tmpdir(), `skein-upload-${process.pid}`);

  before(async () => {
    if (noLab) return;
    lab = new NatLab([7000]);
    mesh = await TestMesh.start({ listen: `${HUB_ADDRESS}:7000`, within: lab.within('hub') });
    const origin = await mesh.startOrigin('b', lab.within('site-b'));
    if (!lacking('PostgreSQL')) postgres = await Postgres.start({ port: POSTGRES_PORT, within: lab.within('site-b') });
    await mesh.startSidecar({
      name: 'sidecar b',
      within: lab.within('site-b'),
      services: ['files', 'db'],
      expose: [`files=${origin.http}`, `db=tcp://127.0.0.1:${POSTGRES_PORT}`],
    });
    a = await mesh.startSidecar({ name: 'sidecar a', within: lab.within('site-a'), services: ['client'], tcp: ['db'] });
    idleKib = mesh.hub.rssKib();
  });

  after(async () => {
    rmSync(file, { force: true });
    await postgres?.stop();
    await mesh?.close();
    lab?.close();
  });

  /** Runs curl at site a through the HTTP proxy of its sidecar, and watches the hub's memory meanwhile. */
  async function curl(
    ...args: readonly string[]
  ): Promise<{ out: string; seconds: number; hubGrowthKib: number; hubCpu: number }> {
    const cpuBefore = mesh.hub.cpuSeconds();
    let peakKib = mesh.hub.rssKib();
    const watch = setInterval(() => {
      peakKib = Math.max(peakKib, mesh.hub.rssKib());
    }, 50);
    const started = performance.now();
    try {
      const patience = ['--speed-limit', '1', '--speed-time', `${STILL_SECONDS}`, '--max-time', `${WITHIN_SECONDS}`];
      const all = ['-sS', '--fail', ...patience, '--proxy', `http://${a.http}`, ...args];
      const withinMs = (WITHIN_SECONDS + STILL_SECONDS) * 1_000;
      const out = await runProgram('curl', all, { within: lab.within('site-a'), withinMs });
      const seconds = (performance.now() - started) / 1000;
      return { out, seconds, hubGrowthKib: peakKib - idleKib, hubCpu: mesh.hub.cpuSeconds() - cpuBefore };
    } finally {
      clearInterval(watch);
    }
  }

  it('curl downloads 1 GiB unchanged while the hub stays small', { skip: noLab || lacking('curl') }, async () => {
    const { out, ...figures } = await curl(
      '--write-out',
      '%{size_download}',
      '--output',
      file,
      `http://files.mesh/bytes/${GIB}`,
    );
    const digest = (await runProgram('sha256sum', [file])).slice(0, 64);
    printFigures('curl download', { bytes: Number(out), mibPerSecond: Math.round(1024 / figures.seconds), ...figures });
    assert.equal(Number(out), GIB);
    assert.equal(digest, deterministicDigest(GIB));
    assert.ok(figures.hubGrowthKib < HUB_ALLOWANCE_KIB, `the hub grew by ${figures.hubGrowthKib} KiB`);
  });

  it('curl uploads 1 GiB unchanged while the hub stays small', { skip: noLab || lacking('curl') }, async () => {
    await pipeline(deterministicStream(GIB), createWriteStream(file));
    const { out, ...figures } = await curl('--upload-file', file, 'http://files.mesh/sha256');
    printFigures('curl upload', { mibPerSecond: Math.round(1024 / figures.seconds), ...figures });
    assert.equal(out.trim(), deterministicDigest(GIB));
    assert.ok(figures.hubGrowthKib < HUB_ALLOWANCE_KIB, `the hub grew by ${figures.hubGrowthKib} KiB`);
  });

  it('pgbench keeps its books straight through a TCP listener', { skip: noLab || lacking('PostgreSQL') }, async () => {
    const { hostname, port } = new URL(`tcp://${a.tcp('db')}`);
    const connection = ['-h', hostname, '-p', port, '-U', 'postgres'];
    const run = (name: string, ...args: string[]) =>
      runProgram((postgres as Postgres).program(name), [...connection, ...args], { within: lab.within('site-a') });
    const query = async (sql: string) => (await run('psql', '-Atqc', sql, 'postgres')).trim();

    await run('pgbench', '-i', '-q', '-s', '2', 'postgres');
    const report = await run('pgbench', '-c', '8', '-j', '2', '-T', '10', '-n', 'postgres');
    const number = (pattern: RegExp) => Number(pattern.exec(report)?.[1] ?? Number.NaN);
    const transactions = number(/transactions actually processed: (\d+)/);
    const failed = number(/failed transactions: (\d+)/);
    const [recorded, total, ...balances] = (
      await query(
        `select (select count(*) from pgbench_history), (select coalesce(sum(delta), 0) from pgbench_history),
                (select sum(tbalance) from pgbench_tellers), (select sum(bbalance) from pgbench_branches),
                (select sum(abalance) from pgbench_accounts)`,
      )
    )
      .split('|')
      .map(Number);
    printFigures('pgbench', {
      transactions,
      failed,
      tps: number(/tps = ([\d.]+)/),
      latencyMs: number(/latency average = ([\d.]+) ms/),
      balances: [total, ...balances],
    });
    assert.equal(failed, 0);
    assert.doesNotMatch(report, /aborted/);
    assert.ok(transactions > 100);
    assert.equal(recorded, transactions);
    for (const balance of balances) assert.equal(balance, total);
  });

  it('A hono application serves in process, without a port', { skip: noLab || lacking('curl') }, async () => {
    const token = await mesh.createToken(['shop']);
    const app = startHelper('hono-app', [mesh.hubUrl, token, 'shop'], { within: lab.within('site-b') });
    mesh.programs.push(app);
    await app.ready();
    const listening = await runProgram('ss', ['-Htlnp'], { within: lab.within('site-b') });
    assert.doesNotMatch(listening, new RegExp(`pid=${app.pid},`), 'the application listens on a port');

    const get = (...args: string[]) => curl(...args).then(({ out }) => out);
    assert.equal(await get('http://shop.mesh/orders/7'), '{"order":"7"}');
    writeFileSync(file, 'a body of some length\n');
    assert.equal(await get('--data-binary', `@${file}`, 'http://shop.mesh/upper'), 'A BODY OF SOME LENGTH\n');
    assert.match(await get('http://shop.mesh/caller'), /^spiffe:\/\/[^/]+\/ns\/default\/sa\/client/);
    const events = await get('http://shop.mesh/events');
    assert.equal(events, 'data: 0\n\ndata: 1\n\ndata: 2\n\n');
    assert.deepEqual(mesh.accidents(), []);
  });
});
