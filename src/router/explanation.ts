/** An explanation: what would happen to one request and why, as data. `explain.ts` makes it, others print it. */

import type { EndpointStatus } from './backend-status.ts';
import type { Destination } from './destination.ts';

/** A request as it is somewhere on its way. */
export interface ExplainedHead {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  /** Flat name/value list; names lower case. */
  readonly fields: readonly string[];
}

/** Nobody is asked: the mesh itself answers. */
export interface Refusal {
  readonly kind: 'refused';
  readonly status: number;
  /** As a gRPC client is told. */
  readonly grpcStatus: number;
  /** `x-skein-reason` */
  readonly reason: string;
  readonly message: string;
}

export type Outcome =
  | Refusal
  /** A filter answers. */
  | { readonly kind: 'answered'; readonly status: number; readonly by: string; readonly fields: readonly string[] }
  /** One of `instances` is asked first; undefined: who serves it is not known here. */
  | { readonly kind: 'forwarded'; readonly service: string; readonly instances: readonly string[] | undefined };

/** A route that is attached to the service. */
export interface ExplainedRoute {
  /** `HTTPRoute/namespace/name` */
  readonly route: string;
  /** How it is attached: `Service api.default`, `Service api.default port 80`. */
  readonly parentRef: string;
  /** Why it has no say in this request; undefined: it has. */
  readonly unused: string | undefined;
}

/** One match of one rule, in the order of precedence. */
export interface ExplainedMatch {
  readonly rule: string;
  readonly matchIndex: number;
  /** `PathPrefix /v2, method GET, header version: two` */
  readonly match: string;
  readonly isChosen: boolean;
  /** Why it did not take the request; undefined for the one that did. */
  readonly lost: string | undefined;
}

export interface ExplainedFilter {
  readonly type: string;
  readonly summary: string;
  /** What it does cannot be told in advance: chance, or code. */
  readonly isUncertain: boolean;
}

export interface ExplainedEndpoint extends EndpointStatus {
  /** Its SPIFFE id. */
  readonly id: string;
  /** `unknown`: the member does not know where it runs itself. */
  readonly distance: 'same zone' | 'same region' | 'elsewhere' | 'unknown';
  /** It was not heard for a while, or there is no way to it just now. */
  readonly isSuspect: boolean;
  /** It may be the first to be asked. */
  readonly isEligible: boolean;
}

export interface ExplainedBackend {
  /** As the route writes it, or the service itself. */
  readonly label: string;
  readonly destination: Destination | undefined;
  readonly weight: number;
  /** Percent of the requests. */
  readonly share: number;
  /** It is the turn of this one. */
  readonly isNext: boolean;
  readonly filters: readonly ExplainedFilter[];
  /** Before each attempt. */
  readonly attemptFilters: readonly ExplainedFilter[];
  /** The request as it is sent; undefined when it is not. */
  readonly sent: ExplainedHead | undefined;
  /** undefined: not known here. */
  readonly endpoints: readonly ExplainedEndpoint[] | undefined;
  /** Too few endpoints are left, so that ejections are not looked at. */
  readonly isPanicking: boolean;
  /** What leads requests to the same instance has led this one. */
  readonly isBound: boolean;
  readonly outcome: Outcome;
}

export interface ExplainedTimes {
  /** Until the end of the answer, or its beginning where it is the default; 0: any. */
  readonly requestMs: number;
  readonly requestFrom: 'the caller' | 'timeouts.request' | 'the default' | 'nobody';
  /** Of each attempt; 0: any. */
  readonly attemptMs: number;
}

export interface ExplainedRetries {
  /** Attempts after the first. */
  readonly retries: number;
  /** Statuses of an answer that are tried again. */
  readonly codes: readonly number[];
  readonly backoffMs: number;
  /** Its method may be repeated although the application may have seen it. */
  readonly isRepeatable: boolean;
}

export interface Explanation {
  readonly request: ExplainedHead;
  /** undefined: it names no service of the mesh. */
  readonly destination: Destination | undefined;
  /** Namespace of the caller, for whom routes hold. */
  readonly namespace: string;
  readonly routes: readonly ExplainedRoute[];
  readonly matches: readonly ExplainedMatch[];
  /** The rule that takes it; undefined: none, or the service has no routes. */
  readonly rule: string | undefined;
  readonly filters: readonly ExplainedFilter[];
  readonly backends: readonly ExplainedBackend[];
  readonly times: ExplainedTimes | undefined;
  readonly retries: ExplainedRetries | undefined;
  readonly outcome: Outcome;
}
