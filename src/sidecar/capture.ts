/** Capture: a local connection meets the mesh — as requests where the service takes requests, as bytes where it takes bytes. */

import type { Agent } from '../agent/agent.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { HttpHandler } from '../http/handler.ts';
import { refuseLater } from '../http/refusal.ts';
import { checkAuthority, type Destination } from '../router/destination.ts';
import type { Connections } from './connections.ts';

export interface CaptureOptions {
  readonly agent: Agent;
  readonly connections: Connections;
  readonly log: Logger;
}

/** What a local application does or suffers every day; everything else is worth a look. */
const USUAL: ReadonlySet<string> = new Set(['SKEIN_STREAM_RESET', 'SKEIN_CANCELLED']);

/** A connection to one service that waits for the way there. */
export interface Waiting {
  /** The local connection, from now on raw bytes. */
  accept(): ByteStream;
  /** Has the local application given up? */
  isGone(): boolean;
}

export class Capture {
  readonly #options: CaptureOptions;
  /** Performs requests whose destination is their authority. */
  readonly outbound: HttpHandler;

  constructor(options: CaptureOptions) {
    this.#options = options;
    const { agent } = options;
    this.outbound = {
      request: (head, complete, reply) =>
        agent.identity.isMember ? agent.outbound.request(head, complete, reply) : refuseLater(reply, notJoined()),
    };
  }

  /**
   * Joins a local connection to `destination`. For a service that takes requests, bytes are read as HTTP/1.1, so that
   * its policies, retries and the caller's identity hold for each request. The catalogue says how the service speaks and not
   * the first bytes: a server may be the one to speak first.
   * @throws SkeinError when there is no way there; the local connection is untouched then
   */
  async connect(waiting: Waiting, destination: Destination, alias?: (authority: string) => boolean): Promise<void> {
    const { agent, connections } = this.#options;
    if (connections.isDraining) throw new SkeinError('SKEIN_DRAINING', 'Cannot connect: this sidecar is leaving');
    if (!agent.identity.isMember) throw notJoined();
    if ((await agent.protocolOf(destination)) !== 'tcp') {
      if (!waiting.isGone()) connections.serve(waiting.accept(), this.#bind(destination, alias));
      return;
    }
    const remote = await agent.connect(destination);
    if (waiting.isGone()) {
      remote.reset(new SkeinError('SKEIN_CANCELLED', 'Cannot connect: the local application has gone'));
    } else {
      connections.join(waiting.accept(), remote, (error) => this.report(destination, error));
    }
  }

  /** Tells why a connection broke, or never came about. */
  report({ key }: Destination, thrown: unknown): void {
    if (thrown === undefined) return;
    const error = toSkeinError(thrown);
    const level = USUAL.has(error.code) ? 'debug' : 'warn';
    this.#options.log.log(level, 'connection-failed', { service: key, reason: error.reason, error: error.message });
  }

  /** Requests on a connection to `destination`: none may mean another service. */
  #bind(destination: Destination, alias: (authority: string) => boolean = () => false): HttpHandler {
    const { names } = this.#options.agent;
    const { service, port, key } = destination;
    const authority = port === 80 ? `${service}.mesh` : `${service}.mesh:${port}`;
    return {
      request: (head, complete, reply) => {
        // A local address means nothing on the other side.
        if (alias(head.authority)) return this.outbound.request({ ...head, authority, service: key }, complete, reply);
        try {
          checkAuthority(head.authority, destination, names);
        } catch (thrown) {
          return refuseLater(reply, toSkeinError(thrown));
        }
        return this.outbound.request({ ...head, service: key }, complete, reply);
      },
    };
  }
}

function notJoined(): SkeinError {
  return new SkeinError('SKEIN_HUB_UNREACHABLE', 'Cannot perform request: this sidecar has not joined the mesh yet');
}
