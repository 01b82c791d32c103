/**
 * Inbound: a stream of another member arrives. Which service, may this caller, then to who serves it. The caller's identity
 * is that of the session, for every stream anew; nothing in a request can claim another.
 */

import type { Verdict } from '../auth/authorizer.ts';
import type { Claims } from '../auth/match.ts';
import type {
  Authentication,
  AuthenticationFault,
  EndUser,
  RequestAuthenticator,
} from '../auth/request-authenticator.ts';
import { namespaceOf } from '../catalog/service.ts';
import type { Bytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { Emitter } from '../core/emitter.ts';
import { SkeinError, toSkeinError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { SpiffeId } from '../core/spiffe-id.ts';
import type { DecodeLatin1 } from '../core/text.ts';
import { serveStream } from '../http/exchange.ts';
import type { HttpHandler, ReplySink, RequestBody } from '../http/handler.ts';
import { NO_FIELDS, type RequestHead } from '../http/head.ts';
import { decodeRequestHead } from '../http/head-codec.ts';
import { HeldBody } from '../http/held-body.ts';
import { refuseLater } from '../http/refusal.ts';
import { type Destination, parseDestinationKey, takesBytes, tryParseDestination } from '../router/destination.ts';
import { RateLimiter } from '../router/rate-limit.ts';
import { rateLimitOf } from '../router/traffic-policy.ts';
import { type IncomingStream, STREAM_KIND } from '../tunnel/stream.ts';
import { createDenialLog, type Denial } from './denials.ts';
import { claimsFor, type Looked, spentFields, takenFields, toPassedHead } from './end-user.ts';
import { InboundExchange, type InboundFact } from './inbound-exchange.ts';
import { LiveStreams } from './live-streams.ts';
import type { Mirror } from './mirror.ts';
import type { AgentLimits } from './options.ts';
import { type PolicyFact, toFacts } from './policy-report.ts';
import { toRawStream } from './raw-stream.ts';
import type { RefusalPace } from './refusal-pace.ts';
import { replyDenied, replyLimited, replyUnauthenticated } from './refused-reply.ts';
import type { LocalService, LocalServices, ServedEntry } from './services.ts';
import { StreamTurns } from './stream-turns.ts';

export interface InboundOptions {
  readonly services: LocalServices;
  readonly mirror: Mirror;
  readonly clock: Clock;
  readonly decodeLatin1: DecodeLatin1;
  readonly log: Logger;
  readonly limits: AgentLimits;
  readonly pace: RefusalPace;
}

export interface InboundEvents {
  started: { readonly service: string };
  finished: InboundFact;
  /** A request has brought a token of an end user: `believed`, or what is wrong with it. */
  token: { readonly service: string; readonly outcome: AuthenticationFault | 'believed' };
  /** A rule has denied a stream, or would have decided otherwise than was decided. */
  judged: PolicyFact;
}

/** A request, and what was found out about its end user; undefined: nobody looks. */
interface Asked {
  readonly head: RequestHead;
  readonly complete: boolean;
  readonly reply: ReplySink;
  readonly caller: SpiffeId;
  readonly service: ServedEntry;
  readonly looked?: Looked;
}

const NO_AUTHENTICATORS: readonly RequestAuthenticator[] = [];
const NO_DESTINATIONS: readonly Destination[] = [];

export class Inbound {
  readonly events = new Emitter<InboundEvents>();
  readonly #options: InboundOptions;
  readonly #denials: Logger;
  /** Apart, so that neither takes the other's lines. */
  readonly #trials: Logger;
  readonly #live = new LiveStreams();
  readonly #turns: StreamTurns;
  /** Requests of which it is not known yet whose they are. */
  #waiting = 0;

  constructor(options: InboundOptions) {
    this.#options = options;
    this.#denials = createDenialLog(options.log, options.clock, options.limits);
    this.#trials = createDenialLog(options.log, options.clock, options.limits);
    this.#turns = new StreamTurns({
      clock: options.clock,
      isRefused: (caller) => options.pace.isRefused(caller),
      begin: (...stream) => this.#begin(...stream),
    });
  }

  /** Streams being served, or about to be. */
  get live(): number {
    return this.#live.size + this.#waiting;
  }

  onStream(stream: IncomingStream, caller: SpiffeId): void {
    this.#turns.take(stream, caller);
  }

  #begin(stream: IncomingStream, meta: Bytes, caller: SpiffeId): void {
    const { decodeLatin1 } = this.#options;
    try {
      switch (stream.kind) {
        case STREAM_KIND.http:
        case STREAM_KIND.grpc:
        case STREAM_KIND.upgrade: {
          const head = decodeRequestHead(meta, decodeLatin1);
          serveStream(stream, stream.complete, head, this.handlerFor(caller), decodeLatin1);
          return;
        }
        case STREAM_KIND.raw:
          this.#acceptRaw(stream, decodeRequestHead(meta, decodeLatin1), caller);
          return;
        default:
          throw new SkeinError('SKEIN_REFUSED', 'Cannot take stream: members open no streams of this kind');
      }
    } catch (thrown) {
      this.#options.pace.refuse(caller, () => stream.reset(toSkeinError(thrown)));
    }
  }

  /** Performs requests of `caller`. */
  handlerFor(caller: SpiffeId): HttpHandler {
    return { request: (head, complete, reply) => this.#request(head, complete, reply, caller) };
  }

  /** Other policies hold: streams that they do not allow any more are reset, the others go on. */
  reconsider(): void {
    this.#live.reconsider((denial) => this.#note({ ...denial, outcome: 'denied' }));
  }

  #request(head: RequestHead, complete: boolean, reply: ReplySink, caller: SpiffeId): RequestBody {
    let service: ServedEntry;
    try {
      service = this.#find(head);
    } catch (thrown) {
      return this.#refuse(caller, refuseWith(toSkeinError(thrown))).request(head, complete, reply);
    }
    const authenticator = this.#options.mirror.authentications.of(service.service);
    if (authenticator === undefined) return this.#serve({ head, complete, reply, caller, service });
    const found = authenticator.authenticate(head.fields, caller.uri);
    if (!(found instanceof Promise)) {
      return this.#serve({ head, complete, reply, caller, service, looked: { authenticator, found } });
    }
    return this.#hold(found, reply, (known) =>
      this.#serve({ head, complete, reply, caller, service, looked: { authenticator, found: known } }),
    );
  }

  /** The request waits until it is known whose it is. */
  #hold(found: Promise<Authentication>, reply: ReplySink, serve: (known: Authentication) => RequestBody): RequestBody {
    const held = new HeldBody(reply);
    this.#waiting++;
    found
      .finally(() => this.#waiting--)
      .then((known) => {
        if (!held.isOver) held.release(serve(known));
      })
      .catch((thrown) => reply.onAbort(toSkeinError(thrown)));
    return held;
  }

  #serve({ head: asked, complete, reply, caller, service, looked }: Asked): RequestBody {
    const { clock } = this.#options;
    const { destination } = service;
    const claimed = this.#claimedBy(asked.authority, service);
    const others = this.#othersLooking(claimed, looked?.authenticator);
    const head = toPassedHead(asked, looked, others);
    const isTaken = takenFields(looked, others);
    const exchange = new InboundExchange({ head, caller, destination, clock, reply, isTaken });
    const denial = toDenial(caller, destination, head);
    exchange.onFinish = (fact) => this.events.emit('finished', fact);
    this.events.emit('started', { service: destination.service });
    this.#tellToken(destination.service, looked?.found);
    if (typeof looked?.found === 'string') {
      const { found: why } = looked;
      this.#denials.log('warn', 'user-token-refused', { ...denial, why });
      exchange.isMeshReply = true;
      return exchange.start(this.#refuse(caller, replyUnauthenticated(destination, why)), complete);
    }
    const user = looked?.found;
    const spent = looked === undefined ? NO_FIELDS : spentFields(asked, looked);
    const judged =
      spent.length === 0 ? exchange.head : { ...exchange.head, fields: [...exchange.head.fields, ...spent] };
    const decide = (): Verdict => this.#decideAll(caller, destination, claimed, judged, user);
    const verdict = decide();
    exchange.rule = verdict.rule;
    this.#tell(verdict, denial);
    if (!verdict.allow) {
      exchange.isMeshReply = true;
      return exchange.start(this.#refuse(caller, replyDenied(destination, caller)), complete);
    }
    // Not before: who may not call at all takes no tokens of others.
    const waitMs = this.#limiterOf(service)?.take(caller, clock.monotonicMs()) ?? 0;
    if (waitMs > 0) {
      exchange.isMeshReply = true;
      return exchange.start(this.#refuse(caller, replyLimited(destination, caller, waitMs)), complete);
    }
    const entry = this.#live.add(exchange, { decide, denial });
    exchange.onOver = () => this.#live.delete(entry);
    return exchange.start(toHandler(service, destination), complete);
  }

  #refuse(caller: SpiffeId, refusal: HttpHandler): HttpHandler {
    return this.#options.pace.of(caller, refusal);
  }

  #limiterOf(service: ServedEntry): RateLimiter | undefined {
    const policy = this.#options.mirror.policy(service.service);
    if (policy !== service.limitedBy) {
      const limits = rateLimitOf(policy) ?? service.rateLimit;
      service.limitedBy = policy;
      service.limiter = limits && new RateLimiter(limits);
    }
    return service.limiter;
  }

  #acceptRaw(stream: IncomingStream, head: RequestHead, caller: SpiffeId): void {
    const service = this.#find(head);
    const { destination } = service;
    const decide = (): Verdict => this.#decide(caller, destination, undefined);
    const verdict = decide();
    const denial = toDenial(caller, destination, undefined);
    this.#tell(verdict, denial);
    if (!verdict.allow) {
      throw new SkeinError('SKEIN_DENIED', `Cannot connect to "${destination.key}": no policy allows it`);
    }
    const { target } = service;
    // Bytes for an HTTP service would pass by the rules on its requests.
    if (target.protocol !== 'tcp') {
      throw new SkeinError('SKEIN_BAD_REQUEST', `Cannot connect to "${destination.key}": it takes requests, not bytes`);
    }
    target.accept(this.#live.watch(toRawStream(stream), { decide, denial }), caller);
  }

  #tellToken(service: string, found: Authentication | undefined): void {
    if (found === undefined || (typeof found !== 'string' && found.vouchers === undefined)) return;
    this.events.emit('token', { service, outcome: typeof found === 'string' ? found : 'believed' });
  }

  /** Tells what was denied, or would be; nothing of most streams. */
  #tell(verdict: Verdict, denial: Omit<Denial, 'rule'>): void {
    if (verdict.allow && verdict.shadow.length === 0) return;
    for (const fact of toFacts(verdict, denial)) this.#note(fact);
  }

  #note(fact: PolicyFact): void {
    this.events.emit('judged', fact);
    const { outcome, ...denial } = fact;
    if (outcome === 'denied') this.#denials.log('warn', 'request-denied', { ...denial });
    else
      this.#trials.log(
        'info',
        outcome === 'would-deny' ? 'request-would-be-denied' : 'request-would-be-allowed',
        denial,
      );
  }

  #find({ service: key }: RequestHead): ServedEntry {
    const service = this.#options.services.get(key);
    if (service === undefined) {
      parseDestinationKey(key);
      throw new SkeinError('SKEIN_NO_SUCH_SERVICE', `Cannot reach "${key}": this instance does not serve it`);
    }
    return service;
  }

  /**
   * Other services of this member that a request names by its authority. A route may send what was asked of one name to
   * another service; but an application that answers for both by the name that it reads must not be asked for one under
   * the rules of the other.
   */
  #claimedBy(authority: string, service: ServedEntry): readonly Destination[] {
    if (service.claim?.authority === authority) return service.claim.others;
    const { destination } = service;
    const namespace = namespaceOf(destination.service);
    const named = tryParseDestination(authority, { namespace, allowShort: true, port: destination.port });
    const isOther = named !== undefined && named.service !== destination.service;
    const others = isOther ? this.#options.services.named(named.service) : NO_DESTINATIONS;
    service.claim = { authority, others };
    return others;
  }

  /** Who else would have looked for tokens, had one of `claimed` been dialled. */
  #othersLooking(
    claimed: readonly Destination[],
    own: RequestAuthenticator | undefined,
  ): readonly RequestAuthenticator[] {
    if (claimed.length === 0) return NO_AUTHENTICATORS;
    const found = claimed.map(({ service }) => this.#options.mirror.authentications.of(service));
    return [...new Set(found)].filter((each) => each !== undefined && each !== own) as RequestAuthenticator[];
  }

  /** The verdict on a request that must be allowed for each of several services: the first denial, or that on its own. */
  #decideAll(
    caller: SpiffeId,
    destination: Destination,
    claimed: readonly Destination[],
    head: RequestHead,
    user: EndUser | undefined,
  ): Verdict {
    const { authentications } = this.#options.mirror;
    const current = user && authentications.of(destination.service);
    const claims = claimsFor(user, current);
    const own = this.#decide(caller, destination, head, claims);
    if (!own.allow || claimed.length === 0) return own;
    for (const each of claimed) {
      // Whom another one would believe was not asked.
      const isSame = user !== undefined && authentications.of(each.service) === current;
      const verdict = this.#decide(caller, each, head, isSame ? claims : undefined);
      if (!verdict.allow) return verdict;
    }
    return own;
  }

  #decide(
    caller: SpiffeId,
    { service, port }: Destination,
    head: RequestHead | undefined,
    claims?: Claims | undefined,
  ): Verdict {
    const http =
      head === undefined
        ? undefined
        : { method: head.method, path: head.path, host: head.authority, fields: head.fields, claims };
    return this.#options.mirror.authorizer.decide({ caller, service, port, http });
  }
}

function toHandler({ target }: LocalService, { key }: Destination): HttpHandler {
  if (target.protocol !== 'tcp') return target.handler;
  return refuseWith(takesBytes(key));
}

function refuseWith(error: SkeinError): HttpHandler {
  return { request: (_head, _complete, reply) => refuseLater(reply, error) };
}

function toDenial({ uri }: SpiffeId, { key }: Destination, head: RequestHead | undefined): Omit<Denial, 'rule'> {
  if (head === undefined) return { caller: uri, service: key };
  return { caller: uri, service: key, method: head.method, path: head.path.replace(/\?.*$/s, '') };
}
