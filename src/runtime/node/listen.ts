/** Binds a server to an address and says where it listens. */

import type { Server } from 'node:net';
import { SkeinError } from '../../core/errors.ts';
import type { ListenAddress, Listener } from '../../core/platform.ts';
import { formatAddress, unbracket } from './address.ts';
import { explainSystemError, systemErrorCode } from './system-error.ts';

/** Connections the kernel holds for us: after a hub restart thousands of sidecars come within seconds. */
const BACKLOG = 4096;

/**
 * @param exclusive in a worker, the port is its own; else all workers that listen there share it
 * @throws SkeinError SKEIN_CONFIG
 */
export function listenOn(server: Server, at: ListenAddress, { exclusive = false } = {}): Promise<Listener> {
  const host = unbracket(at.host);
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => reject(cannotListen(at, cause));
    server.once('error', fail);
    server.listen({ host, port: at.port, backlog: BACKLOG, exclusive }, () => {
      server.off('error', fail);
      // A failed accept (too many open files) must not end the process; the kernel's queue holds the connection.
      server.on('error', () => undefined);
      const bound = server.address();
      if (bound === null || typeof bound === 'string') {
        reject(new SkeinError('SKEIN_INTERNAL', `Cannot listen on ${at.host}: no address bound`));
        return;
      }
      resolve({
        address: formatAddress(bound.address, bound.port) ?? '',
        port: bound.port,
        close: () => closeServer(server),
      });
    });
  });
}

/** Why an address cannot be had. */
export function cannotListen(at: ListenAddress, cause: unknown): SkeinError {
  const { state, remedy } = explainSystemError(cause);
  const address = formatAddress(unbracket(at.host), at.port);
  const details = { address, systemCode: systemErrorCode(cause), remedy };
  return new SkeinError('SKEIN_CONFIG', `Cannot listen on ${address}: ${state}`, { cause, details });
}

/** Resolves when the port is free, which is at once; connections that are open live on. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) {
      resolve();
      return;
    }
    // The callback of close() waits for the last open connection, `listening` falls right away.
    server.close();
    setImmediate(resolve);
  });
}
