/** Backend: the endpoints of one service and port, what their answers have taught, and the choice among them; kept in step with the catalogue. */

import type { BackendTrafficPolicy } from '../catalog/backend-traffic-policy.ts';
import type { AppProtocol, Endpoint } from '../catalog/endpoint.ts';
import type { Emitter } from '../core/emitter.ts';
import { SkeinError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { Affinity, type Bond } from './affinity.ts';
import { type BackendStatus, describeEndpoint } from './backend-status.ts';
import { type Avoidance, Candidates } from './candidates.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import type { Outcome } from './classify.ts';
import type { Destination } from './destination.ts';
import { EndpointLoad } from './endpoint-load.ts';
import type { RouterEvents } from './events.ts';
import type { Locality } from './locality.ts';
import type { RouterOptions } from './options.ts';
import { RetryBudget } from './retry-budget.ts';
import { findFailing } from './success-rate.ts';
import { affinityOf, limitsOf } from './traffic-policy.ts';

export interface BackendOptions {
  /** Where this member runs. */
  readonly here: Locality;
  readonly random: Random;
  readonly limits: RouterOptions;
  readonly events: Emitter<RouterEvents>;
}

export class Backend {
  readonly destination: Destination;
  readonly breaker: CircuitBreaker;
  readonly retryBudget: RetryBudget;
  /** Monotonic time of the last call; written by `Backends`. */
  usedMs = 0;
  readonly #options: BackendOptions;
  /** The member's own, and over them what a BackendTrafficPolicy says. */
  #limits: RouterOptions;
  #policy: BackendTrafficPolicy | undefined;
  #affinity: Affinity | undefined;
  /** The catalogue's array this was made from: while it is the same object, nothing has changed. */
  #source: readonly Endpoint[] | undefined;
  #all: readonly EndpointLoad[] = [];
  readonly #candidates: Candidates;
  #intervalMs = 0;

  constructor(destination: Destination, options: BackendOptions) {
    const { events, here, limits, random } = options;
    this.destination = destination;
    this.#options = options;
    this.#limits = limits;
    this.breaker = new CircuitBreaker(destination.service, limits);
    this.retryBudget = new RetryBudget(limits);
    const { service } = destination;
    this.#candidates = new Candidates({
      ...{ here, random, limits },
      onPanic: (isOn) => events.emit('panic', { service, isOn }),
      onSpill: (isOn) => events.emit('spillover', { service, isOn }),
      onDoubt: (doubt) => events.emit('doubtfulLocality', { service, ...doubt }),
    });
  }

  get size(): number {
    return this.#all.length;
  }

  /** Requests and connections under way at all endpoints. */
  get pending(): number {
    return this.breaker.pending;
  }

  /** How the application speaks, or undefined while nobody serves it. Instances that disagree are a mistake; the first decides. */
  get protocol(): AppProtocol | undefined {
    return (this.#candidates.healthy[0] ?? this.#all[0])?.endpoint.protocol;
  }

  /** What holds for the service from now on; what its endpoints have taught stays. */
  follow(policy: BackendTrafficPolicy | undefined): void {
    if (policy === this.#policy) return;
    this.#policy = policy;
    this.#limits = limitsOf(policy, this.#options.limits);
    this.breaker.limits = this.#limits;
    this.retryBudget.limits = this.#limits;
    this.#candidates.limits = this.#limits;
    const affinity = affinityOf(policy, this.destination.service);
    this.#affinity = affinity && new Affinity(affinity);
  }

  /** What leads requests to the same instance; undefined where nothing does. */
  get affinity(): Affinity | undefined {
    return this.#affinity;
  }

  /** Takes over the endpoints of the service, those of other ports included. Loads of instances that stay are kept. */
  update(endpoints: readonly Endpoint[], nowMs: number): void {
    if (endpoints === this.#source) return;
    const isFirst = this.#all.length === 0;
    const known = new Map(this.#all.map((load) => [load.endpoint.instance, load]));
    const { warmUpMs } = this.#limits;
    const latencyMs = isFirst ? undefined : this.#all.reduce((sum, load) => sum + load.latencyMs, 0) / this.#all.length;
    this.#source = endpoints;
    this.#all = endpoints
      .filter((endpoint) => endpoint.port === this.destination.port)
      .map((endpoint) => {
        const load = known.get(endpoint.instance) ?? new EndpointLoad(endpoint, nowMs, latencyMs);
        const isBack = !known.has(endpoint.instance) || (endpoint.healthy && !load.endpoint.healthy);
        if (isBack && !isFirst) load.startWarmUp(nowMs, warmUpMs);
        load.endpoint = endpoint;
        return load;
      });
    this.#candidates.update(this.#all);
  }

  describe(nowMs: number): BackendStatus {
    const { isPanicking, isSpilling } = this.#candidates;
    const { service, port } = this.destination;
    const endpoints = this.#all.map((load) => describeEndpoint(load, this.#candidates.shareOf(load), nowMs));
    return { service, port, isPanicking, isSpilling, endpoints };
  }

  /** It is forgotten. */
  end(): void {
    this.#candidates.end();
  }

  /** Could `choose` find somebody who is not among `tried`, nor one to avoid? */
  hasOther(tried: readonly EndpointLoad[], avoid?: Avoidance): boolean {
    return this.#candidates.healthy.some((load) => !tried.includes(load) && !avoid?.isSuspect(load.endpoint));
  }

  /** `instance` has fallen silent: what waits there for an answer goes elsewhere, where that is allowed. */
  leave(instance: string): void {
    for (const load of this.#all) {
      if (load.endpoint.instance === instance) for (const request of load.awaiting.all()) request.move();
    }
  }

  /** `instance` is gone: what waits there for an answer to begin is told so. */
  giveUp(instance: string): void {
    for (const load of this.#all) {
      if (load.endpoint.instance === instance) for (const request of load.awaiting.all()) request.giveUp();
    }
  }

  /**
   * An endpoint that is not among `tried`, and if possible not one to avoid; the one that `bond` leads to, if that can be asked.
   * @throws SkeinError SKEIN_NO_SUCH_SERVICE when nobody serves it, SKEIN_NO_ENDPOINT when nobody who does can be chosen
   */
  choose(tried: readonly EndpointLoad[], nowMs: number, avoid?: Avoidance, bond?: Bond): EndpointLoad {
    const chosen =
      bond === undefined
        ? this.#candidates.choose(tried, nowMs, avoid)
        : this.#candidates.chooseBound(bond, tried, nowMs, avoid);
    if (chosen === undefined) throw this.#nobody();
    return chosen;
  }

  /** Whom `choose` would choose among, for a request that has not been anywhere yet. @throws as `choose` does */
  eligible(nowMs: number, avoid?: Avoidance, bond?: Bond): readonly EndpointLoad[] {
    const eligible = this.#candidates.eligible(nowMs, avoid, bond);
    if (eligible.length === 0) throw this.#nobody();
    return eligible;
  }

  /** Those on this port, healthy or not. */
  get endpoints(): readonly EndpointLoad[] {
    return this.#all;
  }

  #nobody(): SkeinError {
    const { service, port } = this.destination;
    if (this.#all.length === 0) {
      const ports = [...new Set(this.#source?.map((endpoint) => endpoint.port))].sort((a, b) => a - b);
      const state =
        ports.length === 0
          ? 'nobody serves it'
          : `nobody serves port ${port}; there is ${ports.slice(0, 8).join(', ')}`;
      return new SkeinError('SKEIN_NO_SUCH_SERVICE', `Cannot reach service "${service}": ${state}`);
    }
    const isAnyHealthy = this.#candidates.healthy.length > 0;
    const state = isAnyHealthy ? 'every instance was tried' : 'all its instances are unhealthy';
    return new SkeinError('SKEIN_NO_ENDPOINT', `Cannot reach service "${service}": ${state}`);
  }

  /** What an attempt at `load` has shown, `elapsedMs` after its beginning. */
  learn(load: EndpointLoad, outcome: Outcome, elapsedMs: number, nowMs: number): void {
    if (outcome === 'success' || outcome === 'failure') load.succeed(elapsedMs, nowMs);
    else if (outcome !== 'neutral') load.fail(elapsedMs, nowMs);
    this.#judge(load, outcome, nowMs);
  }

  /** What a raw connection or a call of gRPC has shown when it ended. How long it went on says nothing about who answers faster. */
  learnEnd(load: EndpointLoad, outcome: Outcome, nowMs: number): void {
    if (outcome === 'success' || outcome === 'failure') this.#judge(load, outcome, nowMs);
    else this.learn(load, outcome, 0, nowMs);
  }

  /** `load` asks to be left alone; it is, as far as others can take its place. */
  rest(load: EndpointLoad, forMs: number, nowMs: number): void {
    const { maxRestMs, warmUpMs } = this.#limits;
    load.busyUntilMs = nowMs + Math.min(forMs, maxRestMs);
    load.forgive(); // it is not asked before, and then it should be
    load.startWarmUp(load.busyUntilMs, warmUpMs);
    this.#candidates.invalidate();
  }

  #judge(load: EndpointLoad, outcome: Outcome, nowMs: number): void {
    const limits = this.#limits;
    const { random } = this.#options;
    const { outlier, tally } = load;
    if (outcome === 'success') {
      tally.succeeded++;
      if (outlier.succeed()) this.#readmit(load, nowMs);
    } else if (outcome === 'broken') {
      tally.failed++;
      if (outlier.fail(nowMs, random, limits)) this.#eject(load, nowMs, 'failures');
    } else {
      if (outcome === 'failure') tally.failed++;
      outlier.cancelProbe();
    }
    if (nowMs - this.#intervalMs >= limits.outlierIntervalMs) this.#compare(nowMs);
  }

  #compare(nowMs: number): void {
    this.#intervalMs = nowMs;
    const judged = this.#all.filter(({ outlier }) => !outlier.isEjected);
    for (const index of findFailing(judged.map(({ tally }) => tally))) {
      this.#eject(judged[index] as EndpointLoad, nowMs, 'success-rate');
    }
    for (const load of this.#all) load.tally = { succeeded: 0, failed: 0 };
  }

  /** Never the last one that works, and never more than a part of all. */
  #eject(load: EndpointLoad, nowMs: number, cause: 'failures' | 'success-rate'): void {
    const limits = this.#limits;
    const { events, random } = this.#options;
    const { healthy } = this.#candidates;
    const ejected = healthy.filter(({ outlier }) => outlier.isEjected).length;
    const part = Math.floor((healthy.length * limits.maxEjectedPercent) / 100);
    const most = limits.maxEjectedPercent === 0 ? 0 : Math.max(1, part);
    if (ejected >= most || healthy.length - ejected < 2) return;
    load.outlier.eject(nowMs, random, limits);
    this.#candidates.invalidate();
    events.emit('ejected', { service: this.destination.service, endpoint: load.endpoint, cause });
  }

  #readmit(load: EndpointLoad, nowMs: number): void {
    const { events } = this.#options;
    load.forgive();
    load.startWarmUp(nowMs, this.#limits.warmUpMs);
    this.#candidates.invalidate();
    events.emit('readmitted', { service: this.destination.service, endpoint: load.endpoint });
  }
}
