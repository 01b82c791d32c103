/** The hub as a Durable Object: the core of every hub on the storage and the WebSockets of an object. */

import { SkeinError } from './core/errors.ts';
import { createHub } from './hub/hub.ts';
import type { HubLimits, HubOptions } from './hub/options.ts';
import { KeyValueStore } from './hub/store/key-values.ts';
import { consoleLogger } from './runtime/workerd/console-log.ts';
import { HubHost, MAX_STATE_BYTES, type SleepingHub } from './runtime/workerd/hub-host.ts';
import type { ObjectContext, ObjectStorage, ObjectValues, SleepingSocket } from './runtime/workerd/object-types.ts';
import { isHeartbeat } from './tunnel/link-message.ts';
import type { TunnelOptions } from './tunnel/options.ts';

export type { ObjectContext, ObjectStorage, ObjectValues, SleepingSocket };

/** What the Worker that holds a hub is given. */
export interface HubEnv {
  /** Secret: the bearer token of the admin API, as `skein` has it in SKEIN_ADMIN_TOKEN. */
  readonly SKEIN_ADMIN_TOKEN?: string;
  /** How sidecars reach this hub, `wss://…`. */
  readonly SKEIN_URL?: string;
}

/** As of any hub, but for what a Durable Object decides: where it listens, and where it keeps its state. */
export type ObjectHubOptions = Omit<HubOptions, 'listen' | 'dataFolder' | 'store' | 'adminToken' | 'trustsProxy'>;

/** An object has 128 MB for everything; of 1,000 links each takes some 46 KiB of them, and what is relayed waits there too. */
const OBJECT_LIMITS: Partial<HubLimits> = {
  maxLinks: 1_000,
  maxRelayWaitingBytes: 16 * 1024 * 1024,
  maxAuditBytes: 4 * 1024 * 1024,
};
/** Nothing tells an object that a reader is slow: what may wait there is what windows allow. */
const OBJECT_TUNNEL: Partial<TunnelOptions> = {
  circuitWindowBytes: 128 * 1024,
  maxCircuitWindowBytes: 512 * 1024,
  linkWindowBudgetBytes: 1024 * 1024,
};

/**
 * A hub as a Durable Object, which sleeps while nobody needs it and keeps its sidecars meanwhile.
 * @example
 * export class Hub extends HubObject {}
 * export default { fetch: (request, env) => env.HUB.getByName('hub').fetch(request) };
 */
export class HubObject {
  readonly #host: HubHost;

  /** To be called by the runtime, or by the constructor of an own class. */
  constructor(context: ObjectContext, env: HubEnv, options: ObjectHubOptions = {}) {
    const log = options.log ?? consoleLogger();
    this.#host = new HubHost({
      ...{ context, log, isHeartbeat },
      // A page that nobody looks at asks once a minute.
      limits: { restAfterMs: 5_000, alarmMs: 600_000, deadAfterMs: 90_000 },
      start: async (platform, resting) => {
        const { SKEIN_ADMIN_TOKEN: adminToken = '', SKEIN_URL: url } = env;
        if (adminToken === '') {
          throw new SkeinError('SKEIN_CONFIG', 'Cannot start hub: the secret SKEIN_ADMIN_TOKEN is not set', {
            details: { remedy: 'Set it with `wrangler secret put SKEIN_ADMIN_TOKEN`.' },
          });
        }
        const store = new KeyValueStore(context.storage.kv);
        const sleepers: SleepingHub[] = [];
        await createHub(
          platform,
          {
            ...(url === undefined ? {} : { url }),
            ...options,
            limits: { ...OBJECT_LIMITS, ...options.limits },
            ...{ log, adminToken, dataFolder: 'hub', store },
          },
          {
            sleep: { resting, maxStateBytes: MAX_STATE_BYTES, onSleeper: (sleeper) => sleepers.push(sleeper) },
            tunnel: OBJECT_TUNNEL,
          },
        );
        return sleepers[0] as SleepingHub;
      },
    });
  }

  /** HTTP of the hub, and WebSockets of its members. */
  fetch(request: Request): Promise<Response> {
    return this.#host.fetch(request);
  }

  /** The runtime calls it. */
  webSocketMessage(socket: SleepingSocket, message: ArrayBuffer | string): void {
    this.#host.onMessage(socket, message);
  }

  /** The runtime calls it. */
  webSocketClose(socket: SleepingSocket, code: number, reason: string): void {
    this.#host.onClose(socket, code, reason);
  }

  /** The runtime calls it. */
  webSocketError(socket: SleepingSocket): void {
    this.#host.onClose(socket, 1006, '');
  }

  /** The runtime calls it. */
  alarm(): void {
    this.#host.onAlarm();
  }
}
