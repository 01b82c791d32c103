/** A local port for one service of the mesh: applications connect as if the service ran here, without knowing of a proxy. */

import type { ByteStream } from '../core/byte-stream.ts';
import { toSkeinError } from '../core/errors.ts';
import { isLoopbackName } from '../core/loopback.ts';
import type { Listener, Platform } from '../core/platform.ts';
import { tryParseAuthority } from '../http/target.ts';
import { toDestination } from '../router/destination.ts';
import type { Capture } from './capture.ts';
import type { Connections } from './connections.ts';
import type { TcpListen } from './options.ts';

export interface ListenForServiceOptions {
  readonly listenTcp: NonNullable<Platform['listenTcp']>;
  readonly listen: TcpListen;
  readonly capture: Capture;
  readonly connections: Connections;
}

/** @throws SkeinError SKEIN_CONFIG */
export function listenForService(options: ListenForServiceOptions): Promise<Listener> {
  const { listenTcp, listen, capture, connections } = options;
  const destination = toDestination(listen.service, listen.port);
  return listenTcp(listen.address, (stream: ByteStream) => {
    if (!connections.admit(stream)) return;
    // The stream holds back what comes, an end or a reset too, until somebody reads it.
    capture.connect({ accept: () => stream, isGone: () => false }, destination, isLocalAuthority).catch((thrown) => {
      capture.report(destination, thrown);
      stream.reset(toSkeinError(thrown));
    });
  });
}

/** What a client of this port writes into Host. Any other name may be that of a page which was led here by DNS. */
function isLocalAuthority(authority: string): boolean {
  const host = tryParseAuthority(authority)?.host;
  return host !== undefined && isLoopbackName(host);
}
