/** A hub and members of its mesh in one process, on real sockets, with lines that a test can cut and a log it can wait on. */
import type { TestContext } from 'node:test';
import type { Mesh, MeshOptions } from '../../src/agent/mesh.ts';
import type { MessagePipe, Platform } from '../../src/core/platform.ts';
import { createHub, type Hub } from '../../src/hub/hub.ts';
import type { HubOptions } from '../../src/hub/options.ts';
import { createMeshOn } from '../../src/index.ts';
import { hostPlatform } from '../../src/runtime/bun/platform.ts';
import { EventLog } from './event-log.ts';

export { EventLog };

/** The way from one member to its hub. */
export class Line {
  readonly #base: Platform;
  readonly #pipes = new Set<MessagePipe>();
  #target: () => string;
  #isCut = false;

  constructor(base: Platform, target: () => string) {
    this.#base = base;
    this.#target = target;
  }

  /** The platform of this member: its dials end at the hub that stands now, unless the line is cut. */
  get platform(): Platform {
    return {
      ...this.#base,
      dialWebSocket: async (url, options) => {
        const pipe = await this.#base.dialWebSocket(this.#isCut ? 'ws://127.0.0.1:9' : this.#target() || url, options);
        this.#pipes.add(pipe);
        return pipe;
      },
    };
  }

  /** Drops the connection without a goodbye; the next dials fail as at a port that nobody listens on. */
  cut(): void {
    this.#isCut = true;
    for (const pipe of this.#pipes) pipe.terminate();
    this.#pipes.clear();
  }

  restore(): void {
    this.#isCut = false;
  }
}

export interface Member {
  readonly mesh: Mesh;
  readonly line: Line;
  readonly log: EventLog;
}

export class LocalMesh {
  readonly platform: Platform = hostPlatform();
  readonly #t: Pick<TestContext, 'after'>;
  #hub: Hub;

  private constructor(t: Pick<TestContext, 'after'>, hub: Hub) {
    this.#t = t;
    this.#hub = hub;
  }

  /** Ends with the test. */
  static async start(t: Pick<TestContext, 'after'>, options: HubOptions = {}): Promise<LocalMesh> {
    const mesh = new LocalMesh(t, await createHub(hostPlatform(), options));
    t.after(() => mesh.hub.close());
    return mesh;
  }

  get hub(): Hub {
    return this.#hub;
  }

  /** Another hub takes the place of this one: lines lead there from now on. */
  async replaceHub(options: HubOptions): Promise<void> {
    await this.#hub.close();
    this.#hub = await createHub(this.platform, options);
  }

  async token(services: readonly string[], namespace?: string): Promise<string> {
    const { text } = await this.hub.createJoinToken({ services, ...(namespace === undefined ? {} : { namespace }) });
    return text;
  }

  /** A new member that may serve `services`, and looks for no direct paths unless told to. Ends with the test. */
  async join(
    services: readonly string[],
    options: Partial<MeshOptions> & { namespace?: string } = {},
  ): Promise<Member> {
    const token = options.token ?? (await this.token(services, options.namespace));
    const line = new Line(this.platform, () => this.hub.url);
    const log = new EventLog();
    const { namespace: _, ...rest } = options;
    const mesh = await createMeshOn(line.platform, { hub: this.hub.url, log, direct: false, ...rest, token });
    this.#t.after(() => mesh.close());
    return { mesh, line, log };
  }
}

/** A policy for namespace `default`; it takes the place of the starter policy. */
export function policy(spec: object, name = 'allow-same-namespace'): object {
  return { apiVersion: 'skein.dev/v1', kind: 'AuthorizationPolicy', metadata: { name, namespace: 'default' }, spec };
}

/** A promise and the way to fulfil it. */
export function deferred<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
