/**
 * `x-skein-path`: a request that carries it with the value `?` is told by which way its answer came. The value is an item with
 * parameters (RFC 8941 §3.3): `relay;via="wss://hub.example.com";rtt=1.2`, `direct;via="203.0.113.7:7443";how=punched;rtt=0.4`,
 * or `local`. Nobody else is told, and no application ever sees it.
 */

import { removeField } from '../http/fields.ts';
import type { HttpHandler, ReplySink } from '../http/handler.ts';
import { type Fields, getField, type ResponseHead } from '../http/head.ts';
import type { PathStatus } from '../tunnel/path.ts';
import type { Session } from '../tunnel/session.ts';

export const PATH_FIELD = 'x-skein-path';
const ASKED = '?';

/** Do the fields of a request ask by which way the answer comes? */
export function asksPath(fields: Fields): boolean {
  return getField(fields, PATH_FIELD) === ASKED;
}

/** Performs requests with `handler`; those whose head asks are told what `describe` says when the answer comes. */
export function tellPath(handler: HttpHandler, describe: () => string): HttpHandler {
  return {
    request: (head, complete, reply) =>
      handler.request(head, complete, head.asksPath === true ? new PathReply(reply, describe) : reply),
  };
}

/** The path that records of this end take to the peer of `session` now. */
export function describePath(session: Session): string {
  const { activePath } = session;
  const status = session.paths.find(({ info }) => info === activePath);
  if (status === undefined) return 'none';
  const how = howOf(status);
  const rttMs = status.rttMs > 0 ? status.rttMs : session.rttMs;
  return `${status.kind};via="${status.via}"${how === undefined ? '' : `;how=${how}`};rtt=${rttMs.toFixed(1)}`;
}

/** How a direct path came about: over this host, a network, a listener, or a hole in two NATs. */
export function howOf({ info }: PathStatus): string | undefined {
  return 'how' in info && typeof info.how === 'string' ? info.how : undefined;
}

class PathReply implements ReplySink {
  readonly #reply: ReplySink;
  readonly #describe: () => string;

  constructor(reply: ReplySink, describe: () => string) {
    this.#reply = reply;
    this.#describe = describe;
  }

  onInformational(head: ResponseHead): void {
    this.#reply.onInformational(head);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    const fields = [...removeField(head.fields, PATH_FIELD), PATH_FIELD, this.#describe()];
    this.#reply.onHead({ ...head, fields }, complete);
  }

  onData(chunk: Parameters<ReplySink['onData']>[0]): void {
    this.#reply.onData(chunk);
  }

  onEnd(trailers: Fields): void {
    this.#reply.onEnd(trailers);
  }

  onAbort(error: Parameters<ReplySink['onAbort']>[0]): void {
    this.#reply.onAbort(error);
  }

  onDrain(): void {
    this.#reply.onDrain();
  }
}
