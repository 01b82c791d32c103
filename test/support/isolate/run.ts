/** Runs test files inside workerd: one bundle, in which each file is loaded when its turn comes, as an isolate wants it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program } from '../process.ts';
import { bundleWorker, WORKERD } from '../workerd.ts';
import type { TestResult } from './node-test.ts';
import { findObstacles } from './select.ts';

const SHIM = './test/support/isolate/node-test.ts';
const MARK = 'skein-test ';
const LIMIT_MS = 5 * 60_000;

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

export async function runInWorkerd(files: readonly string[]): Promise<IsolateRun> {
  const folder = mkdtempSync(join(tmpdir(), 'skein-isolate-'));
  try {
    const { text } = await bundleWorker(entryOf(files), { alias: { 'node:test': SHIM } });
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
  return `import { runFile } from '${SHIM}';
const files = {
${files.map((path) => `  ${JSON.stringify(path)}: () => import(${JSON.stringify(`./${path}`)}),`).join('\n')}
};
export default {
  async test() {
    let failed = 0;
    for (const [file, load] of Object.entries(files)) {
      await runFile(file, load, (result) => {
        if (result.state === 'failed') failed++;
        console.log(${JSON.stringify(MARK)} + JSON.stringify(result));
      });
    }
    if (failed > 0) throw new Error(failed + ' failed');
  },
};
`;
}

const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .suite)]);
const suite :Workerd.Worker = (
  modules = [(name = "suite.js", esModule = embed "suite.js")],
  compatibilityDate = "2026-11-01",
);
`;
