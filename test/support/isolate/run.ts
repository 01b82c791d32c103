/** Runs test files inside workerd: one bundle, in which each file is loaded when its turn comes, as an isolate wants it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Plugin } from 'esbuild';
import type { TestResult as NamedResult } from '../neutral/node-test.ts';
import { Program } from '../process.ts';
import { root } from '../repository.ts';
import { bundleWorker, WORKERD } from '../workerd.ts';
import { findObstacles } from './select.ts';

const SHIM = './test/support/neutral/node-test.ts';
const MARK = 'skein-test ';
const LIMIT_MS = 10 * 60_000;

export interface TestResult extends NamedResult {
  readonly file: string;
}

export interface IsolateRun {
  /** 0 when all passed. */
  readonly code: number;
  readonly tests: readonly TestResult[];
}

export interface Selection {
  /** Files that an isolate can run. */
  readonly files: readonly string[];
  /** What keeps the others from it → how many. */
  readonly obstacles: ReadonlyMap<string, number>;
}

export function selectFiles(files: readonly string[]): Selection {
  const obstacles = new Map<string, number>();
  const found = findObstacles(files);
  for (const obstacle of found.values()) {
    if (obstacle !== undefined) obstacles.set(obstacle, (obstacles.get(obstacle) ?? 0) + 1);
  }
  return { files: files.filter((path) => found.get(path) === undefined), obstacles };
}

/** As many isolates at once as the machine has processors. */
export async function runInWorkerd(files: readonly string[]): Promise<IsolateRun> {
  const parts = Math.min(files.length, availableParallelism());
  const runs = await Promise.all(
    Array.from({ length: parts }, (_, part) => runPart(files.filter((_each, i) => i % parts === part))),
  );
  return { code: Math.max(...runs.map(({ code }) => code)), tests: runs.flatMap(({ tests }) => tests) };
}

async function runPart(files: readonly string[]): Promise<IsolateRun> {
  const folder = mkdtempSync(join(tmpdir(), 'skein-isolate-'));
  try {
    const { text } = await bundleWorker(entryOf(files), { alias: { 'node:test': SHIM }, plugins: [OWN_PLATFORM] });
    writeFileSync(join(folder, 'suite.js'), text);
    writeFileSync(join(folder, 'suite.capnp'), CONFIG);
    const program = new Program(WORKERD, ['test', 'suite.capnp'], { name: 'workerd test', cwd: folder });
    const { code } = await program.waitForExit(LIMIT_MS);
    const tests = program.stdout
      .split('\n')
      .filter((line) => line.startsWith(MARK))
      .map((line) => JSON.parse(line.slice(MARK.length)) as TestResult);
    const isWhole = files.every((file) => tests.some((test) => test.file === file));
    if (!isWhole) process.stderr.write(`${program.tail(30)}\n`);
    return { code: isWhole ? (code ?? 1) : 1, tests };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Nothing random, no timers and no I/O may happen while a module is loaded at the start: so each file is loaded by the handler. */
function entryOf(files: readonly string[]): string {
  return `import { runDeclared } from '${SHIM}';
import { useTaskChannels } from './test/support/isolate/tasks.ts';
const files = {
${files.map((path) => `  ${JSON.stringify(path)}: () => import(${JSON.stringify(`./${path}`)}),`).join('\n')}
};
async function run(load) {
  try {
    await load();
    return await runDeclared();
  } catch (thrown) {
    return [{ name: 'the whole file', state: 'failed', text: String(thrown.stack ?? thrown) }];
  }
}
export default {
  async test() {
    useTaskChannels();
    let failed = 0;
    for (const [file, load] of Object.entries(files)) {
      for (const result of await run(load)) {
        if (result.state === 'failed') failed++;
        console.log(${JSON.stringify(MARK)} + JSON.stringify({ file, ...result }));
      }
    }
    if (failed > 0) throw new Error(failed + ' failed');
  },
};
`;
}

const OWN_PLATFORM: Plugin = {
  name: 'own-platform',
  setup({ onResolve }) {
    onResolve({ filter: /\/(?:runtime\/node\/platform|folder)\.ts$/ }, () => ({
      path: join(root, 'test/support/isolate/platform.ts'),
    }));
  },
};

const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .suite)]);
const suite :Workerd.Worker = (
  modules = [(name = "suite.js", esModule = embed "suite.js")],
  compatibilityDate = "2026-11-01",
);
`;
