/**
 * A member of the mesh that lives in a Durable Object: it alone holds the links to the hubs, Workers call through it, and what it
 * serves is answered by functions or by other Workers. Its identity is in its storage.
 */

import type { MeshSocket } from '../agent/connect.ts';
import { createFetch, type Fetch } from '../agent/fetch.ts';
import { createMesh, type Mesh, type MeshOptions } from '../agent/mesh.ts';
import type { AgentLimits } from '../agent/options.ts';
import type { RegularExpressions } from '../agent/parts.ts';
import { replyWith } from '../agent/refused-reply.ts';
import type { ServeHandler } from '../agent/serve.ts';
import { raceSignal } from '../core/abort.ts';
import { wait } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Platform } from '../core/platform.ts';
import type { Fetcher, MemberState, ObjectNamespace } from './bindings.ts';

/** What a member in a Worker does without unless it is given, because a Worker has to be small. */
export interface WorkerParts {
  /**
   * What reads the regular expressions of routes: `RE2` of `skein/re2`, 150 kB of code. @default nothing: requests to services with
   * such a route fail with SKEIN_ROUTE_INVALID
   */
  readonly regularExpressions?: RegularExpressions | undefined;
}

/** What an object is in the mesh. */
export interface MeshObjectOptions extends Omit<MeshOptions, 'data' | 'services' | 'direct' | 'signal'>, WorkerParts {
  /** Services by name, `name` or `name.namespace`, and who answers for them: a function, or a Worker behind a binding. */
  readonly serve?: Readonly<Record<string, ServeHandler | Fetcher>> | undefined;
  /** Milliseconds that a request waits for this member to have joined. @default 10_000 */
  readonly joinTimeoutMs?: number | undefined;
}

/** Names in `env` from which an object that says nothing else is configured. */
export interface MeshEnv {
  /** URLs of hubs, separated by commas. */
  readonly SKEIN_HUB?: string;
  /** A join token; needed until the object has joined for the first time. */
  readonly SKEIN_TOKEN?: string;
}

/** The object that `callMesh` calls when no other is named. */
const DEFAULT_NAME = 'mesh';
const FOLDER = 'member';
const JOIN_TIMEOUT_MS = 10_000;
/**
 * Between two alarms. Each makes the object anew if it is gone, so that services are found again without anybody who calls; it is
 * less than the 70 s after which one that nobody calls may be taken from memory.
 */
const ALARM_MS = 30_000;
/** A refusal is not asked for again before: it would be the same. */
const REFUSED_FOR_MS = 5_000;

const MIB = 1024 * 1024;
/** An object has 128 MB, for all that it does. */
const LIMITS: Partial<AgentLimits> = {
  replayBudgetBytes: 16 * MIB,
  unreadBudgetBytes: 16 * MIB,
  maxSessions: 200,
};

/** Calls `input` through the object, from any Worker: `callMesh(env.MESH, 'http://api.mesh/orders')`. */
export function callMesh(
  namespace: ObjectNamespace,
  input: string | URL | Request,
  init?: RequestInit,
  name: string = DEFAULT_NAME,
): Promise<Response> {
  const request = new Request(input, init);
  return namespace.getByName(name).fetch(request);
}

/** The life of a member in an object: joins when it is first needed, stays, and is woken by alarms. */
export class MeshMember {
  readonly #platform: Platform;
  readonly #state: MemberState;
  readonly #options: () => MeshObjectOptions;
  #joining: Promise<Mesh> | undefined;

  /** @param platform with files in the object's storage; `options` is called before each attempt to join */
  constructor(platform: Platform, state: MemberState, options: () => MeshObjectOptions) {
    this.#platform = platform;
    this.#state = state;
    this.#options = options;
  }

  /** Performs a request in the mesh; while there is none, it is answered as any mesh answers: with `x-skein-reason`. */
  async fetch(request: Request): Promise<Response> {
    let call: Fetch;
    try {
      call = (await this.#joined()).fetch;
    } catch (thrown) {
      call = createFetch(replyWith(toSkeinError(thrown)));
    }
    return call(request);
  }

  /** Opens a raw connection. @throws SkeinError */
  async connect(name: string, options?: { readonly port?: number }): Promise<MeshSocket> {
    return (await this.#joined()).connect(name, options);
  }

  /** Keeps the object in the mesh. */
  async alarm(): Promise<void> {
    await this.#setAlarm();
    // What went wrong is told to those who call.
    await this.#joined().catch(() => undefined);
  }

  /** @throws SkeinError what a refusal says, SKEIN_HUB_UNREACHABLE when it takes too long */
  async #joined(): Promise<Mesh> {
    const { clock } = this.#platform;
    const { joinTimeoutMs = JOIN_TIMEOUT_MS } = this.#options();
    this.#joining ??= this.#join();
    const patience = new AbortController();
    const timer = clock.setTimer(joinTimeoutMs, () => {
      const state = `no hub has taken this member in ${joinTimeoutMs} ms`;
      patience.abort(new SkeinError('SKEIN_HUB_UNREACHABLE', `Cannot use mesh: ${state}`));
    });
    try {
      return await raceSignal(this.#joining, patience.signal);
    } finally {
      timer.cancel();
    }
  }

  async #join(): Promise<Mesh> {
    try {
      const { serve = {}, limits, joinTimeoutMs: _, regularExpressions, ...options } = this.#options();
      if ((await this.#state.storage.getAlarm()) === null) await this.#setAlarm();
      const asked: MeshOptions = {
        ...options,
        data: FOLDER,
        services: Object.keys(serve),
        // Nobody can dial an isolate, and it cannot choose its ports.
        direct: false,
        limits: { ...LIMITS, ...limits },
      };
      const mesh = await createMesh(this.#platform, asked, { regularExpressions });
      await serveAll(mesh, serve);
      return mesh;
    } catch (thrown) {
      // Not to be waited for: whoever asks meanwhile is told the same.
      void wait(this.#platform.clock, REFUSED_FOR_MS).then(() => {
        this.#joining = undefined;
      });
      throw thrown;
    }
  }

  #setAlarm(): Promise<void> {
    return this.#state.storage.setAlarm(this.#platform.clock.epochMs() + ALARM_MS);
  }
}

async function serveAll(mesh: Mesh, serve: Readonly<Record<string, ServeHandler | Fetcher>>): Promise<void> {
  try {
    await Promise.all(
      Object.entries(serve).map(([name, by]) =>
        mesh.serve(name, typeof by === 'function' ? by : (request) => by.fetch(request)),
      ),
    );
  } catch (thrown) {
    await mesh.close();
    throw thrown;
  }
}
