/** `npm run build:exe`: the `skein` command with a runtime inside, one file that needs nothing else on the machine. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { binOf, ensureInstalled, root, run } from './house.mjs';

const HELP = `Usage: npm run build:exe -- [options]

Builds the skein command as one executable file with a runtime inside, for this operating system and processor.
It needs no Node, no Bun, no npm and no other file where it runs.

Options:
  --runtime <node|bun>  the runtime inside; may be given twice (default: both)
                        node: the one that runs this, as a single executable application; it must be a build that
                        holds itself whole, as those of nodejs.org do, and not one of a distribution
                        bun: the one of the test suite, which is installed if need be
  --out <folder>        where skein-node and skein-bun go (default: exe)
  -h, --help            this text

Example:
  npm run build:exe -- --runtime bun --out /usr/local/bin
`;

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const BUN = join(root, 'test/runtimes/node_modules/@oven/bun-linux-x64/bin/bun');

/** Runtime → how its executable is made. Each takes a folder for what it needs on the way, and the file to make. */
const MAKERS = { node: makeNode, bun: makeBun };

/** What `bin/skein` is elsewhere. The version is told, as there is no package.json beside. */
function entryOf(...first) {
  return [
    ...first,
    `import process from 'node:process';`,
    `import { main } from ${JSON.stringify(join(root, 'src/cli/main.ts'))};`,
    `main(process.argv.slice(2), ${JSON.stringify(manifest.version)}).then((code) => { process.exitCode = code; });`,
  ].join('\n');
}

/** Where Node looks whether it holds a program. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** A copy of Node with a note in it that says what to run (https://nodejs.org/api/single-executable-applications.html). */
async function makeNode(work, file) {
  if (!readFileSync(process.execPath).includes(FUSE)) {
    throw new Error(`${process.execPath} cannot hold a program: use a build of nodejs.org`);
  }
  // Not before it is installed.
  const { build } = await import('esbuild');
  const bundle = join(work, 'skein.cjs');
  await build({
    // As bin/skein has it.
    stdin: {
      contents: entryOf(
        `import { setFlagsFromString } from 'node:v8';`,
        `setFlagsFromString('--no-allocation-site-pretenuring');`,
        `setFlagsFromString('--semi-space-growth-factor=1');`,
        `setTimeout(() => setFlagsFromString('--semi-space-growth-factor=2'), 2_000).unref();`,
      ),
      resolveDir: root,
    },
    outfile: bundle,
    bundle: true,
    platform: 'node',
    target: 'node20',
    // The only kind of program that every Node takes.
    format: 'cjs',
    // Packages that do without their helpers in machine code, which one file cannot hold, when they are told so.
    external: ['bufferutil', 'utf-8-validate'],
    define: {
      'process.env.WS_NO_BUFFER_UTIL': '"1"',
      'process.env.WS_NO_UTF_8_VALIDATE': '"1"',
    },
    logOverride: { 'empty-import-meta': 'silent' },
    logLevel: 'warning',
  });
  const blob = join(work, 'skein.blob');
  const config = join(work, 'sea.json');
  writeFileSync(config, JSON.stringify({ main: bundle, output: blob, disableExperimentalSEAWarning: true }));
  await mustRun(process.execPath, ['--experimental-sea-config', config], work);
  copyFileSync(process.execPath, file);
  chmodSync(file, 0o755);
  const note = [file, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE];
  await mustRun(process.execPath, [binOf('postject'), ...note], work);
}

/** Settings that lie around where it is started (.env, bunfig.toml) are none of its own. */
async function makeBun(work, file) {
  await ensureInstalled('test/runtimes');
  const entry = join(work, 'skein.mjs');
  writeFileSync(entry, entryOf());
  const args = ['build', '--compile', '--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'];
  await mustRun(BUN, [...args, entry, '--outfile', file], work);
}

async function mustRun(command, args, cwd) {
  const { code, text } = await run(command, args, { output: 'capture', cwd });
  if (code !== 0) throw new Error(`${command} ${args[0]} ended with ${code}\n${text}`);
}

const { values } = parseArgs({
  options: {
    runtime: { type: 'string', multiple: true, default: Object.keys(MAKERS) },
    out: { type: 'string', default: join(root, 'exe') },
    help: { type: 'boolean', short: 'h' },
  },
});
const unknown = values.runtime.filter((name) => !Object.hasOwn(MAKERS, name));
if (values.help || unknown.length > 0) {
  process.stdout.write(unknown.length > 0 ? `Unknown runtime: ${unknown.join(', ')}\n\n${HELP}` : HELP);
  process.exitCode = unknown.length > 0 ? 2 : 0;
} else {
  await ensureInstalled();
  const out = resolve(values.out);
  mkdirSync(out, { recursive: true });
  for (const runtime of values.runtime) {
    const work = mkdtempSync(join(tmpdir(), 'skein-exe-'));
    const file = join(out, `skein-${runtime}`);
    const started = performance.now();
    try {
      await MAKERS[runtime](work, file);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    const version = execFileSync(file, ['--version'], { encoding: 'utf8' }).trim();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      `${file}: skein ${version}, ${(statSync(file).size / 1024 ** 2).toFixed(0)} MiB, built in ${seconds} s`,
    );
  }
}
