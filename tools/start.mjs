/**
 * `npm start [-- options]`: installs and builds what is missing, then runs `skein demo` with the options in this very
 * process. Everything before the program goes to stderr: stdout carries the program's own lines.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, ensureInstalled, root, say } from './house.mjs';

await ensureInstalled();
if ((await build('dist')) > 0) say('warning: built with type errors');
const program = join(root, 'dist/command/main.js');
if (!existsSync(program)) throw new Error('Cannot start the demo: the build made no dist/command/main.js');

// A supervisor that stops npm reaches only npm's shell, which dies without a word to us. Notice, and drain as if told;
// unless a signal did come, since a second one means "at once".
let told = false;
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => (told = true));
const parent = process.ppid;
const watch = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(watch);
  if (!told) process.kill(process.pid, 'SIGTERM');
}, 250).unref();

const { main } = await import(pathToFileURL(program).href);
process.exitCode = await main(['demo', ...process.argv.slice(2)]);
