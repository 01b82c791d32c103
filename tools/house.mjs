/** What the tools share: the root, child processes, installing and building only when something changed. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const cache = join(root, 'node_modules', '.cache', 'skein');

/** Says something to the person at the terminal; stdout belongs to the program that a tool starts. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Every file below `folder`, as paths relative to the root with `/`. */
export function filesBelow(folder) {
  const found = [];
  const walk = (path) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue;
      const child = join(path, entry.name);
      if (entry.isDirectory()) walk(child);
      else found.push(relative(root, child).split(sep).join('/'));
    }
  };
  if (existsSync(join(root, folder))) walk(join(root, folder));
  return found.sort();
}

/**
 * Runs a program to its end.
 * @param options.output `'stderr'` (default) lets it print there, `'stdout'` lets it own stdout, `'capture'` keeps it.
 * @returns exit code, captured output and milliseconds
 */
export function run(command, args, { output = 'stderr', env = {}, cwd = root, timeoutMs } = {}) {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const stdout = output === 'stdout' ? 'inherit' : output === 'stderr' ? process.stderr : 'pipe';
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', stdout, output === 'capture' ? 'pipe' : 'inherit'],
    });
    const chunks = [];
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => chunks.push(chunk));
    const timer = timeoutMs && setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const text = Buffer.concat(chunks).toString();
      resolve({ code: code ?? 1, signal, text, ms: Math.round(performance.now() - started) });
    });
  });
}

/** The file that runs a package's command (its first one), from its package.json. */
export function binOf(name) {
  const folder = join(root, 'node_modules', name);
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return join(folder, typeof bin === 'string' ? bin : Object.values(bin)[0]);
}

/** Installs a package folder from its lock file, unless node_modules already holds exactly what the lock says. */
export async function ensureInstalled(folder = '.') {
  if (isInstalled(folder)) return;
  say(`installing ${folder === '.' ? 'dependencies' : folder}…`);
  const npm = process.env.npm_execpath;
  const [command, args] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []];
  // A caller's `npm start --silent` and the like must not travel into this install.
  const { code } = await run(command, [...args, 'ci', '--no-fund', '--no-audit', '--loglevel=error'], {
    cwd: join(root, folder),
  });
  if (code !== 0) throw new Error(`Cannot install ${folder}: npm ci ended with ${code}`);
}

function isInstalled(folder) {
  const read = (path) => JSON.parse(readFileSync(join(root, folder, path), 'utf8')).packages;
  if (!existsSync(join(root, folder, 'node_modules/.package-lock.json'))) return false;
  const wanted = read('package-lock.json');
  const present = read('node_modules/.package-lock.json');
  return Object.entries(wanted).every(([where, entry]) => {
    if (where === '' || entry.link || !where.startsWith('node_modules/')) return true;
    const version = present[where]?.version;
    return version === entry.version || (version === undefined && entry.optional === true && !fitsHere(entry));
  });
}

/** Is an optional package made for this operating system, processor and C library? One that names none never counts. */
function fitsHere({ os, cpu, libc }) {
  const names = (list, value) => [list].flat().includes(value);
  const here = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
  return names(os, process.platform) && names(cpu, process.arch) && (!libc || names(libc, here));
}

/**
 * Compiles one of the outputs, `dist` (the package) or `build` (sources and tests), if an input changed.
 * Files appear one by one, complete, and only when their content differs, so that a program reading the
 * old output at the same moment never sees half a file.
 * @returns the number of type errors, 0 when clean
 */
export async function build(output) {
  const config = output === 'dist' ? 'tsconfig.build.json' : 'tsconfig.test.json';
  const inputs = [
    ...filesBelow('src'),
    ...(output === 'dist' ? [] : [...filesBelow('test'), ...filesBelow('bench'), ...filesBelow('examples')]),
    'tsconfig.json',
    config,
    'tools/house.mjs',
    'package-lock.json',
  ].filter((path) => !path.startsWith('test/runtimes/'));
  const state = createHash('sha256');
  for (const path of inputs) {
    const { mtimeMs, size } = statSync(join(root, path));
    state.update(`${path} ${mtimeMs} ${size}\n`);
  }
  const digest = state.digest('hex');
  const stamp = join(cache, `${output}.stamp`);
  if (existsSync(join(root, output)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return 0;

  mkdirSync(cache, { recursive: true });
  // As deep as the output itself, so that the source maps still point at the sources after the move.
  const fresh = mkdtempSync(join(root, `.${output}-`));
  try {
    const tsc = await run(process.execPath, [binOf('typescript'), '-p', config, '--outDir', fresh], {
      output: 'capture',
    });
    const errors = tsc.text.split('\n').filter((line) => /error TS\d+/.test(line)).length;
    if (tsc.code !== 0) process.stderr.write(tsc.text);
    if (output === 'dist' && existsSync(join(fresh, 'cli'))) await bundleCommand(fresh);
    publish(fresh, join(root, output));
    if (tsc.code === 0) writeFileSync(stamp, digest);
    else rmSync(stamp, { force: true });
    return tsc.code === 0 ? 0 : Math.max(errors, 1);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/**
 * `cli` of the compiled package once more, as `command`: a few files with its packages inside, since each module costs memory that a sidecar
 * keeps, and time at its start. What is loaded later stays apart.
 */
async function bundleCommand(folder) {
  // Not before it is installed.
  const { build: bundle } = await import('esbuild');
  await bundle({
    entryPoints: [join(folder, 'cli/main.js')],
    outdir: join(folder, 'command'),
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // Names stay as they are, for stack traces.
    minifySyntax: true,
    minifyWhitespace: true,
    lineLimit: 200,
    // What the user installs when it is needed, and helpers in machine code that packages do without.
    external: ['@nats-io/*', 'bufferutil', 'utf-8-validate', 'msgpackr-extract'],
    // For packages that are CommonJS.
    banner: {
      js: "import { createRequire as createRequireOfBundle } from 'node:module';const require = createRequireOfBundle(import.meta.url);",
    },
    logLevel: 'warning',
  });
}

/** Makes `target` equal to `fresh`: writes what differs, removes what is gone. */
function publish(fresh, target) {
  mkdirSync(target, { recursive: true });
  const wanted = readdirSync(fresh, { withFileTypes: true });
  const names = new Set(wanted.map((entry) => entry.name));
  for (const name of readdirSync(target)) {
    if (!names.has(name)) rmSync(join(target, name), { recursive: true, force: true });
  }
  for (const entry of wanted) {
    const [from, to] = [join(fresh, entry.name), join(target, entry.name)];
    if (entry.isDirectory()) publish(from, to);
    else if (!existsSync(to) || !readFileSync(from).equals(readFileSync(to))) renameSync(from, to);
  }
}

/** One line that says how a run ended, in the form `N passed, N failed, N skipped`. */
export function closing({ passed, failed, skipped }, label) {
  return `${label ? `${label}: ` : ''}${passed} passed, ${failed} failed, ${skipped} skipped`;
}
