/** Facts told by the router, for those who count and log. */

import type { Endpoint } from '../catalog/endpoint.ts';
import type { SkeinError } from '../core/errors.ts';
import type { RequestHead } from '../http/head.ts';

/** A request of this member is over. */
export interface RequestFact {
  readonly head: RequestHead;
  /** `name.namespace` */
  readonly service: string;
  /** The rule of a route that took it; empty when there was none. */
  readonly rule: string;
  /** Who answered or failed last; undefined when nobody was asked. */
  readonly endpoint: Endpoint | undefined;
  /** 0 when there was no answer. */
  readonly status: number;
  /** Why there was none, or why it broke off. */
  readonly error: SkeinError | undefined;
  /** `x-skein-reason` of an answer made by the mesh, here or on the other side, or of `error`; empty for the application's own. */
  readonly reason: string;
  readonly attempts: number;
  /** From the head of the request to the end of the answer. */
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** An attempt has failed and another follows. */
export interface RetryFact {
  readonly service: string;
  readonly endpoint: Endpoint;
  /** Reason of the error, or `status-503` of an answer that was not taken. */
  readonly reason: string;
  readonly attempts: number;
}

/** An attempt has failed and none follows, though the request would allow another one. */
export interface WithheldFact {
  readonly service: string;
  /** The service fails too often already, or the body is longer than what is kept of it. */
  readonly reason: 'budget' | 'body-too-long';
}

/** An endpoint is left alone, because of failures in a row or because its peers do better. */
export interface EjectionFact {
  readonly service: string;
  readonly endpoint: Endpoint;
  readonly cause: 'failures' | 'success-rate';
}

/** An endpoint says that it is near, and takes several times as long as one that says it is not. */
export interface DoubtfulLocalityFact {
  readonly service: string;
  readonly endpoint: Endpoint;
  readonly rttMs: number;
  /** The nearest of those elsewhere. */
  readonly elsewhereRttMs: number;
}

export interface BackendEvents {
  ejected: EjectionFact;
  /** A probe has shown that it works again. */
  readmitted: { readonly service: string; readonly endpoint: Endpoint };
  /** So few endpoints are left that ejections are not looked at, or that is over. */
  panic: { readonly service: string; readonly isOn: boolean };
  /** Those who are near are so slow that others help them, or that is over. */
  spillover: { readonly service: string; readonly isOn: boolean };
  doubtfulLocality: DoubtfulLocalityFact;
}

export interface RouterEvents extends BackendEvents {
  started: { readonly service: string };
  finished: RequestFact;
  retried: RetryFact;
  withheld: WithheldFact;
}
