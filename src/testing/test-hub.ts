/** A hub of a test mesh: started, killed, started again on what it had stored. */

import { createHub, type Hub } from '../hub/hub.ts';
import type { HubOptions } from '../hub/options.ts';
import type { StoreLine } from './shared-store.ts';
import { createHostPlatform, type World } from './test-world.ts';

/** What a hub of a test mesh is. */
export interface TestHubOptions
  extends Pick<HubOptions, 'dangerouslyPermissive' | 'limits' | 'region' | 'roles' | 'starterPolicy' | 'trustDomain'> {
  /** From the hub to the middle of the network, one way, in milliseconds. @default 5 */
  readonly latencyMs?: number;
}

/** A hub of a test mesh. */
export interface TestHub {
  /** `hub-1` */
  readonly name: string;
  /** Its address on the network in memory. */
  readonly ip: string;
  /** What members dial. */
  readonly url: string;
  /** It was neither killed nor drained. */
  readonly isRunning: boolean;
  /** Sends its members elsewhere and ends. */
  drain(): Promise<void>;
}

const PORT = 7_000;
const LATENCY_MS = 5;
/** In a folder of each. */
const ISSUER_FILE = 'issuer.json';

export class HubHost implements TestHub {
  readonly name: string;
  readonly ip: string;
  readonly url: string;
  readonly #world: World;
  readonly #options: TestHubOptions;
  #running: { readonly hub: Hub; readonly line: StoreLine } | undefined;

  constructor(world: World, number: number, options: TestHubOptions) {
    this.name = `hub-${number}`;
    this.ip = `10.0.0.${number}`;
    this.url = `ws://${this.ip}:${PORT}`;
    this.#world = world;
    this.#options = options;
    const { clock, conditions, internet, network } = world;
    conditions.setLatency(this.ip, options.latencyMs ?? LATENCY_MS);
    const at = `${this.ip}:${PORT}`;
    internet.serve(at, (path, from) => clock.track(network.ask(at, path, from)));
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** @throws TypeError when it does not run */
  get hub(): Hub {
    if (this.#running === undefined) throw new TypeError(`Cannot ask ${this.name}: it does not run`);
    return this.#running.hub;
  }

  async start(): Promise<void> {
    const { latencyMs: _, ...options } = this.#options;
    const line = this.#world.store.connect();
    await this.#copyIssuer();
    const hub = await createHub(createHostPlatform(this.#world), {
      ...options,
      listen: { host: this.ip, port: PORT },
      dataFolder: this.name,
      store: line,
      log: this.#world.logOf(this.name),
    });
    this.#running = { hub, line };
  }

  /** Hubs of a mesh are one issuer: that of the first. */
  async #copyIssuer(): Promise<void> {
    const { files } = this.#world;
    const issuer = await files.read(`hub-1/${ISSUER_FILE}`);
    if (issuer !== undefined) await files.replace(`${this.name}/${ISSUER_FILE}`, issuer);
  }

  async createToken(services: readonly string[], namespace: string | undefined): Promise<string> {
    const { text } = await this.hub.createJoinToken({ services, ...(namespace === undefined ? {} : { namespace }) });
    return text;
  }

  kill(): void {
    const killed = this.#running;
    this.#running = undefined;
    if (killed === undefined) return;
    killed.line.cut();
    this.#world.network.refuse(this.url);
    this.#world.conditions.cut(this.ip);
    killed.hub.close().catch(() => undefined); // nobody hears of it
  }

  async drain(): Promise<void> {
    await this.#world.pace.run(this.hub.drain());
    this.#running = undefined;
  }

  async close(): Promise<void> {
    const closed = this.#running;
    this.#running = undefined;
    await closed?.hub.close();
  }
}
