/** What the hosts of a test mesh share: time, chance, network and disk. */

import { SkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Crypto, Platform } from '../core/platform.ts';
import type { MemoryFiles } from './memory-files.ts';
import type { MemoryNetwork } from './memory-network.ts';
import type { NetworkConditions } from './network-conditions.ts';
import type { Pace } from './pace.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SharedStore } from './shared-store.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { VirtualInternet } from './virtual-internet.ts';

export interface World {
  /** The runtime, for what is neither time nor chance nor network. */
  readonly base: Platform;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly conditions: NetworkConditions;
  readonly network: MemoryNetwork;
  readonly internet: VirtualInternet;
  readonly files: MemoryFiles;
  /** Of all hubs. */
  readonly store: SharedStore;
  readonly pace: Pace;
  /** @param from name of a hub or member */
  readonly logOf: (from: string) => Logger;
  readonly giveBackWebCrypto: () => void;
}

/** The platform of one host, with chance of its own. */
export function createHostPlatform({ base, clock, random, network, files }: World): Platform {
  const own = random.fork();
  return {
    name: base.name,
    clock,
    random: own,
    crypto: toSeededCrypto(base.crypto, own),
    decodeLatin1: base.decodeLatin1,
    dialWebSocket: network.dial,
    getDocument: async (url) => {
      throw new SkeinError('SKEIN_PEER_UNREACHABLE', `Cannot get "${url}": there is no web beside a test mesh`);
    },
    files,
    listenHttp: network.listen,
    listenTcp: undefined,
    bindUdp: undefined,
    connectTcp: undefined,
    directSockets: undefined,
  };
}

/** Session keys, and with them the ids of sessions, come from the seed. */
function toSeededCrypto(base: Crypto, random: SeededRandom): Crypto {
  return {
    createAead: (key) => base.createAead(key),
    sha256: (...parts) => base.sha256(...parts),
    hmacSha256: (key, ...parts) => base.hmacSha256(key, ...parts),
    createX25519: (privateKey = random.bytes(32)) => base.createX25519(privateKey),
  };
}
