/** RequestRedirect: the client is sent elsewhere, and nobody else is asked. */

import type { Redirect } from '../../catalog/http-filter.ts';
import { EMPTY } from '../../core/bytes.ts';
import type { RequestHead } from '../../http/head.ts';
import { answerLater } from '../../http/refusal.ts';
import { parseAuthority } from '../../http/target.ts';
import { parseDestinationKey } from '../destination.ts';
import type { Filter } from './filter.ts';
import { compilePathModifier } from './path-modifier.ts';

const WELL_KNOWN = { http: 80, https: 443 } as const;

/** @param prefix the prefix that the rule matches, if it matches one */
export function createRedirect(redirect: Redirect, prefix: string): Filter {
  const changePath = redirect.path === undefined ? undefined : compilePathModifier(redirect.path, prefix);
  const { statusCode } = redirect;
  return {
    type: 'RequestRedirect',
    summary: `answers ${statusCode}`,
    isPure: true,
    wrap: () => ({
      request: (head, _complete, reply) => {
        const path = changePath?.(head.path) ?? head.path;
        const fields = [
          'location',
          toLocation(redirect, head, path),
          'content-length',
          '0',
          'x-skein-reason',
          'redirect',
        ];
        return answerLater(reply, { head: { status: statusCode, fields, upgrade: undefined }, body: EMPTY });
      },
    }),
  };
}

/**
 * Of the port: the one of the filter; else, where it names a scheme, that of the scheme; else that of the service. The one
 * that a scheme has anyway is not written (HTTPRequestRedirectFilter).
 */
function toLocation({ scheme, hostname, port }: Redirect, head: RequestHead, path: string): string {
  const own = head.scheme === 'https' ? 'https' : 'http';
  const target = scheme ?? own;
  const host = hostname ?? (head.authority === '' ? '' : parseAuthority(head.authority).host);
  const number = port ?? (scheme === undefined ? parseDestinationKey(head.service).port : WELL_KNOWN[scheme]);
  return `${target}://${host}${number === WELL_KNOWN[target] ? '' : `:${number}`}${path}`;
}
