/** Endpoints, a catalogue and upstreams for tests of the router: small real parts, no network. */
import type { BackendTrafficPolicy } from '../../../src/catalog/backend-traffic-policy.ts';
import type { Endpoint } from '../../../src/catalog/endpoint.ts';
import type { SkeinError } from '../../../src/core/errors.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../../../src/http/handler.ts';
import { type Fields, NO_FIELDS, type RequestHead, type ResponseHead } from '../../../src/http/head.ts';
import type { EndpointSource } from '../../../src/router/upstream.ts';

export function endpoint(instance: string, change: Partial<Endpoint> = {}): Endpoint {
  return {
    kind: 'Endpoint',
    service: 'api.default',
    instance,
    id: 'spiffe://mesh.test/ns/default/sa/api',
    port: 80,
    protocol: 'http',
    labels: {},
    region: '',
    zone: '',
    healthy: true,
    weight: 1,
    ...change,
  };
}

/** A catalogue that knows what it is told to know. */
export class TestSource implements EndpointSource {
  readonly known = new Map<string, readonly Endpoint[]>();
  readonly policies = new Map<string, BackendTrafficPolicy>();
  readonly forgotten: string[] = [];
  #waiters: { service: string; resolve: () => void }[] = [];

  isKnown(service: string): boolean {
    return this.known.has(service);
  }

  endpoints(service: string): readonly Endpoint[] {
    return this.known.get(service) ?? NONE;
  }

  policy(service: string): BackendTrafficPolicy | undefined {
    return this.policies.get(service);
  }

  watch(service: string): Promise<void> {
    if (this.known.has(service)) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ service, resolve }));
  }

  forget(service: string): void {
    this.known.delete(service);
    this.forgotten.push(service);
  }

  tell(service: string, endpoints: readonly Endpoint[]): void {
    this.known.set(service, endpoints);
    for (const waiter of this.#waiters) if (waiter.service === service) waiter.resolve();
  }
}

const NONE: readonly Endpoint[] = [];

export function requestHead(change: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'GET',
    scheme: 'http',
    authority: 'api.mesh',
    path: '/',
    fields: NO_FIELDS,
    upgrade: undefined,
    service: '',
    ...change,
  };
}

/** Keeps what a request was answered. */
export class ReplyRecorder implements ReplySink {
  readonly informational: number[] = [];
  head: ResponseHead | undefined;
  readonly chunks: Uint8Array[] = [];
  trailers: Fields | undefined;
  error: SkeinError | undefined;
  drains = 0;
  readonly done: Promise<void>;
  /** The answer is whole, or has failed. */
  isOver = false;
  #resolve: () => void = () => undefined;

  constructor() {
    this.done = new Promise((resolve) => {
      this.#resolve = () => {
        this.isOver = true;
        resolve();
      };
    });
  }

  onInformational(head: ResponseHead): void {
    this.informational.push(head.status);
  }

  onHead(head: ResponseHead, complete: boolean): void {
    this.head = head;
    if (complete) this.#resolve();
  }

  onData(chunk: Uint8Array): void {
    this.chunks.push(chunk);
  }

  onEnd(trailers: Fields): void {
    this.trailers = trailers;
    this.#resolve();
  }

  onAbort(error: SkeinError): void {
    this.error = error;
    this.#resolve();
  }

  onDrain(): void {
    this.drains++;
  }

  get text(): string {
    return new TextDecoder().decode(Uint8Array.from(this.chunks.flatMap((chunk) => [...chunk])));
  }
}

/** A request as an upstream has received it; the test answers it by hand. */
export class ReceivedRequest implements RequestBody {
  readonly head: RequestHead;
  readonly complete: boolean;
  readonly reply: ReplySink;
  readonly chunks: Uint8Array[] = [];
  trailers: Fields | undefined;
  abortedBy: SkeinError | undefined;
  consumedBytes = 0;
  hasRoom = true;

  constructor(head: RequestHead, complete: boolean, reply: ReplySink) {
    this.head = head;
    this.complete = complete;
    this.reply = reply;
  }

  write(chunk: Uint8Array): boolean {
    this.chunks.push(chunk);
    return this.hasRoom;
  }

  end(trailers: Fields): void {
    this.trailers = trailers;
  }

  abort(error: SkeinError): void {
    this.abortedBy = error;
  }

  consumed(bytes: number): void {
    this.consumedBytes += bytes;
  }

  get text(): string {
    return new TextDecoder().decode(Uint8Array.from(this.chunks.flatMap((chunk) => [...chunk])));
  }

  answer(status: number, complete = true): void {
    this.reply.onHead({ status, fields: NO_FIELDS, upgrade: undefined }, complete);
  }
}

/** A handler that hands each request to `onRequest` at the end of the tick. */
export function handlerOf(onRequest: (request: ReceivedRequest) => void): HttpHandler {
  return {
    request(head, complete, reply) {
      const request = new ReceivedRequest(head, complete, reply);
      queueMicrotask(() => onRequest(request));
      return request;
    },
  };
}
