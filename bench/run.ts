/**
 * `npm run bench`: P1, P4, P5 and the routes of P13 of bench/README.md. Each pair runs the peer and skein one after the other in the same minute
 * against the same origin; what counts is the ratio within a pair, and of those the median.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { currentHost } from '../test/runtime/capabilities.ts';
import { root } from '../test/support/repository.ts';
import { startContenders } from './contenders.ts';
import { type Download, download, runWrk, type WrkResult } from './generators.ts';
import { alternate, type Measured, pair } from './measure.ts';
import { startRouted } from './routes.ts';

const DOWNLOAD_BYTES = 64 * 1024 * 1024;
const ALL = ['P1', 'P4', 'P5', 'P13'];
const ROUTES = 1_000;

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    only: { type: 'string', default: ALL.join() },
  },
});
const pairs = Number(values.pairs);
const seconds = Number(values.seconds);
const wanted = new Set(values.only.split(','));

for (const command of ['nginx', 'openssl', 'wrk', 'curl']) {
  if (currentHost().hasCommand(command)) continue;
  process.stderr.write(`Cannot run the benches: ${command} is not installed (Debian: apt-get install ${command})\n`);
  process.exit(1);
}

const { contenders, versions, close } = await startContenders(DOWNLOAD_BYTES);
const { nginx, skein, pipe } = contenders;
const figures: Record<string, unknown> = {};
process.stdout.write(`skein: ${skein.description}\n`);
try {
  for (const each of Object.values(contenders)) await runWrk(each, 64, 1); // warm
  if (wanted.has('P1')) figures.P1 = await benchThroughput();
  if (wanted.has('P4')) figures.P4 = await benchLatency();
  if (wanted.has('P5')) figures.P5 = await benchDownload();
} finally {
  await close();
}
if (wanted.has('P13')) figures.P13 = await benchRoutes();

const report = {
  measuredAt: new Date().toISOString(),
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim(),
  path: skein.description,
  machine: { processor: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version },
  versions,
  pairs,
  seconds,
  figures,
};
// A part of the figures would stand for a whole run.
if (ALL.every((id) => wanted.has(id))) {
  const folder = join(root, 'bench/results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'end-to-end.json'), `${JSON.stringify(report, undefined, 2)}\n`);
}

async function benchThroughput(): Promise<unknown> {
  const runs = await alternate(pairs, nginx, skein, (contender) => runWrk(contender, 64, seconds));
  const perRequest = (run: Measured<WrkResult>, groups: readonly string[]) =>
    (groups.reduce((sum, group) => sum + (run.cpuSeconds[group] ?? 0), 0) / run.result.requests) * 1e6;
  const rows = runs.map(([peer, own]) => ({
    nginx: { ...peer.result, cpuMicros: perRequest(peer, ['proxies']) },
    skein: {
      ...own.result,
      cpuMicros: perRequest(own, ['proxies']),
      cpuMicrosWithHub: perRequest(own, ['proxies', 'hub']),
    },
  }));
  const summary = {
    requestsPerSecond: pair(rows, (row) => [row.nginx.perSecond, row.skein.perSecond]),
    cpuMicros: pair(rows, (row) => [row.nginx.cpuMicros, row.skein.cpuMicros]),
    cpuMicrosWithHub: pair(rows, (row) => [row.nginx.cpuMicros, row.skein.cpuMicrosWithHub]),
    p99Ms: pair(rows, (row) => [row.nginx.p99Ms, row.skein.p99Ms]),
    errors: rows.reduce((sum, row) => sum + row.nginx.errors + row.skein.errors, 0),
  };
  say('P1  64 connections, 100 bytes', summary);
  return { summary, rows };
}

async function benchLatency(): Promise<unknown> {
  const toPipe = await alternate(pairs, pipe, skein, (contender) => runWrk(contender, 1, seconds));
  const toNginx = await alternate(pairs, nginx, skein, (contender) => runWrk(contender, 1, seconds));
  const p50 = ([peer, own]: readonly [Measured<WrkResult>, Measured<WrkResult>]) =>
    [peer.result.p50Ms, own.result.p50Ms] as const;
  const summary = { p50MsToRawPipe: pair(toPipe, p50), p50MsToNginx: pair(toNginx, p50) };
  say('P4  1 connection', summary);
  return { summary, rows: [toPipe, toNginx] };
}

async function benchDownload(): Promise<unknown> {
  const runs = await alternate(pairs, nginx, skein, (contender) => download(contender, DOWNLOAD_BYTES));
  const cpu = (run: Measured<Download>, ...groups: string[]) =>
    groups.reduce((sum, group) => sum + (run.cpuSeconds[group] ?? 0), 0) * 1000;
  const summary = {
    megabytesPerSecond: pair(runs, ([peer, own]) => [peer.result.megabytesPerSecond, own.result.megabytesPerSecond]),
    cpuMs: pair(runs, ([peer, own]) => [cpu(peer, 'proxies'), cpu(own, 'proxies')]),
    cpuMsWithHub: pair(runs, ([peer, own]) => [cpu(peer, 'proxies'), cpu(own, 'proxies', 'hub')]),
  };
  say(`P5  download of ${DOWNLOAD_BYTES / 2 ** 20} MiB, one stream`, summary);
  return { summary, rows: runs };
}

/** The same requests with one route and with many: what looking for the route costs. */
async function benchRoutes(): Promise<unknown> {
  const { one, many, close: closeRouted } = await startRouted(ROUTES);
  try {
    for (const each of [one, many]) await runWrk(each, 64, 1); // warm
    const runs = await alternate(pairs, one, many, (contender) => runWrk(contender, 64, seconds));
    const micros = ({ result, cpuSeconds }: Measured<WrkResult>, group: string) =>
      ((cpuSeconds[group] ?? 0) / result.requests) * 1e6;
    const summary = {
      cpuMicros: pair(runs, ([few, lots]) => [micros(few, 'proxies'), micros(lots, 'proxies')]),
      cpuMicrosOfCaller: pair(runs, ([few, lots]) => [micros(few, 'caller'), micros(lots, 'caller')]),
      requestsPerSecond: pair(runs, ([few, lots]) => [few.result.perSecond, lots.result.perSecond]),
      errors: runs.reduce((sum, [few, lots]) => sum + few.result.errors + lots.result.errors, 0),
    };
    say(`P13 1 route and ${ROUTES}`, summary, ['1:', `${ROUTES}:`]);
    return { summary, rows: runs };
  } finally {
    await closeRouted();
  }
}

function say(title: string, summary: Readonly<Record<string, unknown>>, [first, second] = ['peer', 'skein']): void {
  process.stdout.write(`${title}\n`);
  for (const [name, value] of Object.entries(summary)) {
    const { peer, skein: own, ratio } = value as { peer?: number; skein?: number; ratio?: number };
    const text = peer === undefined ? String(value) : `${first} ${peer}   ${second} ${own}   ratio ${ratio}`;
    process.stdout.write(`    ${name.padEnd(20)} ${text}\n`);
  }
  process.stdout.write(`${JSON.stringify({ figures: title.split(' ', 1)[0], ...summary })}\n`);
}
