/** Middleware: functions of the application that routes put between a request and its backend, in the words of `fetch`. */

import { SkeinError } from '../core/errors.ts';
import type { HttpHandler } from '../http/handler.ts';
import { refuseLater } from '../http/refusal.ts';
import { createFetch } from './fetch.ts';
import { createServeHandler, type ServeOptions } from './serve.ts';

/**
 * Sees a request of this member that a rule sends through it, and answers it: with what `next` brings, changed or not, or by
 * itself. `next` performs the request it is given by the rest of the rule; it may be called never, once or several times.
 * @example
 * const timed: Middleware = async (request, next) => {
 *   const response = await next(request);
 *   console.log(request.url, response.status);
 *   return response;
 * };
 */
export type Middleware = (
  request: Request,
  next: (request: Request) => Promise<Response>,
) => Response | Promise<Response>;

/** What throws is logged, and answered with 500. */
export function createMiddlewareHandler(middleware: Middleware, next: HttpHandler, options: ServeOptions): HttpHandler {
  return {
    request(head, complete, reply) {
      if (head.upgrade !== undefined) {
        const error = new SkeinError('SKEIN_BAD_REQUEST', 'Cannot switch protocols: middleware has no form for it', {
          status: 501,
        });
        return refuseLater(reply, error);
      }
      const fetchNext = createFetch({
        request: (inner, isComplete, sink) => next.request({ ...inner, service: head.service }, isComplete, sink),
      });
      const handler = createServeHandler((request) => middleware(request, fetchNext), options);
      return handler.request(head, complete, reply);
    },
  };
}
