/** DirectResponse: an answer written down in the route; nobody is asked. */

import type { DirectResponse } from '../../catalog/extension.ts';
import { EMPTY, encodeUtf8 } from '../../core/bytes.ts';
import { toByteText } from '../../core/text.ts';
import { answerLater } from '../../http/refusal.ts';
import type { Filter } from './filter.ts';

/** Statuses without a body, and without a field that announces one (RFC 9110 §8.6). */
const BODILESS: ReadonlySet<number> = new Set([204, 304]);

export function createDirectResponse({ status, contentType, body, headers }: DirectResponse): Filter {
  const bytes = BODILESS.has(status) ? EMPTY : encodeUtf8(body);
  const content = bytes.length === 0 ? [] : ['content-type', contentType];
  const fields = [
    ...headers.flatMap(({ name, value }) => [name.toLowerCase(), toByteText(value)]),
    ...(BODILESS.has(status) ? [] : [...content, 'content-length', String(bytes.length)]),
    'x-skein-reason',
    'direct-response',
  ];
  const answer = { status, fields, upgrade: undefined };
  return {
    type: 'DirectResponse',
    summary: `answers ${status}`,
    isPure: true,
    wrap: () => ({
      // The sink owns what it is given: each gets bytes of its own.
      request: ({ method }, _complete, reply) =>
        answerLater(reply, { head: answer, body: method === 'HEAD' ? EMPTY : bytes.slice() }),
    }),
  };
}
