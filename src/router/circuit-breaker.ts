/** `CircuitBreaker`: how much may be under way to one service at once, so that one that is stuck does not take the caller along. */

import { SkeinError } from '../core/errors.ts';
import type { RouterOptions } from './options.ts';

export class CircuitBreaker {
  readonly #service: string;
  /** May change while requests are under way. */
  limits: RouterOptions;
  #requests = 0;
  #connections = 0;
  #overflows = 0;

  constructor(service: string, limits: RouterOptions) {
    this.#service = service;
    this.limits = limits;
  }

  /** Requests and connections under way. */
  get pending(): number {
    return this.#requests + this.#connections;
  }

  /** How often there was no room. */
  get overflows(): number {
    return this.#overflows;
  }

  /** A request begins. @throws SkeinError SKEIN_OVERFLOW */
  enterRequest(): void {
    this.#check('requests', this.#requests, this.limits.maxPendingRequests);
    this.#requests++;
  }

  /** Is there room for another request? @throws SkeinError SKEIN_OVERFLOW */
  checkRequest(): void {
    if (this.#requests >= this.limits.maxPendingRequests) throw this.#overflow('requests', this.#requests);
  }

  leaveRequest(): void {
    this.#requests--;
  }

  /** May a raw connection be opened? @throws SkeinError SKEIN_OVERFLOW */
  checkConnection(): void {
    this.#check('connections', this.#connections, this.limits.maxConnections);
  }

  enterConnection(): void {
    this.#connections++;
  }

  leaveConnection(): void {
    this.#connections--;
  }

  #check(what: string, count: number, limit: number): void {
    if (count < limit) return;
    this.#overflows++;
    throw this.#overflow(what, count);
  }

  #overflow(what: string, count: number): SkeinError {
    return new SkeinError(
      'SKEIN_OVERFLOW',
      `Cannot call service "${this.#service}": ${count} ${what} are under way already`,
    );
  }
}
