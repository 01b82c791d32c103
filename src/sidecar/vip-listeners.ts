/** `VipListeners`: the ports of services on their loopback addresses, opened when a service is first resolved. */

import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Listener } from '../core/platform.ts';
import { type ListenForServiceOptions, listenForService } from './local-listeners.ts';
import { VipTable } from './vip.ts';

export interface VipListenersOptions extends Omit<ListenForServiceOptions, 'listen'> {
  readonly log: Logger;
  readonly maxServices: number;
}

/** A service may have many ports, and each costs a socket here. */
const MAX_PORTS = 16;

export class VipListeners {
  readonly #options: VipListenersOptions;
  readonly #vips: VipTable;
  /** By address and port; a port that could not be opened is not tried again. */
  readonly #listeners = new Map<string, Promise<Listener | undefined>>();
  #isClosed = false;

  constructor(options: VipListenersOptions) {
    this.#options = options;
    this.#vips = new VipTable(options.maxServices);
  }

  /** The address on which `service` can be reached from now on. @throws SkeinError SKEIN_LIMIT */
  async open(service: string, ports: readonly number[]): Promise<string> {
    const host = this.#vips.addressOf(service);
    if (host === undefined) throw new SkeinError('SKEIN_LIMIT', 'Cannot resolve service: there are too many');
    await Promise.all(ports.slice(0, MAX_PORTS).map((port) => this.#listen(service, host, port)));
    return host;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const listening of this.#listeners.values()) await (await listening)?.close();
  }

  #listen(service: string, host: string, port: number): Promise<Listener | undefined> {
    const key = `${host}:${port}`;
    const known = this.#listeners.get(key);
    if (known !== undefined) return known;
    const listening = this.#tryListen(service, host, port);
    this.#listeners.set(key, listening);
    return listening;
  }

  async #tryListen(service: string, host: string, port: number): Promise<Listener | undefined> {
    const { log, ...shared } = this.#options;
    try {
      const listener = await listenForService({
        ...shared,
        listen: { name: service, service, port, address: { host, port } },
      });
      if (this.#isClosed) await listener.close();
      return listener;
    } catch (thrown) {
      const { message, details } = toSkeinError(thrown);
      log.log('warn', 'vip-not-listening', {
        service,
        address: `${host}:${port}`,
        error: message,
        remedy: details.remedy,
      });
      return undefined;
    }
  }
}
