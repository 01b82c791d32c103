/**
 * What Deno says of the package: types of all entries by its own TypeScript, older than ours; documentation of all that they
 * export (`deno doc --lint`), of each entry by itself, so that whoever imports one can name every type in it; and whether it
 * could be published to JSR, types that are not written out included (`deno publish --dry-run`).
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureInstalled, root, run } from './house.mjs';

/** Its package serves Linux on x64 only. */
export const DENO = 'test/runtimes/node_modules/@deno/linux-x64-glibc/deno';
const { exports: entries } = JSON.parse(readFileSync(join(root, 'deno.json'), 'utf8'));

/** What takes a minute. A working tree that git finds changed is no reason not to look. */
export const PACKAGE_CHECKS = {
  'deno check': ['check', '--quiet', ...Object.values(entries), './src/cli/main.ts'],
  'deno publish --dry-run': ['publish', '--dry-run', '--allow-dirty'],
};

/** @returns code and errors of `deno ARGS` */
export async function askDeno(args) {
  const binary = join(root, DENO);
  if (!existsSync(binary)) return { code: 1, text: 'Deno is not installed: its package serves Linux on x64 only' };
  const { code, text } = await run(binary, args, { output: 'capture', env: { NO_COLOR: '1' } });
  // Of packages that are not its own it warns at length before it comes to the errors.
  return { code, text: code === 0 ? '' : text.slice(Math.max(0, text.search(/^(?:error|TS\d+)/m))) };
}

/** Lints the documentation of every entry, where there is a Deno. */
export async function lintDocs() {
  await ensureInstalled('test/runtimes');
  if (!existsSync(join(root, DENO))) return { code: 0, text: '' };
  const failed = [];
  for (const [name, path] of Object.entries(entries)) {
    const { code, text } = await askDeno(['doc', '--lint', path]);
    if (code !== 0) failed.push(`skein${name.slice(1)}: ${text}`);
  }
  return { code: failed.length === 0 ? 0 : 1, text: failed.join('\n') };
}
