/** Raw connections of this member: the same walk as in dispatch.ts, once per connection; what follows is bytes. */

import type { ByteStream } from '../core/byte-stream.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { WatchedStream } from '../core/watched-stream.ts';
import { NO_FIELDS, type RequestHead } from '../http/head.ts';
import type { Backends } from './backends.ts';
import { classifyError } from './classify.ts';
import type { Destination } from './destination.ts';
import type { EndpointLoad } from './endpoint-load.ts';
import type { RouterOptions } from './options.ts';
import { mayRetry } from './retry.ts';
import type { Connector } from './upstream.ts';

export interface TcpDispatcherOptions {
  readonly backends: Backends;
  readonly connector: Connector;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: RouterOptions;
}

export class TcpDispatcher {
  readonly #options: TcpDispatcherOptions;

  constructor(options: TcpDispatcherOptions) {
    this.#options = options;
  }

  /**
   * Opens a connection to the service. It stands as far as the peer: whether the peer lets it in, and whether its
   * application takes it, shows when bytes come or `onReset` does.
   * @throws SkeinError
   */
  async open(destination: Destination): Promise<ByteStream> {
    const { backends, clock, connector, limits, random } = this.#options;
    const backend = await backends.find(destination);
    const tried: EndpointLoad[] = [];
    for (;;) {
      const startMs = clock.monotonicMs();
      const load = backends.refresh(backend).choose(tried, random, startMs, connector);
      tried.push(load);
      try {
        const upstream = await connector.connect(load.endpoint);
        return countLoad(upstream.openRaw(toConnectHead(destination)), load);
      } catch (thrown) {
        const error = new SkeinError(toSkeinError(thrown).code, toSkeinError(thrown).message, {
          cause: thrown,
          notProcessed: true,
        });
        const nowMs = clock.monotonicMs();
        if (classifyError(error) === 'failure') load.fail(nowMs - startMs, nowMs);
        const { maxAttempts } = limits;
        const facts = { error, attempts: tried.length, maxAttempts, isReplayable: true, hasAnswered: false };
        if (!mayRetry(facts) || !backend.hasOther(tried)) throw error;
      }
    }
  }
}

function toConnectHead({ service, key }: Destination): RequestHead {
  return {
    method: 'CONNECT',
    scheme: '',
    authority: key.replace(service, `${service}.mesh`),
    path: '',
    fields: NO_FIELDS,
    upgrade: undefined,
    service: key,
  };
}

/** The stream is load of its endpoint until it is over. */
function countLoad(stream: ByteStream, load: EndpointLoad): ByteStream {
  load.pending++;
  return new WatchedStream(stream, () => {
    load.pending--;
  });
}
