/** A mesh of real processes: one hub, and sidecars that join with tokens of their own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Program,
  type ProgramOptions,
  type ReadyLine,
  runSkein,
  type SkeinOptions,
  startHelper,
  startSkein,
} from './process.ts';

export interface HubOptions extends SkeinOptions {
  /** @default "127.0.0.1:0" */
  readonly listen?: string;
  /** Further options of `skein hub`. */
  readonly args?: readonly string[];
  /** Its data folder. @default one in the folder of this mesh */
  readonly data?: string;
  /** Puts into the hub's data folder what it shall find there at its first start. */
  readonly prepare?: (dataFolder: string) => void;
}

export interface SidecarOptions extends SkeinOptions {
  readonly name: string;
  /** Where to find the hub. @default the hub's own address */
  readonly hub?: string;
  /** Services of the join token; none means that `token` or `data` is given. */
  readonly services?: readonly string[];
  readonly token?: string;
  /** `name=target`, as on the command line. */
  readonly expose?: readonly string[];
  /** Listens for HTTP on any loopback port. @default true */
  readonly http?: boolean;
  /** Names of services to have a TCP listener for, on any loopback port. */
  readonly tcp?: readonly string[];
  readonly data?: string;
  /** Looks for direct paths: on one machine they would be found, and the relay would carry nothing. @default false */
  readonly direct?: boolean;
  readonly args?: readonly string[];
}

export interface Sidecar {
  readonly program: Program;
  readonly addresses: ReadyLine['addresses'];
  /** `host:port` of the HTTP listener. */
  readonly http: string;
  /** `host:port` of the TCP listener of a service. */
  tcp(service: string): string;
  /** Bearer token of the admin port. */
  adminToken(): string;
}

export class TestMesh {
  readonly folder = mkdtempSync(join(tmpdir(), 'skein-test-'));
  readonly programs: Program[] = [];
  readonly #hubOptions: HubOptions;
  #hub: Program | undefined;
  #hubUrl = '';

  private constructor(options: HubOptions) {
    this.#hubOptions = options;
  }

  /** Sidecars of a hub that somebody else has started. */
  static withoutHub(): TestMesh {
    return new TestMesh({});
  }

  static async start(options: HubOptions = {}): Promise<TestMesh> {
    const mesh = new TestMesh(options);
    try {
      options.prepare?.(mesh.hubData);
      await mesh.startHub();
    } catch (error) {
      await mesh.close();
      throw error;
    }
    return mesh;
  }

  get hub(): Program {
    if (this.#hub === undefined) throw new Error('The hub was not started');
    return this.#hub;
  }

  /** `ws://host:port`. */
  get hubUrl(): string {
    return this.#hubUrl;
  }

  /** `host:port`. */
  get hubAddress(): string {
    return new URL(this.#hubUrl).host;
  }

  get hubData(): string {
    return this.#hubOptions.data ?? join(this.folder, 'hub');
  }

  /** Starts the hub, or starts it again with its data and on its former port. */
  async startHub(): Promise<void> {
    const listen = this.#hubUrl === '' ? (this.#hubOptions.listen ?? '127.0.0.1:0') : this.hubAddress;
    const args = ['hub', '--listen', listen, '--data', this.hubData, ...(this.#hubOptions.args ?? [])];
    this.#hub = this.#keep(
      startSkein(args, { name: 'hub', ...this.#hubOptions, env: this.#environment(this.#hubOptions.env) }),
    );
    const { addresses } = await this.#hub.ready();
    if (addresses.hub === undefined) throw new Error('The ready line of the hub names no address');
    this.#hubUrl = addresses.hub;
  }

  /** A second hub on the same data, which must not start. */
  launchSecondHub(): Program {
    const args = ['hub', '--listen', '127.0.0.1:0', '--data', this.hubData];
    return this.#keep(startSkein(args, { name: 'second hub', env: this.#environment() }));
  }

  /** Runs a command against this hub with the admin token of its data folder, and gives its stdout. */
  async admin(...args: readonly string[]): Promise<string> {
    const all = [...args, '--hub', this.#hubUrl, '--data', this.hubData];
    const { code, program } = await runSkein(all, { within: this.#hubOptions.within, env: this.#environment() });
    if (code !== 0) throw new Error(`skein ${args.join(' ')} ended with ${code}\n${program.tail()}`);
    return program.stdout;
  }

  /** What this hub answers to its administrator, with 200. */
  async get(path: string): Promise<string> {
    const { status, text } = await this.#ask(path);
    if (status !== 200) throw new Error(`${path} was answered with ${status}: ${text}`);
    return text;
  }

  /** Asks the admin API of this hub, and gives its answer. */
  async post(path: string, body: unknown): Promise<unknown> {
    const headers = { 'content-type': 'application/json' };
    const { text } = await this.#ask(path, { method: 'POST', headers, body: JSON.stringify(body) });
    return JSON.parse(text);
  }

  async createToken(services: readonly string[], ...args: readonly string[]): Promise<string> {
    return (await this.admin('token', 'create', '--service', services.join(','), ...args)).trim();
  }

  /** Starts a sidecar and waits until it is ready. */
  async startSidecar(options: SidecarOptions): Promise<Sidecar> {
    const program = await this.launchSidecar(options);
    const { addresses } = await program.ready();
    return {
      program,
      addresses,
      http: addresses.http === undefined ? '' : new URL(addresses.http).host,
      tcp: (service) => addresses[`tcp:${service}`] ?? '',
      adminToken: () => {
        const { port } = new URL(addresses.admin ?? '');
        return readFileSync(join(this.folder, '.skein', 'sidecars', `${port}.token`), 'utf8').trim();
      },
    };
  }

  /** Starts a sidecar that may never be ready. */
  async launchSidecar(options: SidecarOptions): Promise<Program> {
    const token = options.token ?? (options.services && (await this.createToken(options.services)));
    const args = [
      ...['sidecar', '--hub', options.hub ?? this.#hubUrl, '--admin', '127.0.0.1:0'],
      ...(token === undefined ? [] : ['--token', token]),
      ...(options.data === undefined ? [] : ['--data', options.data]),
      ...(options.expose ?? []).flatMap((exposed) => ['--expose', exposed]),
      ...(options.http === false ? [] : ['--listen-http', '127.0.0.1:0']),
      ...(options.tcp ?? []).flatMap((service) => ['--listen-tcp', `${service}=127.0.0.1:0`]),
      ...(options.direct === true ? [] : ['--no-direct']),
      ...(options.args ?? []),
    ];
    return this.#keep(startSkein(args, { ...options, env: this.#environment(options.env) }));
  }

  /** The application of the tests; its addresses are `http` and `tcp`. */
  async startOrigin(
    name = 'origin',
    within?: readonly string[],
  ): Promise<{ program: Program; http: string; tcp: string }> {
    const program = this.#keep(startHelper('origin', ['0', '0', name], { name, within }));
    const { addresses } = await program.ready();
    return { program, http: addresses.http ?? '', tcp: addresses.tcp ?? '' };
  }

  /** Sidecars that expose the same service, each with an origin of its own. `origins` are `http://host:port`. */
  async startReplicas(
    service: string,
    each: readonly Pick<SidecarOptions, 'name' | 'args'>[],
  ): Promise<{ replicas: Sidecar[]; origins: string[] }> {
    const replicas: Sidecar[] = [];
    const origins: string[] = [];
    for (const [i, options] of each.entries()) {
      const origin = await this.startOrigin(`origin ${i}`);
      origins.push(origin.http);
      const expose = [`${service}=${origin.http}`];
      replicas.push(await this.startSidecar({ ...options, services: [service], expose, http: false }));
    }
    return { replicas, origins };
  }

  /** Ends everything that was started here, the newest first. */
  async close(): Promise<void> {
    for (const program of this.programs.reverse()) await program.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Lines of any program here that tell of a promise nobody handled, or of a crash. */
  accidents(): string[] {
    return this.programs.flatMap((program) =>
      program.log
        .filter(({ text }) => /unhandled|uncaught|^\s+at .*\(?(?:file|node):/i.test(text))
        .map(({ text }) => `${program.name}: ${text}`),
    );
  }

  async #ask(path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
    const token = readFileSync(join(this.hubData, 'admin.token'), 'utf8').trim();
    const response = await fetch(`http://${this.hubAddress}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, ...init.headers },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}: ${text}`);
    return { status: response.status, text };
  }

  /** The profile of `skein` lives below the home folder: tests keep out of the user's own. */
  #environment(env: ProgramOptions['env'] = {}): Readonly<Record<string, string>> {
    return { HOME: this.folder, XDG_CONFIG_HOME: this.folder, XDG_STATE_HOME: this.folder, ...env };
  }

  #keep(program: Program): Program {
    this.programs.push(program);
    return program;
  }
}
