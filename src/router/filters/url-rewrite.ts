/** URLRewrite: another host, another path, for whoever answers the request. */

import type { HttpFilter } from '../../catalog/http-filter.ts';
import { changeRequests, type Filter } from './filter.ts';
import { compilePathModifier, describePathModifier } from './path-modifier.ts';

type Rewrite = Extract<HttpFilter, { type: 'URLRewrite' }>['urlRewrite'];

/** @param prefix the prefix that the rule matches, if it matches one */
export function createUrlRewrite({ hostname, path }: Rewrite, prefix: string): Filter {
  const changePath = path === undefined ? undefined : compilePathModifier(path, prefix);
  return {
    type: 'URLRewrite',
    summary: [
      ...(hostname === undefined ? [] : [`host ${hostname}`]),
      ...(path === undefined ? [] : [describePathModifier(path, prefix)]),
    ].join(', '),
    isPure: true,
    wrap: (next) =>
      changeRequests(next, (head) => ({
        ...head,
        authority: hostname ?? head.authority,
        path: changePath?.(head.path) ?? head.path,
      })),
  };
}
