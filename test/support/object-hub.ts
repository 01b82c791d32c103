/** A hub in a Durable Object under the real workerd, as the example deploys it, with members on this Node. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { MessagePipe, Platform } from '../../src/core/platform.ts';
import { createMeshOn, type Mesh, type MeshOptions } from '../../src/index.ts';
import { nodePlatform } from '../../src/runtime/node/platform.ts';
import { runCommand, type Said } from './command.ts';
import { EventLog } from './local-mesh.ts';
import { freePort } from './port.ts';
import { Workerd } from './workerd.ts';

const EXAMPLE = 'examples/cloudflare-hub/src/worker.ts';
export const ADMIN_TOKEN = 'an-admin-token-of-forty-characters-or-so';

/** The example, as it is deployed. */
export const HUB_WORKER = {
  entry: EXAMPLE,
  objects: { HUB: 'Hub' },
  vars: { SKEIN_ADMIN_TOKEN: ADMIN_TOKEN },
} as const;

/** What it runs, and where it is reached. */
interface Place {
  readonly entry: string;
  readonly listen: string;
}

export interface ObjectMember {
  readonly mesh: Mesh;
  readonly log: EventLog;
  readonly signs: HostSigns;
}

/** Counts how often the host of a hub has answered for it. */
export class HostSigns {
  #count = 0;
  #wake: () => void = () => undefined;

  /** A platform whose WebSockets are counted. */
  over(platform: Platform): Platform {
    const dialWebSocket: Platform['dialWebSocket'] = async (url, options) =>
      this.#watch(await platform.dialWebSocket(url, options));
    return { ...platform, dialWebSocket };
  }

  get count(): number {
    return this.#count;
  }

  /** Resolves when the host has answered `more` times from now on: about six seconds each. */
  async waitFor(more: number): Promise<void> {
    for (const until = this.#count + more; this.#count < until; ) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #watch(pipe: MessagePipe): MessagePipe {
    const attach = pipe.attach.bind(pipe);
    pipe.attach = (events) =>
      attach({
        onMessage: (message) => events.onMessage(message),
        onProgress: () => events.onProgress(),
        onClose: (code, reason) => events.onClose(code, reason),
        onIdlePong: () => {
          events.onIdlePong?.();
          this.#count++;
          this.#wake();
        },
      });
    return pipe;
  }
}

export class ObjectHub {
  readonly #t: Pick<TestContext, 'after'>;
  readonly #folder: string;
  readonly #place: Place;
  #worker: Workerd;

  private constructor(t: Pick<TestContext, 'after'>, folder: string, place: Place, worker: Workerd) {
    this.#t = t;
    this.#folder = folder;
    this.#place = place;
    this.#worker = worker;
  }

  /** Ends with the test. @param entry the Worker that holds it */
  static async start(t: Pick<TestContext, 'after'>, entry = EXAMPLE): Promise<ObjectHub> {
    const folder = mkdtempSync(join(tmpdir(), 'skein-object-hub-'));
    const place = { entry, listen: `127.0.0.1:${await freePort()}` };
    const hub = new ObjectHub(t, folder, place, await startWorker(place, folder));
    t.after(async () => {
      await hub.#worker.program.kill();
      rmSync(folder, { recursive: true, force: true });
    });
    return hub;
  }

  get worker(): Workerd {
    return this.#worker;
  }

  get url(): string {
    return `ws://${this.#place.listen}`;
  }

  /** The process is killed, and another one goes on with its storage. */
  async restart(): Promise<void> {
    await this.#worker.program.kill();
    this.#worker = await startWorker(this.#place, this.#folder);
  }

  /** `skein …`, as an administrator with the token in the environment. */
  async command(...argv: readonly string[]): Promise<Said> {
    const said = await runCommand(argv, {
      folder: this.#folder,
      env: { SKEIN_HUB: this.url, SKEIN_ADMIN_TOKEN: ADMIN_TOKEN },
    });
    if (said.code !== 0) throw new Error(`skein ${argv.join(' ')} ended with ${said.code}: ${said.err}`);
    return said;
  }

  async token(service: string): Promise<string> {
    return (await this.command('token', 'create', '--service', service)).out.trim();
  }

  /** A gauge or counter of its metrics. */
  async metric(name: string): Promise<number> {
    const reply = await fetch(`${this.#worker.url}/metrics`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await reply.text())?.[1]);
  }

  /** How many times the object was made. */
  starts(): Promise<number> {
    return this.metric('skein_hub_catalogue_epoch');
  }

  /** Resolves when the object has said `event` `count` times. */
  waitFor(event: string, count: number): Promise<unknown> {
    return this.#worker.program.waitForOutput(new RegExp(`(?:"event":"${event}"[^]*){${count}}`));
  }

  /** How often it has said `event` so far. */
  count(event: string): number {
    return this.#worker.program.stdout.split(`"event":"${event}"`).length - 1;
  }

  /** A member that looks for no direct paths, so that everything goes through the hub. Ends with the test. */
  async join(service: string, options: Partial<MeshOptions> = {}): Promise<ObjectMember> {
    const log = new EventLog();
    const signs = new HostSigns();
    const token = await this.token(service);
    const mesh = await createMeshOn(signs.over(nodePlatform()), {
      hub: this.url,
      token,
      log,
      direct: false,
      ...options,
    });
    this.#t.after(() => mesh.close());
    return { mesh, log, signs };
  }
}

function startWorker(place: Place, folder: string): Promise<Workerd> {
  return Workerd.start({ ...HUB_WORKER, ...place }, folder);
}
