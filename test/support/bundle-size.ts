/** What a bundle weighs, and which folders and files of it weigh most. */
import { gzipSync } from 'node:zlib';
import type { Metafile } from 'esbuild';
import { printFigures } from './figures.ts';

export interface BundleSize {
  /** Bytes, minified. */
  readonly minified: number;
  /** Bytes as they travel; Cloudflare counts these. */
  readonly gzip: number;
}

const FOLDERS_SHOWN = 24;
const FILES_SHOWN = 12;

/** Prints the largest parts, in bytes. */
export function measureBundle(name: string, text: string, { outputs }: Metafile): BundleSize {
  const size = { minified: Buffer.byteLength(text), gzip: gzipSync(text, { level: 9 }).length };
  const folders = new Map<string, number>();
  const files = new Map<string, number>();
  for (const { inputs } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      files.set(path, bytesInOutput);
      const folder = /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? path.replace(/\/[^/]*$/, '');
      folders.set(folder, (folders.get(folder) ?? 0) + bytesInOutput);
    }
  }
  printFigures(`bundle: ${name}`, {
    ...size,
    folders: largest(folders, FOLDERS_SHOWN),
    files: largest(files, FILES_SHOWN),
  });
  return size;
}

function largest(parts: ReadonlyMap<string, number>, count: number): Record<string, number> {
  return Object.fromEntries([...parts].sort(([, a], [, b]) => b - a).slice(0, count));
}
