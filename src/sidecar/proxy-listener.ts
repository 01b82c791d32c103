/**
 * The HTTP proxy for names of the mesh, and for no others: absolute form, CONNECT, and origin form by Host. A page of the web
 * that is led here by DNS names its own host, which is no name of the mesh, and is refused like everything foreign.
 */

import type { ByteStream } from '../core/byte-stream.ts';
import { toSkeinError } from '../core/errors.ts';
import type { ListenAddress, Listener, Platform } from '../core/platform.ts';
import type { ConnectRequest } from '../http/h1-tunnel.ts';
import { type Destination, type NameOptions, parseDestination } from '../router/destination.ts';
import type { Capture } from './capture.ts';
import type { Connections } from './connections.ts';

export interface ProxyListenerOptions {
  readonly listenTcp: NonNullable<Platform['listenTcp']>;
  readonly address: ListenAddress;
  readonly capture: Capture;
  readonly connections: Connections;
  /** How names without a namespace are read. */
  readonly names: NameOptions;
}

/** @throws SkeinError SKEIN_CONFIG */
export function listenProxy(options: ProxyListenerOptions): Promise<Listener> {
  return options.listenTcp(options.address, (stream) => serveProxy(stream, options));
}

function serveProxy(stream: ByteStream, { capture, connections, names }: ProxyListenerOptions): void {
  if (!connections.admit(stream)) return;
  let isGone = false;
  connections.serve(stream, capture.outbound, {
    onConnect: (request) => connect(request, { capture, names, isGone: () => isGone }),
    onClose: () => {
      isGone = true;
    },
  });
}

interface ConnectContext {
  readonly capture: Capture;
  readonly names: NameOptions;
  readonly isGone: () => boolean;
}

/** The way is made first, and accepted after: a client learns why there is none. */
function connect(request: ConnectRequest, { capture, names, isGone }: ConnectContext): void {
  let destination: Destination;
  try {
    destination = parseDestination(request.head.authority, names);
  } catch (thrown) {
    request.refuse(toSkeinError(thrown));
    return;
  }
  capture.connect({ accept: () => request.accept(), isGone }, destination).catch((thrown) => {
    capture.report(destination, thrown);
    request.refuse(toSkeinError(thrown));
  });
}
