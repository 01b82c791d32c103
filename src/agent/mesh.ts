/** `Mesh`: the face of an agent for applications — fetch, serve, connect, listen. */

// For users whose own `lib` has no `Symbol.asyncDispose`; without `preserve` it would not reach the declarations.
/// <reference lib="esnext.disposable" preserve="true" />

import { raceSignal } from '../core/abort.ts';
import type { Platform } from '../core/platform.ts';
import { SERVICE_PORT, toDestination } from '../router/destination.ts';
import type { RateLimitPolicy } from '../router/rate-limit.ts';
import { type Agent, type AgentEvents, createAgent } from './agent.ts';
import type { BearerToken } from './bearer-tokens.ts';
import { type IncomingSocket, type MeshSocket, toSocket } from './connect.ts';
import { createFetch, type Fetch } from './fetch.ts';
import { AGENT_LIMITS, type AgentOptions } from './options.ts';
import type { AgentParts } from './parts.ts';
import { createServeHandler, type ServeHandler } from './serve.ts';
import type { ServiceHandle, ServiceTarget } from './services.ts';

/** How to join the mesh as a library. */
export interface MeshOptions extends AgentOptions {
  /** Gives up joining. */
  readonly signal?: AbortSignal | undefined;
}

/** How a service is offered. */
export interface ServiceOptions {
  /** Port of the service in the mesh. @default 80 */
  readonly port?: number;
  /** Labels of this instance, such as `version`, by which routes may choose. @default none */
  readonly labels?: Readonly<Record<string, string>>;
  /** How often callers may ask this instance; who asks more often is answered 429. @default as often as they like */
  readonly rateLimit?: RateLimitPolicy | undefined;
}

/** A service that this member serves, until `close`. */
export type ServedService = ServiceHandle;

/** Who a verified bearer token stands for. */
export interface TokenHolder {
  /** SPIFFE id. */
  readonly id: string;
  /** When the token ends, in milliseconds since 1970. */
  readonly expiresAtMs: number;
}

/** A member of the mesh, as an application holds it. */
export interface Mesh {
  /** The own SPIFFE id. */
  readonly id: string;
  /** This process, as others find it in the catalogue. */
  readonly instance: string;
  /** `fetch` for URLs of the mesh, `http://api.mesh/…`; errors of the mesh are answers with `x-skein-reason`. */
  readonly fetch: Fetch;
  /** Serves `name[.namespace]`; resolves when others can find it. @throws SkeinError SKEIN_NAME_NOT_GRANTED */
  serve(name: string, handler: ServeHandler, options?: ServiceOptions): Promise<ServedService>;
  /** Opens a raw connection to `name[.namespace]`. @throws SkeinError */
  connect(name: string, options?: { readonly port?: number }): Promise<MeshSocket>;
  /** Takes raw connections to `name[.namespace]`. @throws SkeinError SKEIN_NAME_NOT_GRANTED */
  listen(
    name: string,
    onConnection: (socket: IncomingSocket) => void,
    options?: ServiceOptions,
  ): Promise<ServedService>;
  /**
   * A bearer token (JWT-SVID, at most 5 minutes) by which this member shows somebody who it is: `audience` is the SPIFFE id or
   * the URL by which that one knows itself. Anybody verifies it with the keys at `/.well-known/jwks.json` of the hub.
   * @throws SkeinError SKEIN_HUB_UNREACHABLE, SKEIN_BAD_REQUEST, SKEIN_LIMIT
   */
  token(options: { readonly audience: string }): Promise<BearerToken>;
  /** Who it is that shows `token`, if it was made out to `audience`. @throws SkeinError SKEIN_IDENTITY, SKEIN_REVOKED */
  verifyToken(token: string, options: { readonly audience: string }): Promise<TokenHolder>;
  /** Calls `listener` on each event; returns what stops that. */
  on<K extends keyof AgentEvents>(event: K, listener: (fact: AgentEvents[K]) => void): () => void;
  /** Leaves in order; what was begun is finished within `drainMs`. @default 0 */
  close(options?: { readonly drainMs?: number }): Promise<void>;
  /** `close()`, at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Joins the mesh, as a member that is made of these parts. Resolves when a hub has taken this member.
 * @throws SkeinError SKEIN_CONFIG, SKEIN_TOKEN_INVALID, SKEIN_TOKEN_USED, SKEIN_TOKEN_EXPIRED, SKEIN_IDENTITY; the reason of `signal`
 */
export async function createMesh(platform: Platform, options: MeshOptions, parts: AgentParts): Promise<Mesh> {
  const { signal, ...rest } = options;
  signal?.throwIfAborted();
  const creating = createAgent(platform, rest, parts);
  const agent = await raceSignal(creating, signal).catch((thrown) => {
    creating.then((late) => late.close()).catch(() => undefined); // nobody waits for it any more
    throw thrown;
  });
  try {
    await raceSignal(agent.start(), signal);
  } catch (thrown) {
    agent.close();
    throw thrown;
  }
  return toMesh(agent, rest);
}

/** The face of an agent that has started. */
export function toMesh(agent: Agent, { limits }: AgentOptions): Mesh {
  const windowBytes = limits?.bodyWindowBytes ?? AGENT_LIMITS.bodyWindowBytes;
  const serve = async (name: string, target: ServiceTarget, options: ServiceOptions): Promise<ServedService> => {
    const { port = SERVICE_PORT, labels = {}, rateLimit } = options;
    const service = agent.toServiceKey(name);
    const { registered, ...handle } = agent.serve({ service, port, labels, target, rateLimit });
    try {
      await registered;
    } catch (thrown) {
      handle.close();
      throw thrown;
    }
    return handle;
  };
  const close = async (drainMs = 0): Promise<void> => {
    if (drainMs > 0) {
      await agent.leave();
      // Who is being answered may call others for it, so that own requests end last.
      await agent.served(drainMs / 2);
      await agent.finish(drainMs / 2);
    }
    agent.close();
  };
  return {
    id: agent.id.uri,
    instance: agent.instance,
    fetch: createFetch(agent.outbound),
    serve: (name, handler, options = {}) =>
      serve(name, { protocol: 'http', handler: createServeHandler(handler, { log: agent.log, windowBytes }) }, options),
    connect: async (name, { port = SERVICE_PORT } = {}) =>
      toSocket(await agent.connect(toDestination(agent.toServiceKey(name), port))),
    listen: (name, onConnection, options = {}) =>
      serve(
        name,
        {
          protocol: 'tcp',
          accept: (stream, caller) => onConnection(Object.assign(toSocket(stream), { clientId: caller.uri })),
        },
        options,
      ),
    token: ({ audience }) => agent.token(audience),
    verifyToken: async (token, { audience }) => {
      const { id, expiresAtMs } = await agent.verifyToken(token, audience);
      return { id: id.uri, expiresAtMs };
    },
    on: (event, listener) => agent.events.on(event, listener),
    close: ({ drainMs } = {}) => close(drainMs),
    [Symbol.asyncDispose]: () => close(),
  };
}
