/** The package in a Worker of Cloudflare, or of workerd anywhere: the neutral API bound to the platform of an isolate. */

import type { MeshSocket } from './agent/connect.ts';
import { MemberMemory } from './agent/member-memory.ts';
import { createMesh as createMeshOn, type Mesh, type MeshOptions } from './agent/mesh.ts';
import type { MemberState, TextStorage } from './durable/bindings.ts';
import { type MeshEnv, MeshMember, type MeshObjectOptions, type WorkerParts } from './durable/mesh-object.ts';
import { RememberedTexts } from './durable/remembered-texts.ts';
import { StorageFiles } from './durable/storage-files.ts';
import { workerdPlatform } from './runtime/workerd/platform.ts';

export type { RegularExpressions, TextTest } from './catalog/regular-expression.ts';
export type { Fetcher, MemberStorage, ObjectNamespace } from './durable/bindings.ts';
export { callMesh } from './durable/mesh-object.ts';
export type {
  AbsenceLimits,
  ClaimConditions,
  FederatedDomain,
  HubLimits,
  HubOptions,
  HubRole,
  KeyLife,
  LeaseLimits,
  LogRate,
  RateLimits,
  Store,
  StoreChange,
  StoreEntry,
  TrustedPlatform,
} from './hub.ts';
export * from './index.ts';
export {
  type HubEnv,
  HubObject,
  type ObjectContext,
  type ObjectHubOptions,
  type ObjectStorage,
  type ObjectValues,
  type SleepingSocket,
} from './workerd-hub.ts';
export type { MemberState, MeshEnv, MeshObjectOptions, TextStorage, WorkerParts };
export { workerdPlatform };

/** A member for the time of one request, or of one object. */
export interface WorkerMeshOptions extends Omit<MeshOptions, 'data'>, WorkerParts {
  /** Where the identity is kept, so that a join token is needed once: a KV namespace, or the storage of an object. @default nowhere */
  readonly storage?: TextStorage | undefined;
}

/** By what it is kept in: what requests of one isolate leave to the next. Texts and keys alone: the rest belongs to a request. */
const memories = new WeakMap<TextStorage, { readonly texts: TextStorage; readonly memory: MemberMemory }>();

function memoryOf(storage: TextStorage): { readonly texts: TextStorage; readonly memory: MemberMemory } {
  const known = memories.get(storage);
  if (known !== undefined) return known;
  const made = { texts: new RememberedTexts(storage), memory: new MemberMemory(workerdPlatform().clock) };
  memories.set(storage, made);
  return made;
}

/**
 * Joins the mesh for the time of one request, or of one Durable Object: nobody else may use what it gives.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_IDENTITY
 */
export async function createMesh({ storage, regularExpressions, ...options }: WorkerMeshOptions): Promise<Mesh> {
  if (storage === undefined) return createMeshOn(workerdPlatform(), options, { regularExpressions });
  const { texts, memory } = memoryOf(storage);
  const parts = { regularExpressions, memory };
  try {
    return await createMeshOn(workerdPlatform(new StorageFiles(texts)), { ...options, data: 'member' }, parts);
  } catch (thrown) {
    // What is remembered may be why.
    memories.delete(storage);
    throw thrown;
  }
}

/**
 * A Durable Object that is a member of the mesh; all Workers call through it. Configured by `SKEIN_HUB` and `SKEIN_TOKEN` in `env`,
 * or by a subclass whose `configure` says more.
 * @example
 * export { MeshObject } from 'skein/workerd';
 * export default { fetch: (request, env) => callMesh(env.MESH, 'http://api.mesh/orders') };
 */
export class MeshObject<Env = MeshEnv> {
  /** The bindings of the Worker. */
  protected readonly env: Env;
  readonly #member: MeshMember;

  /** Called by the runtime. */
  constructor(state: MemberState, env: Env) {
    this.env = env;
    this.#member = new MeshMember(workerdPlatform(new StorageFiles(state.storage)), state, () => this.configure());
  }

  /** What this object is in the mesh. */
  protected configure(): MeshObjectOptions {
    const { SKEIN_HUB = '', SKEIN_TOKEN } = this.env as MeshEnv;
    // A variable that is empty is one that is not set, as on the command line.
    return { hub: SKEIN_HUB, token: SKEIN_TOKEN || undefined };
  }

  /** Performs a request in the mesh. */
  fetch(request: Request): Promise<Response> {
    return this.#member.fetch(request);
  }

  /**
   * Opens a raw connection to `name[.namespace]`. It is this object's: only its own methods can use it.
   * @throws SkeinError
   */
  protected connect(name: string, options?: { readonly port?: number }): Promise<MeshSocket> {
    return this.#member.connect(name, options);
  }

  /** Called by the runtime. */
  alarm(): Promise<void> {
    return this.#member.alarm();
  }
}
