/** Bundles of modules for browsers, as applications make them. */
import { build, type Metafile, type Plugin } from 'esbuild';
import { root } from './repository.ts';

export interface WebBundle {
  readonly text: string;
  readonly metafile: Metafile;
}

export interface WebBundleOptions {
  readonly minify?: boolean;
  readonly plugins?: Plugin[];
}

/** @param entry path of a module of the repository, or the text of one */
export async function bundleForWeb(
  entry: string,
  { minify = false, plugins = [] }: WebBundleOptions = {},
): Promise<WebBundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    ...(entry.includes('\n') ? { stdin: { contents: entry, resolveDir: root } } : { entryPoints: [entry] }),
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2023',
    conditions: ['browser'],
    logLevel: 'silent',
    alias: { 'skein/browser': './src/browser.ts' },
    minify,
    plugins,
  });
  return { text: outputFiles[0]?.text ?? '', metafile };
}
