/** Raw connections of this member: the same walk as in dispatch.ts, once per connection; what follows is bytes. */

import type { ByteSink, ByteStream } from '../core/byte-stream.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
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
      const load = backends.refresh(backend).choose(tried, random, startMs);
      tried.push(load);
      try {
        const upstream = await connector.connect(load.endpoint);
        return new CountedStream(upstream.openRaw(toConnectHead(destination)), load);
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

/** Counts as load of its endpoint until both directions have ended. */
class CountedStream implements ByteStream, ByteSink {
  readonly #stream: ByteStream;
  #load: EndpointLoad | undefined;
  #sink: ByteSink | undefined;
  #openDirections = 2;
  #ended = false;

  constructor(stream: ByteStream, load: EndpointLoad) {
    this.#stream = stream;
    this.#load = load;
    load.pending++;
  }

  attach(sink: ByteSink): void {
    const isFirst = this.#sink === undefined;
    this.#sink = sink;
    if (isFirst) this.#stream.attach(this);
  }

  write(chunk: Bytes): boolean {
    return this.#stream.write(chunk);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.end();
    this.#endDirection();
  }

  reset(error: SkeinError): void {
    this.#stream.reset(error);
    this.#release();
  }

  consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }

  onData(chunk: Bytes): void {
    this.#sink?.onData(chunk);
  }

  onEnd(): void {
    this.#endDirection();
    this.#sink?.onEnd();
  }

  onDrain(): void {
    this.#sink?.onDrain();
  }

  onReset(error: SkeinError): void {
    this.#release();
    this.#sink?.onReset(error);
  }

  #endDirection(): void {
    if (--this.#openDirections === 0) this.#release();
  }

  #release(): void {
    if (this.#load !== undefined) this.#load.pending--;
    this.#load = undefined;
  }
}
