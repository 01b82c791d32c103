/** The repository as data: its root wherever the tests run from (sources or build/), and its files as text. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Paths relative to the root, with `/`, and what the files say. */
export type Tree = ReadonlyMap<string, string>;

export const root = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  const manifest = join(folder, 'package.json');
  if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'skein') return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error('Cannot find the root: no package.json of skein above the tests');
  return findRoot(parent);
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Every TypeScript file below `folder`, declaration files and installed packages excepted. */
export function readTree(folder: string): Tree {
  const tree = new Map<string, string>();
  const walk = (path: string): void => {
    const entries = readdirSync(join(root, path), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const child = `${path}/${entry.name}`;
      if (entry.name === 'node_modules') continue;
      if (entry.isDirectory()) walk(child);
      else if (/(?<!\.d)\.ts$/.test(entry.name)) tree.set(child, readText(child));
    }
  };
  if (existsSync(join(root, folder))) walk(folder);
  return tree;
}
