/** Workers and Durable Objects in the real workerd: bundles a module, writes the configuration, starts, waits, stops. */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
import { Program } from './process.ts';
import { root } from './repository.ts';

export const WORKERD = join(root, 'test/runtimes/node_modules/@cloudflare/workerd-linux-64/bin/workerd');
/** The newest date whose behaviour we stand up for; Blobs are the default of WebSockets, nodejs_compat of Workers. */
const COMPATIBILITY_DATE = '2026-11-01';

const LISTEN = '127.0.0.1:0';

interface Place {
  /** Where to listen. @default "127.0.0.1:0" */
  readonly listen?: string;
  /** Command that starts it, as of a network namespace. */
  readonly within?: readonly string[];
}

export interface WorkerOptions extends Place {
  /** A module of the repository, as TypeScript: `test/support/workers/member.ts`. */
  readonly entry: string;
  /** Texts in `env`. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Durable Objects: name in `env` → exported class. */
  readonly objects?: Readonly<Record<string, string>>;
  /** Bindings to this very Worker: name in `env` → exported entry point, `default` being the Worker's own. */
  readonly services?: Readonly<Record<string, string>>;
  /** @default "2026-11-01" */
  readonly compatibilityDate?: string;
}

export class Workerd {
  readonly program: Program;
  readonly url: string;
  readonly #folder: string;

  private constructor(program: Program, url: string, folder: string) {
    this.program = program;
    this.url = url;
    this.#folder = folder;
  }

  /** Starts a Worker; what its objects store lives as long as this. @param folder of one that was stopped before, whose objects go on */
  static async start(options: WorkerOptions, folder = makeFolder()): Promise<Workerd> {
    mkdirSync(join(folder, 'storage'), { recursive: true });
    writeFileSync(join(folder, 'worker.js'), (await bundleWorker(options.entry)).text);
    writeFileSync(join(folder, 'config.capnp'), configOf(options));
    return Workerd.#serve(folder, ['config.capnp'], options);
  }

  /**
   * Starts a project as a user has it, in a copy: workerd reads its wrangler.jsonc, and bundles it with the built package.
   * @param vars what a user writes in there, or gives as secrets
   */
  static startProject(project: string, vars: Readonly<Record<string, string>>, at: Place = {}): Promise<Workerd> {
    const folder = makeFolder();
    cpSync(join(root, project), folder, { recursive: true });
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(root, join(folder, 'node_modules/skein'), 'dir');
    const path = join(folder, 'wrangler.jsonc');
    const text = readFileSync(path, 'utf8').replace(/"vars": \{[^}]*\}/, `"vars": ${JSON.stringify(vars)}`);
    writeFileSync(path, text);
    // Cron triggers are an experiment of workerd, though not of Cloudflare.
    return Workerd.#serve(folder, ['wrangler.jsonc', '--experimental'], at);
  }

  static async #serve(folder: string, args: readonly string[], { within, listen = LISTEN }: Place): Promise<Workerd> {
    const program = new Program(
      WORKERD,
      ['serve', ...args, '--control-fd=1', `--socket-addr=http=${listen}`, '--verbose'],
      {
        name: 'workerd',
        cwd: folder,
        env: { WORKERD_ESBUILD: join(root, 'node_modules/.bin/esbuild') },
        ...(within === undefined ? {} : { within }),
      },
    );
    const told = await program.waitForOutput(/"socket":"http","port":\d+/);
    const port = /"socket":"http","port":(\d+)/.exec(told)?.[1];
    return new Workerd(program, `http://${listen.replace(/:\d+$/, '')}:${port}`, folder);
  }

  get folder(): string {
    return this.#folder;
  }

  /** Ends the process, and leaves what its objects have stored. */
  async stop(): Promise<void> {
    this.program.signal('SIGTERM');
    await this.program.exited;
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'skein-workerd-'));
}

export interface BundleOptions {
  readonly minify?: boolean;
  readonly alias?: Readonly<Record<string, string>>;
  readonly plugins?: readonly Plugin[];
}

export interface Bundle {
  readonly text: string;
  readonly metafile: Metafile;
}

/** One module of what `entry` needs, as wrangler would make it. @param entry path of a module, or the text of one */
export async function bundleWorker(
  entry: string,
  { minify = false, alias = {}, plugins = [] }: BundleOptions = {},
): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    ...(entry.includes('\n') ? { stdin: { contents: entry, resolveDir: root } } : { entryPoints: [entry] }),
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2023',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['node:*', 'cloudflare:*'],
    logLevel: 'silent',
    minify,
    plugins: [NODE_BUILTINS, ...plugins],
    alias: { 'skein/workerd': './src/workerd.ts', ...alias },
  });
  return { text: outputFiles[0]?.text ?? '', metafile };
}

/** Packages for Node `require` its modules without `node:`; wrangler gives them those of workerd, and so does this. */
const NODE_BUILTINS: Plugin = {
  name: 'node-builtins',
  setup({ onResolve, onLoad }) {
    const filter = new RegExp(`^(?:${builtinModules.filter((name) => !name.startsWith('node:')).join('|')})$`);
    onResolve({ filter }, ({ path }) => ({ path, namespace: 'node-builtin' }));
    onLoad({ filter: /./, namespace: 'node-builtin' }, ({ path }) => ({
      contents: `export * from 'node:${path}';\nexport { default } from 'node:${path}';`,
    }));
  },
};

function configOf(options: WorkerOptions): string {
  const { vars = {}, objects = {}, services = {}, compatibilityDate = COMPATIBILITY_DATE } = options;
  const classes = [...new Set(Object.values(objects))];
  const bindings = [
    ...Object.entries(vars).map(([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`),
    ...Object.entries(objects).map(([name, of]) => `(name = "${name}", durableObjectNamespace = "${of}")`),
    ...Object.entries(services).map(([name, of]) => {
      const entry = of === 'default' ? '' : `, entrypoint = "${of}"`;
      return `(name = "${name}", service = (name = "main"${entry}))`;
    }),
  ];
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private", "local"])),
    (name = "storage", disk = (path = "storage", writable = true)),
  ],
  sockets = [(name = "http", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "${compatibilityDate}",
  compatibilityFlags = [${compatibilityDate < '2026-08-04' ? '"nodejs_compat"' : ''}],
  globalOutbound = "internet",
  bindings = [${bindings.join(', ')}],
  durableObjectNamespaces = [${classes.map((name) => `(className = "${name}", uniqueKey = "${name}", enableSql = true)`).join(', ')}],
  durableObjectStorage = (localDisk = "storage"),
);
`;
}
