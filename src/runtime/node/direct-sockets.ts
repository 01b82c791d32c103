/** What Node, Bun and Deno lend to direct paths: sockets with a chosen local port, a listener, and what the host says of itself. */

import { createHash } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { DirectSockets, LocalAddress } from '../../core/platform.ts';
import { listenOn } from './listen.ts';
import { connectRaw, toRawConnection } from './raw-connection.ts';
import { isDenied } from './system-error.ts';

/** Linux: a random number of this boot, and the network namespace that "localhost" means. */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const NETWORK_NAMESPACE = '/proc/self/ns/net';
const CONGESTION_CONTROL = '/proc/sys/net/ipv4/tcp_congestion_control';

export const nodeDirectSockets: DirectSockets = {
  connect: connectRaw,
  listen: (at, onConnection) => {
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) => {
      const connection = toRawConnection(socket);
      if (connection !== undefined) onConnection(connection);
    });
    // Who comes for one worker must not be taken to another.
    return listenOn(server, at, { exclusive: true });
  },
  localAddresses,
  hostKey: async () => {
    try {
      const [boot, namespace] = await Promise.all([readFile(BOOT_ID, 'utf8'), readlink(NETWORK_NAMESPACE)]);
      return new Uint8Array(createHash('sha256').update(`${boot.trim()}|${namespace}`).digest());
    } catch {
      return undefined;
    }
  },
  isSlowAfterCrossing: async () => {
    try {
      return (await readFile(CONGESTION_CONTROL, 'utf8')).trim().startsWith('bbr');
    } catch {
      return false;
    }
  },
};

function localAddresses(): readonly LocalAddress[] {
  return Object.entries(readInterfaces()).flatMap(([name, addresses]) =>
    // An IPv6 address with a scope means nothing without its interface.
    (addresses ?? []).filter((each) => !each.internal && !each.scopeid).map(({ address: ip }) => ({ name, ip })),
  );
}

/** Deno tells nobody who was not given `--allow-sys=networkInterfaces`: such a member offers others none of its addresses. */
function readInterfaces(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces();
  } catch (error) {
    if (isDenied(error)) return {};
    throw error;
  }
}
