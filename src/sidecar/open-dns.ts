/** `openDns`: the stub resolver put together, with the loopback addresses it hands out; closed as one. */

import type { Agent } from '../agent/agent.ts';
import { SkeinError } from '../core/errors.ts';
import { LimitedLog } from '../core/limited-log.ts';
import type { Logger } from '../core/log.ts';
import type { ListenAddress, Listener, Platform } from '../core/platform.ts';
import { ROUTER_DEFAULTS } from '../router/options.ts';
import type { Capture } from './capture.ts';
import type { Connections } from './connections.ts';
import { DnsResolver } from './dns.ts';
import { DnsForwarder } from './dns-forwarder.ts';
import { listenDns } from './dns-listener.ts';
import { VipListeners } from './vip-listeners.ts';

export interface OpenDnsOptions {
  readonly platform: Platform;
  readonly agent: Agent;
  readonly capture: Capture;
  readonly connections: Connections;
  readonly log: Logger;
  readonly address: ListenAddress;
  /** @default the name servers of this machine */
  readonly servers?: readonly ListenAddress[];
}

/** Questions that could not be answered, as far as they are logged: applications decide how often they ask. */
const LOG_RATE = { perSecond: 1, burst: 10 };

/** @throws SkeinError SKEIN_CONFIG */
export async function openDns(options: OpenDnsOptions): Promise<Listener> {
  const { platform, agent, capture, connections, log, address, servers } = options;
  const { bindUdp, clock, connectTcp, files, listenTcp, random } = platform;
  if (bindUdp === undefined || listenTcp === undefined || connectTcp === undefined) {
    throw new SkeinError('SKEIN_CONFIG', `Cannot answer DNS: ${platform.name} has no UDP`);
  }
  const maxServices = ROUTER_DEFAULTS.maxServices;
  const vips = new VipListeners({ listenTcp, capture, connections, log, maxServices });
  const forwarder = new DnsForwarder({ clock, random, files, bindUdp, connectTcp, own: address, servers });
  const resolver = new DnsResolver({ agent, forwarder, vips, log: new LimitedLog(log, clock, LOG_RATE) });
  const answer = resolver.answer.bind(resolver);
  const listener = await listenDns({ clock, listenTcp, bindUdp, address, answer });
  return {
    address: listener.address,
    port: listener.port,
    close: async () => {
      await listener.close();
      await vips.close();
    },
  };
}
