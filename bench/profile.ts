/**
 * `npm run bench -- profile [caller|callee|hub] [--load requests|download|joins|returns] [--seconds N] [--members N] [--keep]`: where the time
 * of one process goes, by what it was spent on, and the functions that took most of it by themselves. `--keep` writes it to bench/results/profile/,
 * of which tools/docs.mjs makes a table and a flame graph.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { type Sidecar, TestMesh } from '../test/support/mesh.ts';
import type { Program } from '../test/support/process.ts';
import { runDownloads } from './kit/download.ts';
import { toFlame } from './kit/flame.ts';
import { cpuOf, measure } from './kit/measure.ts';
import { PATIENCE_MS, startMembers } from './kit/membership.ts';
import { Origin } from './kit/origin.ts';
import { type CpuProfile, sumByCategory, sumByFunction } from './kit/profile-sums.ts';
import { programPath } from './kit/programs.ts';
import { circumstances, loadNow, saveResult } from './kit/report.ts';
import { waitForWay } from './kit/skein.ts';
import { runWrk } from './kit/wrk.ts';

const PARTS = ['caller', 'callee', 'hub'] as const;
const FUNCTIONS_SHOWN = 25;
const WARM_UP_SECONDS = 2;
/** Of the busy time: what is less is not kept. */
const LEAST_SHARE = 0.004;

type Part = (typeof PARTS)[number];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    load: { type: 'string', default: 'requests' },
    seconds: { type: 'string', default: '5' },
    members: { type: 'string', default: '300' },
    keep: { type: 'boolean', default: false },
  },
});
const part = (positionals[0] ?? 'caller') as Part;
const seconds = Number(values.seconds);
/** For `joins` and `returns`: so many come. */
const joining = Number(values.members);

const folder = mkdtempSync(join(tmpdir(), 'skein-profile-'));
const file = join(folder, 'cpu.json');
const loadBefore = loadNow();
const origin = await Origin.start();
const closers: (() => Promise<unknown>)[] = [() => origin.close()];
try {
  if (!PARTS.includes(part)) throw new RangeError(`there is no part "${part}": ${PARTS.join(', ')}`);
  const program = await runLoad();
  await program.stop();
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  print(profile);
  if (values.keep) process.stderr.write(`kept in ${save(profile)}\n`);
} finally {
  for (const close of closers.reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
}

/** @returns the program that was watched, which has not ended yet */
async function runLoad(): Promise<Program> {
  const watched = (name: Part) =>
    name === part
      ? {
          launcher: programPath('skein-parts'),
          env: { NODE_OPTIONS: `--import=${pathToFileURL(programPath('profiled'))}`, PROFILE_TO: file },
        }
      : {};
  const mesh = await TestMesh.start(watched('hub'));
  closers.push(() => mesh.close());
  // A hub is only passed by where there is no direct path.
  const direct = part !== 'hub';
  const expose = [`app=http://${origin.address}`];
  const common = { direct, http: false };
  const callee = await mesh.startSidecar({
    ...common,
    name: 'callee',
    services: ['app'],
    expose,
    ...watched('callee'),
  });
  const caller = await mesh.startSidecar({ name: 'caller', services: ['client'], direct, ...watched('caller') });
  if (values.load === 'joins') await letJoin(mesh);
  else if (values.load === 'returns') await letReturn(mesh);
  else await load(caller, direct, () => process.kill(watchedProgram().pid, 'SIGUSR2'));
  return watchedProgram();

  function watchedProgram(): Program {
    return { caller: caller.program, callee: callee.program, hub: mesh.hub }[part];
  }
}

/** @param begin called when all are warm */
async function load(caller: Sidecar, direct: boolean, begin: () => void): Promise<void> {
  const target = {
    ...{ name: 'skein', description: '', configuration: [], address: caller.http, host: 'app.mesh' },
    pids: () => ({}),
  };
  await waitForWay(target, direct ? 'direct' : 'relay');
  const run = (duration: number): Promise<unknown> =>
    values.load === 'download'
      ? runDownloads(target, duration)
      : runWrk(target, { connections: 64, seconds: duration });
  await run(WARM_UP_SECONDS);
  begin();
  await run(seconds);
}

/** Tells what a join costs as the mesh grows: in quarters, the last of which comes to a mesh of almost all. */
async function letJoin(mesh: TestMesh): Promise<void> {
  const crowd = await startMembers(mesh, 'crowd');
  closers.push(() => crowd.kill());
  const hub = { pids: () => ({ hub: [mesh.hub.pid] }) };
  for (let quarter = 1; quarter <= 4; quarter++) {
    const count = Math.round((joining * quarter) / 4);
    const more = count - Math.round((joining * (quarter - 1)) / 4);
    const measured = await measure(hub, () => crowd.command({ do: 'join', count }, PATIENCE_MS));
    const each = (cpuOf(measured, 'hub') / more) * 1000;
    process.stdout.write(`${more} joined, ${count} in all: ${each.toFixed(2)} ms of the hub's time each\n`);
  }
}

/** Whoever watches the hub sees the one that is started again: the first one has no time to tell anything. */
async function letReturn(mesh: TestMesh): Promise<void> {
  const members = await startMembers(mesh, 'crowd');
  closers.push(() => members.kill());
  await members.command({ do: 'join', count: joining }, PATIENCE_MS);
  await mesh.hub.kill();
  await mesh.startHub();
  await members.command({ do: 'returned', sinceMs: Date.now() }, PATIENCE_MS);
}

/** What a process spent its time on while it had something to do. */
function busyByCategory(profile: CpuProfile): { busy: number; categories: [name: string, micros: number][] } {
  const categories = [...sumByCategory(profile)].filter(([name]) => name !== 'idle');
  return { busy: categories.reduce((sum, [, micros]) => sum + micros, 0), categories };
}

function save(profile: CpuProfile): string {
  const { busy, categories } = busyByCategory(profile);
  const shares = categories.map(([name, micros]) => ({ name, share: Number((micros / busy).toFixed(4)) }));
  const kept = {
    ...{ part, load: values.load, ...circumstances(loadBefore), node: process.version, busySeconds: busy / 1e6 },
    shares: shares.filter(({ share }) => share >= LEAST_SHARE),
    flame: toFlame(profile, LEAST_SHARE),
  };
  return saveResult(`profile/${part}-${kept.load}`, kept, { indent: 0 });
}

function print(profile: CpuProfile): void {
  const { busy, categories } = busyByCategory(profile);
  const line = (micros: number, text: string) =>
    process.stdout.write(`${((micros / busy) * 100).toFixed(1).padStart(6)} %  ${text}\n`);
  process.stdout.write(
    `${part}, load of ${values.load}: ${(busy / 1e6).toFixed(2)} s busy; self time by what it was spent on\n`,
  );
  for (const [name, micros] of categories) if (micros / busy > 0.001) line(micros, name);
  process.stdout.write(`the ${FUNCTIONS_SHOWN} functions with most self time\n`);
  for (const [name, micros] of [...sumByFunction(profile)].slice(0, FUNCTIONS_SHOWN)) line(micros, name);
}
